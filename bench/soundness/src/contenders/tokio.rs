//! tokio's current-thread runtime.

use std::{io, net::SocketAddr, os::fd::AsRawFd, os::fd::RawFd, path::Path, time::Duration};

use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task,
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local, look_at};

/// See the module.
pub struct Tokio;

impl Contender for Tokio {
    type Runtime = Runtime;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = BufReader<TcpStream>;
    type File = File;

    const DOCUMENTED: &'static str = "`accept`, `read`, `write` and `fill_buf` are cancel safe; \
        `read_exact` and `write_all` are not; blocking work that has begun cannot be aborted, and dropping \
        the runtime waits for it unless `shutdown_timeout` or `shutdown_background` is used";

    fn runtime() -> io::Result<Runtime> {
        Builder::new_current_thread().enable_all().build()
    }

    fn block_on<T>(runtime: &mut Runtime, main: impl Future<Output = T>) -> T {
        runtime.block_on(main)
    }

    fn sleep(duration: Duration) -> Local<'static, ()> {
        local(async move { tokio::time::sleep(duration).await })
    }

    fn detach(task: impl Future<Output = ()> + 'static) {
        drop(Self::join(task));
    }

    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>> {
        let handle = tokio::spawn(AnyThread(local(task)));
        local(async { handle.await.map_err(|error| error.to_string()) })
    }

    fn pending_handle() -> Option<Handle> {
        let handle = tokio::spawn(std::future::pending::<()>());
        Some(Box::new(move || {
            look_at(handle, |output| format!("{output:?}"))
        }))
    }

    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()> {
        let handle = task::spawn_blocking(work);
        local(async { drop(handle.await) })
    }

    fn listen() -> Local<'static, io::Result<(TcpListener, SocketAddr)>> {
        local(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        })
    }

    fn accept(listener: &TcpListener) -> Local<'_, io::Result<TcpStream>> {
        local(async { Ok(listener.accept().await?.0) })
    }

    fn accept_for(_: &TcpListener, _: Duration) -> Option<Local<'_, io::Result<TcpStream>>> {
        None
    }

    fn fd(stream: &TcpStream) -> RawFd {
        stream.as_raw_fd()
    }

    fn read(stream: &mut TcpStream, mut buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            buffer.resize(buffer.capacity(), 0);
            let result = stream.read(&mut buffer).await;
            buffer.truncate(*result.as_ref().unwrap_or(&0));
            (result, buffer)
        })
    }

    fn read_for(_: &mut TcpStream, _: Vec<u8>, _: Duration) -> Option<Local<'_, Buffered>> {
        None
    }

    fn read_exact(stream: &mut TcpStream, mut buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            buffer.resize(buffer.capacity(), 0);
            let result = stream.read_exact(&mut buffer).await;
            (result, buffer)
        })
    }

    fn read_exact_for(_: &mut TcpStream, _: Vec<u8>, _: Duration) -> Option<Local<'_, Buffered>> {
        None
    }

    fn write(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<usize>> {
        local(async move { stream.write(&buffer).await })
    }

    fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<()>> {
        local(async move { stream.write_all(&buffer).await })
    }

    fn reader(stream: TcpStream) -> Option<BufReader<TcpStream>> {
        Some(BufReader::new(stream))
    }

    fn fill(reader: &mut BufReader<TcpStream>) -> Local<'_, io::Result<Vec<u8>>> {
        local(async move {
            let bytes = reader.fill_buf().await?.to_vec();
            reader.consume(bytes.len());
            Ok(bytes)
        })
    }

    fn open(path: &Path) -> Local<'static, io::Result<File>> {
        let path = path.to_owned();
        local(async { File::open(path).await })
    }

    fn create(path: &Path) -> Local<'static, io::Result<File>> {
        let path = path.to_owned();
        local(async { File::create(path).await })
    }

    fn file_fd(file: &File) -> RawFd {
        file.as_raw_fd()
    }

    fn read_file(file: &mut File, mut buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            buffer.resize(buffer.capacity(), 0);
            let result = file.read(&mut buffer).await;
            (result, buffer)
        })
    }
}

/// A future that claims to be `Send`, for a runtime that has only one thread: so the same scenarios
/// serve all contenders.
struct AnyThread(Local<'static, ()>);

// SAFETY: all runtimes here are current-thread ones, which are created, run and dropped on the main
// thread. Other threads hold only wakers and join handles of a task, and drop them after the runtime has
// dropped the future.
unsafe impl Send for AnyThread {}

impl Future for AnyThread {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
