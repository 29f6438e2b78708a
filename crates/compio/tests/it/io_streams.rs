//! Adapters and helpers of `io`, on real files and sockets.

use std::{future::ready, io::SeekFrom};

use compio::{
    fs::File,
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncWrite, AsyncWriteExt, BufReader,
        Cursor, PollReader, PollWriter, copy_bidirectional, copy_buf, split,
    },
    task::{spawn, yield_now},
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
