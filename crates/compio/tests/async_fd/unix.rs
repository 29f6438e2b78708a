//! Pipes and files.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    pin::pin,
};

use compio::{op::Readiness, runtime::AsyncFd};

use crate::support::{begin, run};

fn pipe() -> (AsyncFd<OwnedFd>, File) {
    let (reader, writer) = io::pipe().unwrap();
    (
        AsyncFd::new(OwnedFd::from(reader)).unwrap(),
        File::from(OwnedFd::from(writer)),
    )
}

#[test]
fn a_pipe_that_blocks() {
    run(async {
        let (reader, mut writer) = pipe();
        let mut read = pin!(reader.read_with(|fd| {
            let mut buffer = [0; 64];
            let len = File::from(fd.try_clone()?).read(&mut buffer)?;
            Ok(buffer[..len].to_vec())
        }));
        begin(read.as_mut()).await;
        writer.write_all(b"hello").unwrap();
        assert_eq!(read.await.unwrap(), b"hello");
        drop(writer);
        let ready = reader.ready(Readiness::READABLE).await.unwrap();
        assert!(ready.contains(Readiness::HANG_UP));
    });
}

#[test]
fn a_pipe_without_a_reader() {
    run(async {
        let (reader, writer) = pipe();
        let writer = AsyncFd::new(writer).unwrap();
        drop(reader);
        writer.writable().await.unwrap();
        let error = writer
            .write_with(|mut pipe| pipe.write(b"x"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn s24_a_regular_file_is_always_ready() {
    run(async {
        let file = AsyncFd::new(tempfile::tempfile().unwrap()).unwrap();
        file.readable().await.unwrap();
        file.writable().await.unwrap();
    });
}

#[test]
fn the_descriptor_is_the_adopted_one() {
    let (reader, _writer) = pipe();
    assert_eq!(reader.as_raw_fd(), reader.get_ref().as_raw_fd());
}
