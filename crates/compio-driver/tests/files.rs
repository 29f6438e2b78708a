//! Blocking work on files that stay open for it, and paths relative to a directory.

use std::{
    fs::{self, File},
    future::Future,
    io::{self, Write},
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use compio_driver::{Driver, DriverBuilder, OwnedFd, SharedFd, ThreadPool, op::BlockingOn};

fn run<F: Future>(driver: &Driver, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        driver.turn(None).unwrap();
    }
}

fn begin<F: Future + Unpin>(future: &mut F) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(future).poll(&mut cx).is_pending());
}

fn share(file: File) -> SharedFd {
    OwnedFd::from(file).into()
}

#[test]
fn blocking_work_on_a_file_runs_elsewhere() {
    let driver = Driver::new().unwrap();
    let fd = share(tempfile::tempfile().unwrap());
    let work = BlockingOn::new(fd, |file: &File| {
        file.set_len(5).map(|()| thread::current().id())
    });
    let worker = run(&driver, driver.submit(work)).unwrap().unwrap().unwrap();
    assert_ne!(worker, thread::current().id());
}

#[test]
fn the_file_stays_open_until_the_abandoned_work_is_over() {
    let driver = Driver::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let work = BlockingOn::new(
        share(File::create(&path).unwrap()),
        move |mut file: &File| {
            begun.send(()).unwrap();
            released.recv().unwrap();
            file.write_all(b"still open")
        },
    );
    let mut work = driver.submit(work);
    begin(&mut work);
    has_begun.recv().unwrap();
    drop(work);
    // A new file that gets the number of a closed one would be written to.
    let other = tempfile::tempfile().unwrap();
    release.send(()).unwrap();
    while driver.in_flight() > 0 {
        driver.turn(None).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"still open");
    assert_eq!(other.metadata().unwrap().len(), 0);
}

#[test]
fn work_that_waits_for_a_thread_closes_its_file_when_it_is_dropped() {
    let driver = DriverBuilder::new()
        .pool(ThreadPool::new(1))
        .build()
        .unwrap();
    let (release, released) = mpsc::channel::<()>();
    let busy = BlockingOn::new(share(tempfile::tempfile().unwrap()), move |_: &File| {
        released.recv().unwrap();
    });
    let mut busy = driver.submit(busy);
    begin(&mut busy);
    let waits = BlockingOn::new(share(tempfile::tempfile().unwrap()), |_: &File| {
        panic!("it should not run")
    });
    let mut waits = driver.submit(waits);
    begin(&mut waits);
    drop(waits);
    release.send(()).unwrap();
    run(&driver, busy).unwrap().unwrap();
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn a_panic_is_reported() {
    let driver = Driver::new().unwrap();
    let fd = share(tempfile::tempfile().unwrap());
    let work = BlockingOn::new(fd, |_: &File| -> io::Result<()> { panic!("in the work") });
    let panic = run(&driver, driver.submit(work)).unwrap().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"in the work"));
}

#[test]
#[cfg(unix)]
fn a_relative_path_begins_in_the_directory_that_is_named() {
    use compio_driver::op::{Open, Stat};
    let driver = Driver::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "hello").unwrap();
    let handle = share(File::open(dir.path()).unwrap());
    let open = Open::at(handle.clone(), c"file".to_owned(), libc::O_RDONLY, 0);
    let opened = File::from(run(&driver, driver.submit(open)).unwrap());
    assert_eq!(opened.metadata().unwrap().len(), 5);
    let stat = Stat::at(handle, c"file".to_owned(), true);
    let attributes = run(&driver, driver.submit(stat)).unwrap();
    assert_eq!(attributes.size(), 5);
    assert_eq!(attributes.mtime().0, attributes.ctime().0);
    assert_eq!(attributes.rdev(), 0);
}
