//! `copy`, `copy_buf`, `copy_bidirectional`.

use std::io::ErrorKind;

use compio_io::io::{
    AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy, copy_bidirectional, copy_buf, duplex,
};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, poll_times, stutter};

#[test]
fn nothing_to_copy() {
    let (mut source, mut sink) = (Scripted::new(b"", &[]), Scripted::sink(&[]));
    assert_eq!(block_on(copy(&mut source, &mut sink)).unwrap(), 0);
    assert_eq!((sink.operations, sink.flushed), (0, 0));
}

#[test]
fn more_than_the_buffer_holds() {
    let content: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let mut sink = Vec::new();
    let copied = block_on(copy(&mut &content[..], &mut sink)).unwrap();
    assert_eq!(copied, 200_000);
    assert_eq!(sink, content);
}

#[test]
fn failures_of_either_side_stop_the_copy() {
    let mut source = Scripted::new(b"abc", &[Step::Move(2), Step::Fail]);
    let mut sink = Scripted::sink(&[]);
    let error = block_on(copy(&mut source, &mut sink)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sink.bytes, b"ab");

    let mut source = Scripted::new(b"abc", &[]);
    let mut sink = Scripted::sink(&[Step::Move(1), Step::Move(0)]);
    let error = block_on(copy(&mut source, &mut sink)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!(sink.bytes, b"a");
}

#[test]
fn dropped_copy_keeps_the_written_bytes() {
    let mut source = Scripted::new(b"abcdef", &[Step::Move(2), Step::Move(2)]);
    let mut sink = Scripted::sink(&[Step::Move(2), Step::Hang]);
    assert!(poll_once(copy(&mut source, &mut sink)).is_none());
    assert_eq!((source.unread(), &sink.bytes[..]), (&b"ef"[..], &b"ab"[..]));
    assert_eq!(block_on(copy(&mut source, &mut sink)).unwrap(), 2);
    assert_eq!(sink.bytes, b"abef");
}

#[test]
fn copy_buf_consumes_only_the_written_bytes() {
    let mut source = BufReader::with_capacity(4, &b"abcdefgh"[..]);
    let mut sink = Scripted::sink(&[Step::Move(3), Step::Interrupt, Step::Move(0)]);
    let error = block_on(copy_buf(&mut source, &mut sink)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!((&sink.bytes[..], source.buffer()), (&b"abc"[..], &b"d"[..]));
    assert_eq!(block_on(copy_buf(&mut source, &mut sink)).unwrap(), 5);
    assert_eq!(sink.bytes, b"abcdefgh");
}

#[test]
fn dropped_copy_out_of_a_buffer_can_be_resumed() {
    let content = b"abcdefghijklmnop";
    let script = [Step::Wait, Step::Move(3)].repeat(8);
    for polls in 0..20 {
        let mut source = BufReader::with_capacity(5, Scripted::new(content, &script));
        let mut sink = Scripted::sink(&script);
        poll_times(polls, copy_buf(&mut source, &mut sink));
        block_on(copy_buf(&mut source, &mut sink)).unwrap();
        // The scripted sink takes nothing of a dropped write.
        assert_eq!(sink.bytes, content);
    }
}

#[test]
fn each_direction_ends_by_itself() {
    block_on(async {
        let (mut client, front) = duplex(8);
        let (back, mut server) = duplex(8);
        let mut relay = Box::pin(copy_bidirectional(&front, &back));
        client.write_all("question").await.0.unwrap();
        client.shutdown().await.unwrap();
        assert!(poll_once(relay.as_mut()).is_none());
        assert_eq!(server.read_to_end(Vec::new()).await.1, b"question");
        server.write_all("answer").await.0.unwrap();
        assert!(poll_once(relay.as_mut()).is_none());
        assert_eq!(client.read_exact([0; 6]).await.1, *b"answer");
        drop(server);
        assert_eq!(relay.await.unwrap(), (8, 6));
        assert_eq!(client.read_to_end(Vec::new()).await.1, b"");
    });
}

#[test]
fn failure_of_one_direction_ends_both() {
    block_on(async {
        let (mut client, front) = duplex(8);
        let (back, server) = duplex(8);
        drop(server);
        client.write_all("lost").await.0.unwrap();
        let error = copy_bidirectional(&front, &back).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everything_arrives_out_of_a_buffer(
        content in bytes(300),
        reads in stutter(),
        writes in stutter(),
        capacity in 1usize..40,
    ) {
        let mut source = BufReader::with_capacity(capacity, Scripted::new(&content, &reads));
        let mut sink = Scripted::sink(&writes);
        let copied = block_on(copy_buf(&mut source, &mut sink)).unwrap();
        prop_assert_eq!(copied, content.len() as u64);
        prop_assert_eq!(sink.bytes, content);
    }

    #[test]
    fn everything_arrives_in_order(
        content in bytes(300),
        reads in stutter(),
        writes in stutter(),
    ) {
        let mut source = Scripted::new(&content, &reads);
        let mut sink = Scripted::sink(&writes);
        let copied = block_on(copy(&mut source, &mut sink)).unwrap();
        prop_assert_eq!(copied, content.len() as u64);
        prop_assert_eq!(sink.bytes, content);
    }
}
