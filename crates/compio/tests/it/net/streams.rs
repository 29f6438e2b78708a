//! Tests of the behaviour that all streams share. They run on TCP here, and elsewhere on streams that
//! only some systems have.

use std::io;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::{spawn, yield_now},
};

use crate::support::{Stream, check_code, check_kind, code, pattern, run, std_streams, tcp_pair};

/// A test of each kind for a pair of streams.
macro_rules! tests_of_a_pair {
    ($pair:expr) => {
        tests_of_a_pair! { $pair =>
            written_bytes_are_read: echo;
            eof_is_read_repeatedly: end;
            one_direction_is_shut_down_and_the_other_goes_on: half_close;
            empty_buffers_end_at_once: empty;
            vectored_reads_and_writes_go_through_the_buffers_in_turn: vectored;
            a_write_without_a_reader_fails_without_a_signal: broken_pipe;
            read_exact_at_the_end_fails_and_the_buffer_comes_back: short;
            huge_transfers_go_both_ways_at_once: huge;
            references_are_readers_and_writers: references;
        }
    };
    ($pair:expr => $($name:ident: $body:ident;)*) => {$(
        #[test]
        fn $name() {
            crate::support::run(async { crate::net::streams::$body($pair).await });
        }
    )*};
}

mod tcp {
    tests_of_a_pair!(crate::support::tcp_pair().await);
}

pub(crate) async fn echo<S: AsyncRead + AsyncWrite + 'static>((mut client, mut server): (S, S)) {
    let echo = spawn(async move {
        let mut buffer = Vec::with_capacity(100);
        loop {
            let read;
            (read, buffer) = server.read(buffer).await;
            if read.unwrap() == 0 {
                return;
            }
            let written;
            (written, buffer) = server.write_all(buffer).await;
            written.unwrap();
        }
    });
    for len in [1, 99, 100, 101, 5_000] {
        client.write_all(pattern(len)).await.0.unwrap();
        let (read, buffer) = client.read_exact(vec![0; len]).await;
        read.unwrap();
        assert_eq!(buffer, pattern(len));
    }
    client.flush().await.unwrap();
    drop(client);
    echo.await.unwrap();
}

pub(crate) async fn end<S: AsyncRead + AsyncWrite>((client, mut server): (S, S)) {
    drop(client);
    for _ in 0..3 {
        let (read, buffer) = server.read(b"stale".to_vec()).await;
        assert_eq!(read.unwrap(), 0);
        assert!(buffer.is_empty());
    }
}

pub(crate) async fn half_close<S: AsyncRead + AsyncWrite>((mut client, mut server): (S, S)) {
    client.write_all("question").await.0.unwrap();
    client.shutdown().await.unwrap();
    let (read, question) = server.read_to_end(Vec::new()).await;
    assert_eq!((read.unwrap(), &question[..]), (8, &b"question"[..]));
    server.write_all("answer").await.0.unwrap();
    let (read, answer) = client.read_exact([0; 6]).await;
    read.unwrap();
    assert_eq!(&answer, b"answer");
    let (written, buffer) = client.write(b"more".to_vec()).await;
    check_code(written, code::SHUT_DOWN);
    assert_eq!(buffer, b"more");
}

pub(crate) async fn empty<S: AsyncRead + AsyncWrite>((mut client, mut server): (S, S)) {
    assert_eq!(client.write("").await.0.unwrap(), 0);
    client.write_all("x").await.0.unwrap();
    assert_eq!(server.read([0; 0]).await.0.unwrap(), 0);
    let none: Vec<Vec<u8>> = Vec::new();
    assert_eq!(client.write_vectored(none.clone()).await.0.unwrap(), 0);
    let (read, buffer) = server.read(Vec::with_capacity(8)).await;
    assert_eq!((read.unwrap(), &buffer[..]), (1, &b"x"[..]));
}

pub(crate) async fn vectored<S: AsyncRead + AsyncWrite>((mut client, mut server): (S, S)) {
    let buffers = [b"abc".to_vec(), Vec::new(), b"defgh".to_vec()];
    let (written, buffers) = client.write_vectored(buffers).await;
    assert_eq!(written.unwrap(), 8);
    assert_eq!(buffers[2], b"defgh");
    let room = [
        Vec::with_capacity(2),
        Vec::with_capacity(0),
        Vec::with_capacity(100),
    ];
    let (read, buffers) = server.read_vectored(room).await;
    assert_eq!(read.unwrap(), 8);
    assert_eq!(buffers, [&b"ab"[..], b"", b"cdefgh"]);
}

pub(crate) async fn broken_pipe<S: AsyncRead + AsyncWrite>((client, mut server): (S, S)) {
    drop(client);
    // The first writes may succeed, until the peer's reset arrives.
    let error = loop {
        let (written, buffer) = server.write(b"hello".to_vec()).await;
        assert_eq!(buffer, b"hello");
        match written {
            Ok(_) => yield_now().await,
            Err(error) => break error,
        }
    };
    let gone = [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
    ];
    assert!(gone.contains(&error.kind()), "{error}");
}

pub(crate) async fn short<S: AsyncRead + AsyncWrite>((mut client, mut server): (S, S)) {
    client.write_all("hello").await.0.unwrap();
    drop(client);
    let (read, buffer) = server.read_exact(vec![b'-'; 8]).await;
    check_kind(read, io::ErrorKind::UnexpectedEof);
    assert_eq!(buffer[..5], *b"hello");
}

pub(crate) async fn huge<S>((client, server): (S, S))
where
    S: 'static,
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    const LEN: usize = 16 << 20;
    let ends = [client, server].map(std::rc::Rc::new);
    let mut tasks = Vec::new();
    for end in ends {
        let writer = end.clone();
        tasks.push(spawn(async move {
            (&*writer).write_all(pattern(LEN)).await.0.unwrap();
        }));
        tasks.push(spawn(async move {
            let (read, buffer) = (&*end).read_exact(Vec::with_capacity(LEN)).await;
            read.unwrap();
            assert!(buffer == pattern(LEN));
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

pub(crate) async fn references<S>((client, server): (S, S))
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    (&client).write_all("hello").await.0.unwrap();
    let (read, buffer) = (&server).read_exact([0; 5]).await;
    read.unwrap();
    assert_eq!(&buffer, b"hello");
    (&client).shutdown().await.unwrap();
    assert_eq!((&server).read([0; 1]).await.0.unwrap(), 0);
}

#[test]
fn a_stream_goes_to_std_and_to_another_thread_and_back() {
    run(async {
        let (client, server) = tcp_pair().await;
        let server = server.into_std().unwrap();
        let there = std::thread::spawn(move || {
            run(async {
                let mut server = TcpStream::from_std(server).unwrap();
                let (read, buffer) = server.read_exact(vec![0; 5]).await;
                read.unwrap();
                server.write_all(buffer).await.0.unwrap();
            });
        });
        (&client).write_all("hello").await.0.unwrap();
        let (read, _) = (&client).read_exact(vec![0; 5]).await;
        read.unwrap();
        there.join().unwrap();
    });
}

#[test]
fn operations_of_a_nonblocking_std_stream_wait() {
    run(async {
        let (ours, theirs) = std_streams();
        ours.set_nonblocking(true).unwrap();
        let mut ours = Stream::from_std(ours).unwrap();
        let read = spawn(async move { ours.read(Vec::with_capacity(8)).await.1 });
        yield_now().await;
        io::Write::write_all(&mut &theirs, b"hello").unwrap();
        assert_eq!(read.await.unwrap(), b"hello");
    });
}

#[test]
fn a_stream_with_a_read_in_flight_is_not_unwrapped() {
    run(async {
        let (client, server) = tcp_pair().await;
        {
            let mut reader = &server;
            let mut read = Box::pin(reader.read(Vec::with_capacity(8)));
            crate::support::begin(&mut read).await;
        }
        // The read is dropped, but has not completed yet.
        let mut server = server;
        loop {
            match server.into_std() {
                Ok(_) => break,
                Err(stream) => server = stream,
            }
            yield_now().await;
        }
        drop(client);
    });
}
