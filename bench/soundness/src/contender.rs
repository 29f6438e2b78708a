//! A runtime, used through its documented API. [`contenders`](crate::contenders) has the list.

use std::{io, net::SocketAddr, os::fd::RawFd, path::Path, pin::Pin, time::Duration};

/// A boxed future: dropping the box drops the future.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A result, and the buffer.
pub type Buffered = (io::Result<usize>, Vec<u8>);

/// Describes the result of a join handle, on another thread.
pub type Handle = Box<dyn FnOnce() -> String + Send>;

/// A runtime, used through its documented API.
pub trait Contender: 'static {
    /// The runtime's type.
    type Runtime;
    /// A TCP listener.
    type Listener: 'static;
    /// A TCP stream.
    type Stream: 'static;
    /// A stream with a read buffer.
    type Reader: 'static;
    /// A file.
    type File: 'static;

    /// The documented effect of dropping a read, if documented; for the foot of the table.
    const DOCUMENTED: &'static str;

    /// Creates a runtime with the settings that its documentation recommends.
    fn runtime() -> io::Result<Self::Runtime>;
    /// Runs a future to completion.
    fn block_on<T>(runtime: &mut Self::Runtime, main: impl Future<Output = T>) -> T;
    /// The timer.
    fn sleep(duration: Duration) -> Local<'static, ()>;
    /// Starts a detached task.
    fn detach(task: impl Future<Output = ()> + 'static);
    /// Spawns a task and returns the result of its join handle.
    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>>;
    /// Starts a task that never ends; returns its join handle, if that is `Send`.
    fn pending_handle() -> Option<Handle>;
    /// Starts blocking work on another thread.
    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()>;

    /// Listens on a free port of the loopback.
    fn listen() -> Local<'static, io::Result<(Self::Listener, SocketAddr)>>;
    /// Accepts.
    fn accept(listener: &Self::Listener) -> Local<'_, io::Result<Self::Stream>>;
    /// As `accept`, cancelled after a while through the API for it, without dropping the accept.
    fn accept_for(
        listener: &Self::Listener,
        patience: Duration,
    ) -> Option<Local<'_, io::Result<Self::Stream>>>;
    /// The stream's descriptor.
    fn fd(stream: &Self::Stream) -> RawFd;
    /// Reads into the buffer's whole capacity.
    fn read(stream: &mut Self::Stream, buffer: Vec<u8>) -> Local<'_, Buffered>;
    /// As `read`, cancelled after a while through the API for it, without dropping the read. The
    /// buffer then holds the received bytes.
    fn read_for(
        stream: &mut Self::Stream,
        buffer: Vec<u8>,
        patience: Duration,
    ) -> Option<Local<'_, Buffered>>;
    /// Fills the buffer's whole capacity.
    fn read_exact(stream: &mut Self::Stream, buffer: Vec<u8>) -> Local<'_, Buffered>;
    /// As `read_exact`, cancelled as in [`read_for`](Self::read_for).
    fn read_exact_for(
        stream: &mut Self::Stream,
        buffer: Vec<u8>,
        patience: Duration,
    ) -> Option<Local<'_, Buffered>>;
    /// Writes a part or all of the buffer.
    fn write(stream: &mut Self::Stream, buffer: Vec<u8>) -> Local<'_, io::Result<usize>>;
    /// Writes all of the buffer.
    fn write_all(stream: &mut Self::Stream, buffer: Vec<u8>) -> Local<'_, io::Result<()>>;

    /// Adds a read buffer to a stream.
    fn reader(stream: Self::Stream) -> Option<Self::Reader>;
    /// Waits for bytes in that buffer, and removes them.
    fn fill(reader: &mut Self::Reader) -> Local<'_, io::Result<Vec<u8>>>;

    /// Opens a file to read.
    fn open(path: &Path) -> Local<'static, io::Result<Self::File>>;
    /// Opens a file to write, and creates it if it does not exist.
    fn create(path: &Path) -> Local<'static, io::Result<Self::File>>;
    /// The file's descriptor.
    fn file_fd(file: &Self::File) -> RawFd;
    /// Reads from the start of a file.
    fn read_file(file: &mut Self::File, buffer: Vec<u8>) -> Local<'_, Buffered>;
}

/// Polls a join handle once and describes its result.
pub fn look_at<F: Future + Unpin>(mut handle: F, say: impl FnOnce(F::Output) -> String) -> String {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Pin::new(&mut handle).poll(&mut context) {
        std::task::Poll::Ready(output) => say(output),
        std::task::Poll::Pending => "pending for ever".into(),
    }
}
