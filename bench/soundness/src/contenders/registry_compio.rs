//! The crate with the same name on crates.io.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    time::Duration,
};

use registry_compio::{
    buf::BufResult,
    fs::File,
    io::{
        AsyncBufRead, AsyncRead, AsyncReadAt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    },
    net::{TcpListener, TcpStream},
    runtime::{self, CancelToken, FutureExt, Runtime},
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local, look_at};

/// See the module.
pub struct RegistryCompio;

impl Contender for RegistryCompio {
    type Runtime = Runtime;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = BufReader<TcpStream>;
    type File = File;

    const DOCUMENTED: &'static str = "a `BufReader` whose `fill_buf` was dropped panics at the next; \
        `with_cancel` cancels operations and returns result and buffer; blocking work is not \
        cancelled by a drop";

    fn runtime() -> io::Result<Runtime> {
        Runtime::new()
    }

    fn block_on<T>(runtime: &mut Runtime, main: impl Future<Output = T>) -> T {
        runtime.block_on(main)
    }

    fn sleep(duration: Duration) -> Local<'static, ()> {
        local(async move { registry_compio::time::sleep(duration).await })
    }

    fn detach(task: impl Future<Output = ()> + 'static) {
        runtime::spawn(task).detach();
    }

    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>> {
        let handle = runtime::spawn(task);
        local(async { handle.await.map_err(|error| error.to_string()) })
    }

    fn pending_handle() -> Option<Handle> {
        let handle = runtime::spawn(std::future::pending::<()>());
        Some(Box::new(move || {
            look_at(handle, |output| format!("{output:?}"))
        }))
    }

    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()> {
        let handle = runtime::spawn_blocking(work);
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
        Some(local(give_up(Self::accept(listener), patience)))
    }

    fn fd(stream: &TcpStream) -> RawFd {
        stream.as_raw_fd()
    }

    fn read(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            let BufResult(result, buffer) = stream.read(buffer).await;
            (result, buffer)
        })
    }

    fn read_for(
        stream: &mut TcpStream,
        buffer: Vec<u8>,
        patience: Duration,
    ) -> Option<Local<'_, Buffered>> {
        Some(local(give_up(Self::read(stream, buffer), patience)))
    }

    fn read_exact(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            let BufResult(result, buffer) = stream.read_exact(buffer).await;
            (result.map(|()| buffer.len()), buffer)
        })
    }

    fn read_exact_for(
        stream: &mut TcpStream,
        buffer: Vec<u8>,
        patience: Duration,
    ) -> Option<Local<'_, Buffered>> {
        Some(local(give_up(Self::read_exact(stream, buffer), patience)))
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
        local(async move {
            let BufResult(result, buffer) = file.read_at(buffer, 0).await;
            (result, buffer)
        })
    }
}

/// Waits, cancels after a timeout, and waits for the result.
async fn give_up<T>(reading: Local<'_, T>, patience: Duration) -> T {
    let token = CancelToken::new();
    let mut reading = std::pin::pin!(reading.with_cancel(token.clone()));
    let timer = registry_compio::time::sleep(patience);
    let read = futures_lite::future::or(async { Some(reading.as_mut().await) }, async {
        timer.await;
        None
    });
    match read.await {
        Some(output) => output,
        None => {
            token.cancel();
            reading.await
        }
    }
}
