//! A process that cannot start threads, neither the pool's nor io-wq workers.

use std::io::{Read, Write};

use compio_driver::{
    Driver, DriverBuilder, Poller, ThreadPool,
    op::{Blocking, MakeDir, Position, Remove, Rename, Splice, Sync, WriteAt},
};

use crate::support::{HAS_SPLICES, LONG, ask, file, native, pipe_in, run};

/// From now on this process starts no threads.
fn start_no_threads() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure outlives the call; the others take numbers only. User 65534 has no
    // processes.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &none), 0);
        // The limit does not hold for root.
        if libc::geteuid() == 0 {
            assert_eq!(libc::setreuid(65_534, 65_534), 0);
        }
    }
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());
}

/// A driver whose only pool thread runs already.
fn driver() -> Driver {
    let pool = ThreadPool::new(1);
    let driver = DriverBuilder::new().pool(pool).build().unwrap();
    let work = Blocking::new(|| ());
    run(&driver, driver.submit(work)).unwrap().unwrap();
    driver
}

#[test]
#[ignore = "run by `files_are_written_without_new_threads` in a process of its own"]
fn write_without_new_threads() {
    let driver = driver();
    let (mut std, fd) = file(b"");
    start_no_threads();
    // In the kernel both need an io-wq worker.
    let write = WriteAt::new(fd.clone(), 0, b"there it is");
    let (written, _) = run(&driver, driver.submit(write));
    assert_eq!(written.unwrap(), 11);
    let mut sync = Sync::all(fd.clone());
    // SAFETY: both are in place until the entry has come.
    unsafe { driver.push(&mut sync, 5).unwrap() };
    let entry = driver.poll_one(Some(LONG)).unwrap();
    assert_eq!(entry.user_data(), 5);
    assert_eq!(entry.into_result().unwrap(), 0);
    // So does a splice, which might wait without end.
    let (source, mut sink) = pipe_in();
    sink.write_all(b"!").unwrap();
    if HAS_SPLICES {
        let splice = Splice::new(source, Position::Cursor, fd.clone(), Position::At(11), 10);
        assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 1);
    } else {
        std::os::unix::fs::FileExt::write_all_at(&std, b"!", 11).unwrap();
    }
    make_and_remove_a_directory(&driver);
    let mut content = String::new();
    std.read_to_string(&mut content).unwrap();
    println!("SAYS {content}");
}

/// In the temporary directory, where every user may write.
fn make_and_remove_a_directory(driver: &Driver) {
    let name = std::env::temp_dir().join(format!("threadless-{}", std::process::id()));
    let [one, other] = ["one", "other"].map(|end| native(name.with_extension(end)));
    run(driver, driver.submit(MakeDir::new(one.clone(), 0o700))).unwrap();
    run(driver, driver.submit(Rename::new(one, other.clone()))).unwrap();
    run(driver, driver.submit(Remove::dir(other))).unwrap();
}

#[test]
fn files_are_written_without_new_threads() {
    let test = "unix::threadless::write_without_new_threads";
    for backend in ["", "poll"] {
        assert_eq!(ask(test, &[("COMPIO_BACKEND", backend)]), "there it is!");
    }
}
