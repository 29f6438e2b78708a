//! `copy`.

use std::io::ErrorKind;

use compio_io::io::copy;
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter};

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
fn dropped_copy_keeps_what_was_written() {
    let mut source = Scripted::new(b"abcdef", &[Step::Move(2), Step::Move(2)]);
    let mut sink = Scripted::sink(&[Step::Move(2), Step::Hang]);
    assert!(poll_once(copy(&mut source, &mut sink)).is_none());
    assert_eq!((source.unread(), &sink.bytes[..]), (&b"ef"[..], &b"ab"[..]));
    assert_eq!(block_on(copy(&mut source, &mut sink)).unwrap(), 2);
    assert_eq!(sink.bytes, b"abef");
}

proptest! {
    #![proptest_config(config())]

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
