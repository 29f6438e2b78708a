//! Tests of the backend's private state.

use std::{
    cell::{Cell, RefCell},
    fs::OpenOptions,
    net::TcpListener,
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
    pin::pin,
    rc::Rc,
    task::{Context, Poll as Progress, Waker},
};

use tempfile::NamedTempFile;

use windows_sys::Win32::{
    Storage::FileSystem::FILE_FLAG_OVERLAPPED,
    System::WindowsProgramming::{
        FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
    },
};

use super::*;
use crate::{
    driver::Driver,
    fd::SharedFd,
    op::{ReadAt, WriteAt},
    operation::Operation,
    os_calls::handle,
    spin::SpinPolicy,
    submit::Submit,
    sys::{
        AsFd, OwnedFd,
        windows::fake::{self, Call},
    },
};

fn backend() -> (Iocp, Notifier) {
    let (backend, event, _) = choose(None, 0, Spin::new(SpinPolicy::Off)).unwrap();
    (backend, Notifier::new(event))
}

fn sleep(backend: &mut Iocp, notifier: &Notifier, timeout: Duration) {
    let mut on_report = |key, _| panic!("{key:?} was not submitted");
    backend
        .wait(Some(timeout), notifier, &mut on_report)
        .unwrap();
}

#[test]
fn only_short_sleep_uses_timer() {
    let (mut backend, notifier) = backend();
    for timeout in [0, 100] {
        sleep(&mut backend, &notifier, Duration::from_millis(timeout));
        assert!(!backend.short_waits.has_timer());
    }
    sleep(&mut backend, &notifier, Duration::from_millis(5));
    assert!(backend.short_waits.has_timer());
}

/// The modes that the attachment of a descriptor sets.
fn modes_of(fd: RawFd) -> Vec<u32> {
    let (mut backend, _) = backend();
    let modes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&modes);
    let fake = move |call| {
        if let Call::SkipModes { modes } = call {
            seen.borrow_mut().push(modes);
        }
        None
    };
    fake::with(fake, || backend.attach(fd).unwrap());
    modes.take()
}

/// std's calls wait for the event of a file's handle.
#[test]
fn only_sockets_skip_event_of_handle() {
    let file = NamedTempFile::new().unwrap();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(FILE_FLAG_OVERLAPPED);
    let file = options.open(file.path()).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let of_files = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;
    assert_eq!(modes_of(file.as_raw_fd()), [of_files]);
    assert_eq!(
        modes_of(socket.as_raw_fd()),
        [of_files | FILE_SKIP_SET_EVENT_ON_HANDLE]
    );
}

/// A handle of other code.
fn own(handle: impl Into<OwnedHandle>) -> SharedFd {
    SharedFd::from(OwnedFd::from(handle.into()))
}

fn overlapped_file(file: &NamedTempFile) -> SharedFd {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    own(options.open(file.path()).unwrap())
}

/// A fake that counts the attachments by this thread.
fn count_attachments() -> (
    Rc<Cell<u32>>,
    impl FnMut(Call) -> Option<RawResult> + 'static,
) {
    let count = Rc::new(Cell::new(0));
    let seen = Rc::clone(&count);
    let fake = move |call| {
        if call == Call::Attach {
            seen.set(seen.get() + 1);
        }
        None
    };
    (count, fake)
}

/// Turns the driver until the operation has completed.
fn run<O: Operation>(driver: &Driver, operation: Submit<O>) -> O::Output {
    let mut operation = pin!(operation);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match operation.as_mut().poll(&mut cx) {
            Progress::Ready(output) => return output,
            Progress::Pending => driver.turn(None).unwrap(),
        }
    }
}

/// On Windows, the query of the type and the attachment of a pipe wait for a read of another thread.
#[test]
fn pool_thread_attaches_unknown_handle() {
    let driver = Driver::new().unwrap();
    let (attached, fake) = count_attachments();
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (own(reader), own(writer));
    let file = NamedTempFile::new().unwrap();
    let file = overlapped_file(&file);
    fake::with(fake, || {
        for _ in 0..2 {
            let (written, _) = run(
                &driver,
                driver.submit(WriteAt::at_cursor(writer.clone(), "ab")),
            );
            assert_eq!(written.unwrap(), 2);
            let read = ReadAt::at_cursor(reader.clone(), Vec::with_capacity(2));
            let (read, buffer) = run(&driver, driver.submit(read));
            assert_eq!((read.unwrap(), &buffer[..]), (2, &b"ab"[..]));
            let (written, _) = run(&driver, driver.submit(WriteAt::new(file.clone(), 0, "ab")));
            assert_eq!(written.unwrap(), 2);
        }
    });
    assert_eq!(attached.get(), 0);
}

/// The route of a handle that is attached without a declaration.
fn route_of(fd: &SharedFd) -> Route {
    let (mut backend, _) = backend();
    let port = Arc::clone(&backend.port);
    let mut attach = || backend.handles.attach(fd.as_raw_fd(), true, &port).unwrap();
    let Attached::Unknown(attachment) = attach() else {
        panic!("the handle is touched at once");
    };
    assert!(matches!(attach(), Attached::Unknown(_)));
    attachment.attach();
    match attach() {
        Attached::Known(known) => known.route,
        Attached::Unknown(_) => panic!("it is attached"),
    }
}

#[test]
fn attachment_by_pool_thread_finds_route_of_handle() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(route_of(&own(reader)), Route::Thread);
    let file = NamedTempFile::new().unwrap();
    let synchronous = std::fs::File::open(file.path()).unwrap();
    assert_eq!(route_of(&own(synchronous)), Route::Thread);
    assert_eq!(
        route_of(&overlapped_file(&file)),
        Route::PacketUnlessImmediate
    );
}

/// Operations that begin during the attachment wait for the same one.
#[test]
fn operations_share_attachment_of_their_handle() {
    let driver = Driver::new().unwrap();
    let file = NamedTempFile::new().unwrap();
    let file = overlapped_file(&file);
    let read = || driver.submit(ReadAt::new(file.clone(), 0, Vec::<u8>::with_capacity(1)));
    let mut cx = Context::from_waker(Waker::noop());
    let mut reads: Vec<_> = (0..10).map(|_| Box::pin(read())).collect();
    for read in &mut reads {
        assert!(read.as_mut().poll(&mut cx).is_pending());
    }
    // Its cell is used again at once.
    drop(reads.pop());
    for mut read in reads {
        while read.as_mut().poll(&mut cx).is_pending() {
            driver.turn(None).unwrap();
        }
    }
    run(&driver, read()).0.unwrap();
}

/// On Windows, the attachment of a pipe waits for the reads of its duplicates; Wine does not.
#[test]
fn end_of_pipe_is_not_attached() {
    let driver = Driver::new().unwrap();
    let (attached, fake) = count_attachments();
    let (reader, writer) = handle::pipe().unwrap();
    let (reader, writer) = (handle::share_end(reader), handle::share_end(writer));
    let duplicate = handle::share_end(handle::duplicate(reader.as_fd()).unwrap());
    fake::with(fake, || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut reads = [reader, duplicate]
            .map(|end| Box::pin(driver.submit(ReadAt::at_cursor(end, vec![0; 1]))));
        for read in &mut reads {
            assert!(read.as_mut().poll(&mut cx).is_pending());
        }
        let mut write = pin!(driver.submit(WriteAt::at_cursor(writer, "ab")));
        while write.as_mut().poll(&mut cx).is_pending() {
            driver.turn(None).unwrap();
        }
        for mut read in reads {
            while read.as_mut().poll(&mut cx).is_pending() {
                driver.turn(None).unwrap();
            }
        }
    });
    assert_eq!(attached.get(), 0);
}
