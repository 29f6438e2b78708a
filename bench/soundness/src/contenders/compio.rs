//! compio of this checkout, on either backend.

use std::{io, net::SocketAddr, os::fd::RawFd, path::Path, time::Duration};

use compio::{
    driver::{AsRawFd, BackendKind},
    fs::File,
    io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task,
    time::cancel_after,
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local};

/// The io_uring backend.
pub struct Uring;

/// The readiness backend.
pub struct Poll;

macro_rules! contender {
    ($name:ty, $kind:expr) => {
        impl Contender for $name {
            type Runtime = Runtime;
            type Listener = TcpListener;
            type Stream = TcpStream;
            type Reader = BufReader<TcpStream>;
            type File = File;

            const DOCUMENTED: &'static str = DOCUMENTED;

            fn runtime() -> io::Result<Runtime> {
                Runtime::builder().backend($kind).build()
            }

            fn block_on<T>(runtime: &mut Runtime, main: impl Future<Output = T>) -> T {
                runtime.block_on(main)
            }

            fn sleep(duration: Duration) -> Local<'static, ()> {
                local(compio::time::sleep(duration))
            }

            fn detach(task: impl Future<Output = ()> + 'static) {
                drop(task::spawn(task));
            }

            fn join(
                task: impl Future<Output = ()> + 'static,
            ) -> Local<'static, Result<(), String>> {
                let handle = task::spawn(task);
                local(async { handle.await.map_err(|error| error.to_string()) })
            }

            fn pending_handle() -> Option<Handle> {
                None
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

            fn accept_for(
                listener: &TcpListener,
                patience: Duration,
            ) -> Option<Local<'_, io::Result<TcpStream>>> {
                let accept = cancel_after(patience, listener.accept());
                Some(local(async { Ok(accept.await?.0) }))
            }

            fn fd(stream: &TcpStream) -> RawFd {
                stream.as_raw_fd()
            }

            fn read(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
                local(stream.read(buffer))
            }

            fn read_for(
                stream: &mut TcpStream,
                buffer: Vec<u8>,
                patience: Duration,
            ) -> Option<Local<'_, Buffered>> {
                Some(local(cancel_after(patience, stream.read(buffer))))
            }

            fn read_exact(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
                local(async move {
                    let (result, buffer) = stream.read_exact(buffer).await;
                    (result.map(|()| buffer.len()), buffer)
                })
            }

            fn read_exact_for(
                stream: &mut TcpStream,
                buffer: Vec<u8>,
                patience: Duration,
            ) -> Option<Local<'_, Buffered>> {
                Some(local(cancel_after(
                    patience,
                    Self::read_exact(stream, buffer),
                )))
            }

            fn write(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<usize>> {
                local(async move { stream.write(buffer).await.0 })
            }

            fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<()>> {
                local(async move { stream.write_all(buffer).await.0 })
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
                local(async { File::open_async(path).await })
            }

            fn create(path: &Path) -> Local<'static, io::Result<File>> {
                let path = path.to_owned();
                local(async { File::create_async(path).await })
            }

            fn file_fd(file: &File) -> RawFd {
                file.as_raw_fd()
            }

            fn read_file(file: &mut File, buffer: Vec<u8>) -> Local<'_, Buffered> {
                local(file.read_at(buffer, 0))
            }
        }
    };
}

const DOCUMENTED: &str = "the next receive or accept gets the data or connection of a \
dropped one; `read_exact` loses the bytes in its buffer, `cancel_after` and `CancelToken` lose none; a dropped \
send may have sent nothing, a part or all";

contender!(Uring, BackendKind::IoUring);
contender!(Poll, BackendKind::Poll);
