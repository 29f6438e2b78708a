//! Adapters and helpers of `io`, on real files and sockets.

use std::{
    future::ready,
    io::{Read, SeekFrom, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use compio::{
    fs::File,
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncWrite, AsyncWriteExt, BufReader,
        Cursor, PollReader, PollWriter, copy_bidirectional, copy_buf, join, split,
    },
    net::{OwnedReadHalf, TcpStream},
    task::{spawn, yield_now},
    time::sleep,
};

use crate::support::{First, pattern, run, select, streams, tcp_pair};

#[test]
fn a_file_is_copied_from_start_to_end() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, pattern(300_000)).unwrap();
        let mut reader = BufReader::new(Cursor::new(File::open(&from).unwrap()));
        let mut writer = Cursor::new(File::create(&to).unwrap());
        assert_eq!(copy_buf(&mut reader, &mut writer).await.unwrap(), 300_000);
        assert_eq!(writer.position(), 300_000);
        assert!(std::fs::read(&to).unwrap() == pattern(300_000));
        let end = AsyncSeek::seek(&mut writer, SeekFrom::End(-10))
            .await
            .unwrap();
        assert_eq!(end, 299_990);
        writer.set_position(1);
        writer.write_u32_le(7).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap()[1..5], [7, 0, 0, 0]);
        let mut memory = std::io::Cursor::new(pattern(10));
        AsyncSeek::seek(&mut memory, SeekFrom::End(-1))
            .await
            .unwrap();
        assert_eq!(memory.read_u8().await.unwrap(), pattern(10)[9]);
    });
}

#[test]
fn a_relay_goes_both_ways_until_both_have_ended() {
    run(async {
        let (mut client, front) = tcp_pair().await;
        let (back, mut server) = streams();
        let relay = spawn(async move { copy_bidirectional(&front, &back).await });
        let echo = spawn(async move {
            let (read, bytes) = server.read_to_end(Vec::new()).await;
            read.unwrap();
            server.write_all(bytes).await.0.unwrap();
        });
        client.write_all(pattern(200_000)).await.0.unwrap();
        client.shutdown().await.unwrap();
        let (read, bytes) = client.read_to_end(Vec::new()).await;
        read.unwrap();
        assert!(bytes == pattern(200_000));
        echo.await.unwrap();
        assert_eq!(relay.await.unwrap().unwrap(), (200_000, 200_000));
    });
}

#[test]
fn reads_dropped_in_a_select_lose_nothing() {
    run(async {
        let (client, server) = tcp_pair().await;
        let (_reader, mut writer) = client.into_split();
        let sender = spawn(async move {
            for chunk in pattern(20_000).chunks(97) {
                writer.write_all(chunk.to_vec()).await.0.unwrap();
                yield_now().await;
            }
        });
        let mut reader = PollReader::with_capacity(61, server);
        let (mut seen, mut dropped) = (Vec::new(), 0);
        while seen.len() < 20_000 {
            match select(reader.read(Vec::with_capacity(50)), ready(())).await {
                First::Left((read, buffer)) => {
                    assert!(read.unwrap() > 0);
                    seen.extend(buffer);
                }
                First::Right(()) => {
                    dropped += 1;
                    yield_now().await;
                }
            }
        }
        assert!(seen == pattern(20_000));
        assert!(dropped > 0);
        sender.await.unwrap();
    });
}

#[test]
fn writes_dropped_in_a_select_neither_lose_nor_repeat() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let receiver = spawn(async move { server.read_to_end(Vec::new()).await.1 });
        let (_reader, writer) = split(client);
        let mut writer = PollWriter::with_capacity(1000, writer);
        let content = pattern(500_000);
        let (mut begin, mut dropped) = (0, 0);
        while begin < content.len() {
            let end = content.len().min(begin + 1500);
            let write = writer.write(content[begin..end].to_vec());
            match select(write, ready(())).await {
                First::Left((written, _)) => begin += written.unwrap(),
                First::Right(()) => {
                    dropped += 1;
                    yield_now().await;
                }
            }
        }
        assert!(dropped > 0);
        while let First::Right(()) = select(writer.shutdown(), yield_now()).await {}
        assert!(receiver.await.unwrap() == content);
    });
}

#[test]
fn lines_of_a_socket() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        client.write_all("one\r\ntwo\nthree").await.0.unwrap();
        drop(client);
        let mut lines = BufReader::new(server).lines();
        for line in ["one", "two", "three"] {
            assert_eq!(lines.next_line().await.unwrap().unwrap(), line);
        }
        assert_eq!(lines.next_line().await.unwrap(), None);
    });
}

/// Polls once, and waits until the read has woken its task. Its bytes are not taken.
async fn complete(reader: &mut PollReader<OwnedReadHalf<TcpStream>>, send: impl FnOnce()) {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    assert!(reader.poll_fill_buf(&mut cx).is_pending());
    send();
    while !flag.0.load(Ordering::Acquire) {
        sleep(Duration::from_millis(1)).await;
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Two ends of a connection; std has one of them.
async fn half_std_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = tcp_pair().await;
    (ours, theirs.into_std().expect("the only handle"))
}

#[test]
fn cancelled_poll_reader_returns_its_connection() {
    run(async {
        let (server, mut client) = half_std_pair().await;
        let (reader, writer) = server.into_split();
        let mut reader = PollReader::new(reader);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(reader.poll_fill_buf(&mut cx).is_pending());
        let mut reader = reader.into_parts().expect_err("a read is in flight");
        reader.cancel().await.unwrap();
        let (reader, bytes) = reader.into_parts().expect("no read is in flight");
        assert!(bytes.is_empty());
        let mut server = reader.reunite(writer).expect("two halves of one stream");
        client.write_all(b"later").unwrap();
        assert_eq!(server.read_exact([0; 5]).await.1, *b"later");
        server.into_std().expect("the only handle");
    });
}

#[test]
fn cancelled_poll_reader_has_the_bytes_of_a_completed_read() {
    run(async {
        let (server, mut client) = half_std_pair().await;
        let (reader, writer) = server.into_split();
        let mut reader = PollReader::new(reader);
        complete(&mut reader, || client.write_all(b"hello").unwrap()).await;
        reader.cancel().await.unwrap();
        let (reader, bytes) = reader.into_parts().expect("no read is in flight");
        assert_eq!(bytes, b"hello");
        let server = reader.reunite(writer).expect("two halves of one stream");
        server.into_std().expect("no bytes are kept");
    });
}

#[test]
fn cancel_races_arriving_bytes_and_loses_none() {
    run(async {
        const ROUNDS: usize = 200;
        let (server, mut client) = half_std_pair().await;
        let (mut reader, writer) = server.into_split();
        let sender = std::thread::spawn(move || {
            for byte in pattern(ROUNDS) {
                client.write_all(&[byte]).unwrap();
            }
            client
        });
        let mut all = Vec::new();
        for round in 0..ROUNDS {
            let mut polled = PollReader::new(reader);
            let begun = polled.poll_fill_buf(&mut Context::from_waker(Waker::noop()));
            drop(begun);
            if round % 3 == 0 {
                yield_now().await;
            }
            polled.cancel().await.unwrap();
            let bytes;
            (reader, bytes) = polled.into_parts().expect("no read is in flight");
            all.extend(bytes);
        }
        let mut server = reader.reunite(writer).expect("two halves of one stream");
        let (read, rest) = server.read_exact(vec![0; ROUNDS - all.len()]).await;
        read.unwrap();
        all.extend(rest);
        assert_eq!(all, pattern(ROUNDS));
        drop(sender.join());
    });
}

#[test]
fn joined_stream_returns_the_connection_after_an_upgrade() {
    run(async {
        let (server, mut client) = half_std_pair().await;
        let (reader, writer) = server.into_split();
        let mut stream = join(PollReader::new(reader), PollWriter::new(writer));
        stream.write_all("101").await.0.unwrap();
        complete(stream.reader_mut(), || client.write_all(b"ahead").unwrap()).await;
        let (reader, writer, ahead) = stream.into_parts().await.unwrap();
        assert_eq!(ahead, b"ahead");
        let server = reader.reunite(writer).expect("two halves of one stream");
        server.into_std().expect("the only handle");
        let mut answer = [0; 3];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"101");
    });
}
