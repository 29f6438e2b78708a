//! Bodies that are read from files.

use std::{
    cell::Cell,
    convert::Infallible,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use compio::{
    buf::{BufResult, IoBufMut, IoVectoredBufMut},
    fs::File,
    io::AsyncReadAt,
    net::TcpListener,
    task::block_on,
};
use compio_http::{FileBody, RequestBody, serve};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Body, service::service_fn};

/// More than one read.
const LEN: usize = 200_000;

fn content() -> Vec<u8> {
    (0..LEN).map(|index| (index * 7 / 3) as u8).collect()
}

/// A file with the content.
fn file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content()).unwrap();
    file
}

#[test]
fn ranges_of_a_file_are_read() {
    let path = file().into_temp_path();
    block_on(async {
        let len = LEN as u64;
        for range in [0..len, 1..2, 65_535..65_537, 100_000..len, len..len] {
            let file = File::open(&path).unwrap();
            let body = FileBody::new(file, range.clone());
            assert_eq!(body.size_hint().exact(), Some(range.end - range.start));
            let read = body.collect().await.unwrap().to_bytes();
            let expected = &content()[range.start as usize..range.end as usize];
            assert!(read == expected, "{range:?}");

            let file = File::open(&path).unwrap();
            let body = FileBody::start(file, range.clone()).await.unwrap();
            assert_eq!(body.size_hint().exact(), Some(range.end - range.start));
            assert_eq!(body.is_end_stream(), range.is_empty());
            let read = body.collect().await.unwrap().to_bytes();
            assert!(read == expected, "{range:?}, started");
        }
    });
}

#[test]
fn a_file_that_is_too_short_is_an_unexpected_eof() {
    let path = file().into_temp_path();
    block_on(async {
        let file = File::open(&path).unwrap();
        let mut body = FileBody::new(file, 0..LEN as u64 + 1);
        let mut read = 0;
        let error = loop {
            match body.frame().await.expect("no end without the last byte") {
                Ok(frame) => read += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!((read, error.kind()), (LEN, io::ErrorKind::UnexpectedEof));
        assert!(body.frame().await.is_none(), "one error");
    });
}

#[test]
fn a_start_behind_the_end_of_a_file_fails_at_once() {
    let path = file().into_temp_path();
    block_on(async {
        let file = File::open(&path).unwrap();
        let error = FileBody::start(file, LEN as u64..LEN as u64 + 1).await;
        let error = error.map(drop).expect_err("no byte");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
#[should_panic(expected = "not a range")]
#[expect(clippy::reversed_empty_ranges, reason = "an invalid range")]
fn a_range_that_ends_before_its_start_panics() {
    let _ = FileBody::new(&b"abc"[..], 2..1);
}

/// A source without an end, which reports the number of its reads when it is dropped.
struct Endless(Cell<usize>, mpsc::Sender<usize>);

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.get());
    }
}

impl AsyncReadAt for Endless {
    async fn read_at<B: IoBufMut>(&self, buf: B, _: u64) -> BufResult<usize, B> {
        self.0.set(self.0.get() + 1);
        [b'x'; 65_536].read_at(buf, 0).await
    }

    async fn read_vectored_at<V: IoVectoredBufMut>(&self, buf: V, _: u64) -> BufResult<usize, V> {
        (Err(io::ErrorKind::Unsupported.into()), buf)
    }
}

/// Serves endless bodies on a thread of its own. The receiver gets the number of reads after the end of each.
fn serve_endless() -> (SocketAddr, mpsc::Receiver<usize>) {
    let (send, receive) = mpsc::channel();
    let (report, reads) = mpsc::channel();
    thread::spawn(move || {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let service = service_fn(move |_: Request<RequestBody>| {
                let source = Endless(Cell::new(0), report.clone());
                async move { Ok::<_, Infallible>(Response::new(FileBody::new(source, 0..1 << 40))) }
            });
            serve(listener, service).await
        })
    });
    (receive.recv().unwrap(), reads)
}

#[test]
fn a_peer_that_leaves_ends_the_reads() {
    let (address, reads) = serve_endless();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut head = [0; 1000];
    peer.read_exact(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.contains("content-length: 1099511627776"), "{head}");
    drop(peer);
    let reads = reads.recv_timeout(Duration::from_secs(60)).expect("an end");
    // The buffers of the sockets have room for some megabytes.
    assert!(reads < 1000, "{reads} reads");
}
