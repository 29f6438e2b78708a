//! tokio-uring.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    time::Duration,
};

use tokio_uring::{
    Runtime,
    fs::File,
    net::{TcpListener, TcpStream},
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local, look_at};

/// See the module.
pub struct TokioUring;

impl Contender for TokioUring {
    type Runtime = Runtime;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = ();
    type File = File;

    const DOCUMENTED: &'static str = "dropped handles are closed in the background, at an \
        unspecified time";

    fn runtime() -> io::Result<Runtime> {
        Runtime::new(&tokio_uring::builder())
    }

    fn block_on<T>(runtime: &mut Runtime, main: impl Future<Output = T>) -> T {
        runtime.block_on(main)
    }

    fn sleep(duration: Duration) -> Local<'static, ()> {
        local(async move { tokio::time::sleep(duration).await })
    }

    fn detach(task: impl Future<Output = ()> + 'static) {
        drop(tokio_uring::spawn(task));
    }

    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>> {
        let handle = tokio_uring::spawn(task);
        local(async { handle.await.map_err(|error| error.to_string()) })
    }

    fn pending_handle() -> Option<Handle> {
        let handle = tokio_uring::spawn(std::future::pending::<()>());
        Some(Box::new(move || {
            look_at(handle, |output| format!("{output:?}"))
        }))
    }

    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()> {
        let handle = tokio::task::spawn_blocking(work);
        local(async { drop(handle.await) })
    }

    fn listen() -> Local<'static, io::Result<(TcpListener, SocketAddr)>> {
        local(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
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

    fn read(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(stream.read(buffer))
    }

    fn read_for(_: &mut TcpStream, _: Vec<u8>, _: Duration) -> Option<Local<'_, Buffered>> {
        None
    }

    /// Streams have no `read_exact`: this loop replaces it.
    fn read_exact(stream: &mut TcpStream, mut buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            let wanted = buffer.capacity();
            let mut filled = Vec::with_capacity(wanted);
            loop {
                let (result, read) = stream.read(buffer).await;
                match result {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), filled),
                    Ok(length) => filled.extend(&read[..length]),
                    Err(error) => return (Err(error), filled),
                }
                if filled.len() >= wanted {
                    return (Ok(wanted), filled);
                }
                buffer = Vec::with_capacity(wanted - filled.len());
            }
        })
    }

    fn read_exact_for(_: &mut TcpStream, _: Vec<u8>, _: Duration) -> Option<Local<'_, Buffered>> {
        None
    }

    fn write(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<usize>> {
        local(async move { stream.write(buffer).submit().await.0 })
    }

    fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<()>> {
        local(async move { stream.write_all(buffer).await.0 })
    }

    fn reader(_: TcpStream) -> Option<()> {
        None
    }

    fn fill((): &mut ()) -> Local<'_, io::Result<Vec<u8>>> {
        unreachable!("there is no reader")
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

    fn read_file(file: &mut File, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(file.read_at(buffer, 0))
    }
}
