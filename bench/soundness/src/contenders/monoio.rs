//! monoio on its io_uring driver.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    time::Duration,
};

use monoio::{
    IoUringDriver, Runtime, RuntimeBuilder,
    blocking::DefaultThreadPool,
    fs::File,
    io::{
        AsyncBufRead, AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt,
        BufReader, CancelableAsyncReadRent, CancelableAsyncReadRentExt, Canceller,
    },
    net::{TcpListener, TcpStream},
    time::TimeDriver,
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local, look_at};

/// See the module.
pub struct Monoio;

impl Contender for Monoio {
    type Runtime = Runtime<TimeDriver<IoUringDriver>>;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = BufReader<TcpStream>;
    type File = File;

    const DOCUMENTED: &'static str = "`CancelableAsyncReadRent` cancels an operation and returns its \
        result and its buffer";

    fn runtime() -> io::Result<Self::Runtime> {
        RuntimeBuilder::<IoUringDriver>::new()
            .attach_thread_pool(Box::new(DefaultThreadPool::new(4)))
            .enable_timer()
            .build()
    }

    fn block_on<T>(runtime: &mut Self::Runtime, main: impl Future<Output = T>) -> T {
        runtime.block_on(main)
    }

    fn sleep(duration: Duration) -> Local<'static, ()> {
        local(async move { monoio::time::sleep(duration).await })
    }

    fn detach(task: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(task));
    }

    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>> {
        let handle = monoio::spawn(task);
        local(async {
            handle.await;
            Ok(())
        })
    }

    fn pending_handle() -> Option<Handle> {
        let handle = monoio::spawn(std::future::pending::<()>());
        Some(Box::new(move || {
            look_at(handle, |output| format!("{output:?}"))
        }))
    }

    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()> {
        let handle = monoio::spawn_blocking(work);
        local(async { handle.await.unwrap_or_default() })
    }

    fn listen() -> Local<'static, io::Result<(TcpListener, SocketAddr)>> {
        local(async {
            let listener = TcpListener::bind("127.0.0.1:0")?;
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
        let canceller = Canceller::new();
        let accept = listener.cancelable_accept(canceller.handle());
        let accept = give_up(accept, canceller, patience);
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
        let canceller = Canceller::new();
        let reading = stream.cancelable_read(buffer, canceller.handle());
        Some(local(give_up(reading, canceller, patience)))
    }

    fn read_exact(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(stream.read_exact(buffer))
    }

    fn read_exact_for(
        stream: &mut TcpStream,
        buffer: Vec<u8>,
        patience: Duration,
    ) -> Option<Local<'_, Buffered>> {
        let canceller = Canceller::new();
        let reading = stream.cancelable_read_exact(buffer, canceller.handle());
        Some(local(give_up(reading, canceller, patience)))
    }

    fn write(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<usize>> {
        local(async move { stream.write(buffer).await.0 })
    }

    fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> Local<'_, io::Result<()>> {
        local(async move { stream.write_all(buffer).await.0.map(|_| ()) })
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
        local(file.read_at(buffer, 0))
    }
}

/// Waits, cancels after a timeout, and waits for the result, as in the documentation's example.
async fn give_up<T>(
    reading: impl Future<Output = T>,
    canceller: Canceller,
    patience: Duration,
) -> T {
    let mut reading = std::pin::pin!(reading);
    let timer = std::pin::pin!(monoio::time::sleep(patience));
    let read = futures_lite::future::or(async { Some(reading.as_mut().await) }, async {
        timer.await;
        None
    });
    match read.await {
        Some(output) => output,
        None => {
            canceller.cancel();
            reading.await
        }
    }
}
