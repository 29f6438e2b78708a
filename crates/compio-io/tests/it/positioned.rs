//! Reads and writes at a position.

use std::{io::ErrorKind, rc::Rc, sync::Arc};

use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncReadAt, AsyncReadAtExt, AsyncReadExt, AsyncWriteAt, AsyncWriteAtExt, Cursor},
};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{ScriptedFile, Step, bytes, config, stutter, vec_of};

#[test]
fn read_behind_the_end_reads_nothing() {
    for pos in [6, 7, u64::MAX] {
        let (read, buffer) = block_on(b"abcdef".read_at(vec_of(b"old", 4), pos));
        assert_eq!((read.unwrap(), &buffer[..]), (0, &b""[..]));
    }
}

#[test]
fn read_exact_at_reports_the_end() {
    let file = ScriptedFile::new(b"abcdef", &[Step::Interrupt, Step::Move(1)]);
    let (result, buffer) = block_on(file.read_exact_at(vec_of(b"________", 4), 4));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(buffer, b"ef");
}

#[test]
fn read_exact_at_failing_returns_the_bytes_read() {
    let file = ScriptedFile::new(b"abcdef", &[Step::Move(1), Step::Fail]);
    let (result, buffer) = block_on(file.read_exact_at(vec_of(b"", 4), 1));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"b");
}

#[test]
fn read_vectored_exact_at_fills_all_or_reports_the_end() {
    let file = ScriptedFile::new(b"abcdef", &[Step::Interrupt, Step::Move(1)]);
    let (result, buffers) = block_on(file.read_vectored_exact_at(([0; 2], [0; 3]), 1));
    result.unwrap();
    assert_eq!(buffers, (*b"bc", *b"def"));
    let (result, buffers) =
        block_on(file.read_vectored_exact_at([vec_of(b"__", 2), vec_of(b"__", 2)], 3));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(buffers.concat(), b"def");
}

#[test]
fn read_to_string_at_appends_text() {
    let file = ScriptedFile::new("_löss".as_bytes(), &[Step::Move(2)]);
    let (read, text) = block_on(file.read_to_string_at(String::from("> "), 1));
    assert_eq!((read.unwrap(), &text[..]), (5, "> löss"));
    // The first byte read is the second byte of the letter.
    let (read, text) = block_on(file.read_to_string_at(String::from("> "), 3));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(text, "> ");
}

#[test]
fn read_to_end_at_failing_keeps_the_bytes_read() {
    let file = ScriptedFile::new(b"abcdef", &[Step::Move(1), Step::Fail]);
    let (result, buffer) = block_on(file.read_to_end_at(b"> ".to_vec(), 1));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"> b");
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// Returns data only for a read at position 0, as files of procfs do.
struct OneShot(Vec<u8>);

impl AsyncReadAt for OneShot {
    async fn read_at<B: IoBufMut>(&self, buffer: B, pos: u64) -> BufResult<usize, B> {
        let content = if pos == 0 { &self.0[..] } else { &[] };
        content.read_at(buffer, 0).await
    }
}

#[test]
fn read_to_end_at_with_little_room_reads_a_one_shot_source_whole() {
    for len in [0, 1, 2, 31, 32, 33, 5000] {
        for capacity in [0, 1, 2, 3, 31] {
            let source = OneShot(content(len));
            let (read, buffer) = block_on(source.read_to_end_at(vec_of(b"> ", capacity), 0));
            assert_eq!(read.unwrap(), len);
            assert_eq!(buffer, [b"> ", &source.0[..]].concat());
            let (read, buffer) =
                block_on(Cursor::new(&source).read_to_end(vec_of(b"> ", capacity)));
            assert_eq!(read.unwrap(), len);
            assert_eq!(buffer, [b"> ", &source.0[..]].concat());
        }
    }
}

#[test]
fn read_to_end_at_does_not_grow_a_vector_that_fits() {
    for len in [1, 31, 32, 33, 100, 100_000] {
        let source = content(len);
        let buffer = Vec::with_capacity(len);
        let capacity = buffer.capacity();
        let (read, buffer) = block_on(source.read_to_end_at(buffer, 0));
        assert_eq!((read.unwrap(), buffer.capacity()), (len, capacity));
    }
}

#[test]
fn write_all_at_a_full_or_failing_sink_hands_the_buffer_back() {
    let file = ScriptedFile::new(b"", &[Step::Move(1), Step::Move(0), Step::Fail]);
    let (result, buffer) = block_on(file.write_all_at("abc", 0));
    assert_eq!(
        (result.unwrap_err().kind(), buffer),
        (ErrorKind::WriteZero, "abc")
    );
    let (result, buffer) = block_on(file.write_all_at("abc", 0));
    assert_eq!(
        (result.unwrap_err().kind(), buffer),
        (ErrorKind::ConnectionReset, "abc")
    );
}

#[test]
fn pointers_to_files_are_shared() {
    async fn touch<F: AsyncReadAt + AsyncWriteAt>(file: F) -> u8 {
        file.write_at("x", 0).await.0.unwrap();
        file.write_vectored_at(["y"], 1).await.0.unwrap();
        file.read_vectored_at([[0u8; 1]], 2).await.0.unwrap();
        file.read_at([0], 1).await.1[0]
    }
    let file = || ScriptedFile::new(b"abc", &[]);
    assert_eq!(block_on(touch(&file())), b'y');
    assert_eq!(block_on(touch(&mut file())), b'y');
    assert_eq!(block_on(touch(Rc::new(file()))), b'y');
    assert_eq!(block_on(touch(Box::new(file()))), b'y');
    #[expect(clippy::arc_with_non_send_sync, reason = "only its trait is tested")]
    let shared = Arc::new(file());
    assert_eq!(block_on(touch(shared)), b'y');
}

#[test]
#[should_panic(expected = "position behind u64::MAX")]
fn position_behind_the_largest_panics() {
    /// Takes everything everywhere.
    struct Endless;

    impl AsyncWriteAt for Endless {
        async fn write_at<B: IoBuf>(
            &self,
            buf: B,
            _pos: u64,
        ) -> compio_io::buf::BufResult<usize, B> {
            (Ok(1), buf)
        }
    }
    let _ = block_on(Endless.write_all_at("abc", u64::MAX - 1));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn reads_at_a_position_read_that_part(
        content in bytes(200),
        steps in stutter(),
        pos in 0usize..250,
        wanted in 1usize..100,
    ) {
        let rest = content.get(pos..).unwrap_or_default();
        let file = ScriptedFile::new(&content, &steps);
        let (result, buffer) = block_on(file.read_exact_at(vec_of(b"", wanted), pos as u64));
        prop_assert_eq!(result.is_ok(), rest.len() >= buffer.capacity());
        prop_assert_eq!(&buffer[..], &rest[..rest.len().min(buffer.capacity())]);

        let file = ScriptedFile::new(&content, &steps);
        let (read, buffer) = block_on(file.read_to_end_at(vec_of(b"> ", wanted), pos as u64));
        prop_assert_eq!(read.unwrap(), rest.len());
        prop_assert_eq!(buffer, [b"> ", rest].concat());
    }

    #[test]
    fn write_all_at_overwrites_that_part(
        content in bytes(100),
        payload in bytes(100),
        steps in stutter(),
        pos in 0usize..150,
    ) {
        let mut model = content.clone();
        if !payload.is_empty() {
            model.resize(model.len().max(pos + payload.len()), 0);
            model[pos..pos + payload.len()].copy_from_slice(&payload);
        }
        let file = ScriptedFile::new(&content, &steps);
        block_on(file.write_all_at(payload, pos as u64)).0.unwrap();
        prop_assert_eq!(file.bytes.into_inner(), model);
    }
}
