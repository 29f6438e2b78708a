//! `BufReader` and `AsyncBufReadExt`.

use std::io::ErrorKind;

use compio_io::{
    buf::IntoInner,
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter, vec_of};

#[test]
fn small_reads_share_one_operation() {
    let mut reader = BufReader::new(Scripted::new(b"abcdef", &[]));
    for expected in [b"ab", b"cd", b"ef"] {
        assert_eq!(&block_on(reader.read([0; 2])).1, expected);
    }
    assert_eq!(reader.get_ref().operations, 1);
    assert_eq!(block_on(reader.read([0; 2])).0.unwrap(), 0);
}

#[test]
fn large_reads_bypass_the_empty_buffer() {
    let mut reader = BufReader::with_capacity(4, Scripted::new(b"abcdefgh", &[]));
    assert_eq!(block_on(reader.read([0; 5])).1, *b"abcde");
    assert_eq!(block_on(reader.read_vectored([[0; 1]; 1])).1, [*b"f"]);
    assert_eq!(reader.buffer(), b"gh");
    // Only after the buffer is empty: the order of bytes must stay.
    assert_eq!(block_on(reader.read(vec_of(b"", 5))).1, b"gh");
    assert_eq!(block_on(reader.read_vectored([[0; 4]; 2])).0.unwrap(), 0);
}

#[test]
fn reading_into_no_room_does_not_wait() {
    let mut reader = BufReader::new(Scripted::new(b"abc", &[Step::Hang]));
    assert_eq!(poll_once(reader.read([0; 0])).unwrap().0.unwrap(), 0);
    assert_eq!(
        poll_once(reader.read_vectored([[0; 0]]))
            .unwrap()
            .0
            .unwrap(),
        0
    );
    assert_eq!(reader.get_ref().operations, 0);
}

#[test]
fn capacity_zero_still_reads() {
    let mut reader = BufReader::with_capacity(0, &b"abc"[..]);
    assert_eq!(reader.capacity(), 1);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"a");
    assert_eq!(block_on(reader.read_to_end(Vec::new())).1, b"abc");
}

#[test]
fn unconsumed_bytes_are_given_again() {
    let mut reader = BufReader::new(&b"abc"[..]);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
    reader.consume(1);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"bc");
    reader.consume(2);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"");
}

#[test]
#[should_panic(expected = "4 of 3 buffered bytes consumed")]
fn consuming_more_than_there_is_panics() {
    let mut reader = BufReader::new(&b"abc"[..]);
    block_on(reader.fill_buf()).unwrap();
    reader.consume(4);
}

#[test]
fn failure_is_passed_on_and_not_kept() {
    let mut reader = BufReader::new(Scripted::new(b"abc", &[Step::Fail, Step::Fail, Step::Fail]));
    assert!(block_on(reader.fill_buf()).is_err());
    let (read, buffer) = block_on(reader.read(vec_of(b"old", 4)));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"old");
    assert!(block_on(reader.read_vectored([[0; 4]])).0.is_err());
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
}

#[test]
fn dropped_fill_leaves_the_reader_usable() {
    let script = [Step::Move(2), Step::Hang, Step::Hang, Step::Move(3)];
    let mut reader = BufReader::new(Scripted::new(b"abcdef", &script));
    assert_eq!(block_on(reader.read([0; 2])).1, *b"ab");
    assert!(poll_once(reader.fill_buf()).is_none());
    assert_eq!(reader.buffer(), b"");
    reader.consume(0);
    assert!(poll_once(reader.read([0; 2])).is_none());
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"cde");
    assert_eq!(reader.into_inner().unread(), b"f");
}

#[test]
fn parts_and_debug() {
    let mut reader = BufReader::with_capacity(16, &b"abc"[..]);
    block_on(reader.fill_buf()).unwrap();
    assert_eq!(
        format!("{reader:?}"),
        "BufReader { reader: [], buffered: 3, capacity: 16 }"
    );
    *reader.get_mut() = b"xyz";
    assert_eq!(IntoInner::into_inner(reader), b"xyz");
}

#[test]
fn read_until_stops_behind_the_delimiter() {
    let script = [Step::Move(2), Step::Interrupt, Step::Move(2)];
    let mut reader = BufReader::new(Scripted::new(b"key=value", &script));
    let (read, key) = block_on(reader.read_until(b'=', b"> ".to_vec()));
    assert_eq!((read.unwrap(), &key[..]), (4, &b"> key="[..]));
    let (read, rest) = block_on(reader.read_until(b'=', Vec::new()));
    assert_eq!((read.unwrap(), &rest[..]), (5, &b"value"[..]));
    assert_eq!(block_on(reader.read_until(b'=', Vec::new())).0.unwrap(), 0);
}

#[test]
fn read_until_failing_keeps_the_bytes_read() {
    let mut reader = BufReader::new(Scripted::new(b"key=", &[Step::Move(2), Step::Fail]));
    let (read, key) = block_on(reader.read_until(b'=', Vec::new()));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(key, b"ke");
}

#[test]
fn read_line_refuses_other_bytes_and_keeps_the_string() {
    let mut source: &[u8] = b"\xff\nnext";
    let (read, line) = block_on(source.read_line(String::from("> ")));
    assert_eq!(
        (read.unwrap_err().kind(), &line[..]),
        (ErrorKind::InvalidData, "> ")
    );
    assert_eq!(block_on(source.read_line(line)).1, "> next");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_buffered_stream_is_the_stream(
        content in bytes(300),
        steps in stutter(),
        capacity in 0usize..40,
        reads in vec(1usize..50, 0..40),
    ) {
        let mut reader = BufReader::with_capacity(capacity, Scripted::new(&content, &steps));
        let mut seen = Vec::new();
        for room in reads {
            let (read, buffer) = block_on(reader.read(vec![0; room].into_boxed_slice()));
            match read {
                Ok(len) => {
                    prop_assert!(len > 0 || seen.len() == content.len());
                    seen.extend_from_slice(&buffer[..len]);
                }
                Err(e) => prop_assert_eq!(e.kind(), ErrorKind::Interrupted),
            }
        }
        let (read, seen) = block_on(reader.read_to_end(seen));
        read.unwrap();
        prop_assert_eq!(seen, content);
    }

    #[test]
    fn lines_concatenate_to_the_stream(
        content in "[ab\n]{0,100}",
        steps in stutter(),
        capacity in 1usize..20,
    ) {
        let source = Scripted::new(content.as_bytes(), &steps);
        let mut reader = BufReader::with_capacity(capacity, source);
        let mut lines = Vec::new();
        loop {
            let (read, line) = block_on(reader.read_line(String::new()));
            prop_assert_eq!(read.unwrap(), line.len());
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        prop_assert_eq!(lines, content.split_inclusive('\n').collect::<Vec<_>>());
    }
}
