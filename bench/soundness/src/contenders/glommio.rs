//! glommio, one unplaced executor.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    time::Duration,
};

use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use glommio::{
    LocalExecutor, LocalExecutorBuilder, Placement,
    io::BufferedFile,
    net::{Preallocated, TcpListener, TcpStream},
};

use crate::common::local;
use crate::contender::{Buffered, Contender, Handle, Local};

/// See the module.
pub struct Glommio;

impl Contender for Glommio {
    type Runtime = LocalExecutor;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = TcpStream<Preallocated>;
    type File = BufferedFile;

    const DOCUMENTED: &'static str = "a task that panics is cancelled, and awaiting it panics; its \
        detached handle gives `None`";

    fn runtime() -> io::Result<LocalExecutor> {
        Ok(LocalExecutorBuilder::new(Placement::Unbound).make()?)
    }

    fn block_on<T>(runtime: &mut LocalExecutor, main: impl Future<Output = T>) -> T {
        runtime.run(main)
    }

    fn sleep(duration: Duration) -> Local<'static, ()> {
        local(async move { glommio::timer::sleep(duration).await })
    }

    fn detach(task: impl Future<Output = ()> + 'static) {
        drop(glommio::spawn_local(task).detach());
    }

    fn join(task: impl Future<Output = ()> + 'static) -> Local<'static, Result<(), String>> {
        let handle = glommio::spawn_local(task).detach();
        local(async { handle.await.ok_or_else(|| "None".into()) })
    }

    fn pending_handle() -> Option<Handle> {
        None
    }

    fn blocking(work: impl FnOnce() + Send + 'static) -> Local<'static, ()> {
        local(glommio::executor().spawn_blocking(work))
    }

    fn listen() -> Local<'static, io::Result<(TcpListener, SocketAddr)>> {
        local(async {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        })
    }

    fn accept(listener: &TcpListener) -> Local<'_, io::Result<TcpStream>> {
        local(async { Ok(listener.accept().await?) })
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
            (result.map(|()| buffer.len()), buffer)
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

    fn reader(stream: TcpStream) -> Option<TcpStream<Preallocated>> {
        Some(stream.buffered())
    }

    fn fill(reader: &mut TcpStream<Preallocated>) -> Local<'_, io::Result<Vec<u8>>> {
        local(async move {
            let bytes = reader.fill_buf().await?.to_vec();
            reader.consume(bytes.len());
            Ok(bytes)
        })
    }

    fn open(path: &Path) -> Local<'static, io::Result<BufferedFile>> {
        let path = path.to_owned();
        local(async move { Ok(BufferedFile::open(path).await?) })
    }

    fn create(path: &Path) -> Local<'static, io::Result<BufferedFile>> {
        let path = path.to_owned();
        local(async move { Ok(BufferedFile::create(path).await?) })
    }

    fn file_fd(file: &BufferedFile) -> RawFd {
        file.as_raw_fd()
    }

    fn read_file(file: &mut BufferedFile, buffer: Vec<u8>) -> Local<'_, Buffered> {
        local(async move {
            match file.read_at(0, buffer.capacity()).await {
                Ok(read) => (Ok(read.len()), read.to_vec()),
                Err(error) => (Err(error.into()), buffer),
            }
        })
    }
}
