//! `AsyncSeek`, `AsyncSize`, `Cursor`.

use std::{
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    rc::Rc,
};

use compio_io::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut},
    io::{
        AsyncBufRead, AsyncRead, AsyncReadAt, AsyncReadExt, AsyncSeek, AsyncSize, AsyncWrite,
        AsyncWriteAt, AsyncWriteAtExt, AsyncWriteExt, BufReader, BufWriter, Cursor,
    },
};
use pollster::block_on;
use proptest::{
    collection::vec,
    prop_assert_eq, prop_oneof, proptest,
    strategy::{Just, Strategy},
};

use crate::script::{ScriptedFile, Step, bytes, config, poll_once, stutter, vec_of};

/// A file in memory that knows its size.
#[derive(Debug)]
struct Sized(ScriptedFile);

impl AsyncReadAt for Sized {
    async fn read_at<B: IoBufMut>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
        self.0.read_at(buf, pos).await
    }
}

impl AsyncWriteAt for Sized {
    async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
        self.0.write_at(buf, pos).await
    }
}

impl AsyncSize for Sized {
    async fn size(&self) -> io::Result<u64> {
        Ok(self.0.bytes.borrow().len() as u64)
    }
}

/// A file of the maximum size. Each byte is the low byte of its position.
struct Huge;

impl AsyncReadAt for Huge {
    async fn read_at<B: IoBufMut>(&self, mut buf: B, pos: u64) -> BufResult<usize, B> {
        let bytes: Vec<u8> = (0..buf.buf_capacity() as u64)
            .map_while(|offset| pos.checked_add(offset))
            .map(|pos| pos as u8)
            .collect();
        (Ok(buf.init_from(&bytes)), buf)
    }
}

impl AsyncSize for Huge {
    async fn size(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

#[test]
fn positions_are_not_cut_to_32_bits() {
    let mut cursor = Cursor::new(Huge);
    let far = u64::from(u32::MAX) + 3;
    block_on(async {
        assert_eq!(cursor.seek(SeekFrom::Start(far)).await.unwrap(), far);
        assert_eq!(cursor.read_u8().await.unwrap(), 2);
        assert_eq!(cursor.position(), far + 1);
        assert_eq!(cursor.seek(SeekFrom::End(-2)).await.unwrap(), u64::MAX - 2);
        assert_eq!(cursor.stream_position().await.unwrap(), u64::MAX - 2);
        cursor.rewind().await.unwrap();
        assert_eq!(cursor.position(), 0);
    });
}

#[test]
fn impossible_positions_are_errors_and_change_nothing() {
    let mut cursor = Cursor::new(b"abc");
    cursor.set_position(2);
    for pos in [
        SeekFrom::Current(-3),
        SeekFrom::End(-4),
        SeekFrom::End(i64::MIN),
    ] {
        let error = block_on(cursor.seek(pos)).unwrap_err();
        assert_eq!(
            (error.kind(), cursor.position()),
            (ErrorKind::InvalidInput, 2)
        );
    }
    cursor.set_position(u64::MAX);
    assert!(block_on(cursor.seek(SeekFrom::Current(1))).is_err());
    assert_eq!(block_on(cursor.read([0; 2])).0.unwrap(), 0);
    assert_eq!(cursor.position(), u64::MAX);
}

#[test]
fn failed_or_dropped_operations_leave_the_position() {
    let script = [Step::Fail, Step::Hang, Step::Fail, Step::Hang];
    let mut cursor = Cursor::new(ScriptedFile::new(b"abcdef", &script));
    cursor.set_position(2);
    let (read, buffer) = block_on(cursor.read(vec_of(b"old", 8)));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"old");
    assert!(poll_once(cursor.read([0; 2])).is_none());
    assert!(block_on(cursor.write("xy")).0.is_err());
    assert!(poll_once(cursor.write("xy")).is_none());
    assert_eq!(cursor.position(), 2);
    assert_eq!(block_on(cursor.read([0; 2])).1, *b"cd");
}

#[test]
fn cursors_over_one_file_have_a_position_each() {
    let file = Rc::new(Sized(ScriptedFile::new(b"abcdef", &[])));
    let (mut ahead, mut behind) = (Cursor::new(Rc::clone(&file)), Cursor::new(file));
    block_on(ahead.seek(SeekFrom::End(-1))).unwrap();
    block_on(ahead.write_all("xyz")).0.unwrap();
    assert_eq!(block_on(behind.read_to_end(Vec::new())).1, b"abcdexyz");
    block_on(behind.flush()).unwrap();
    block_on(behind.shutdown()).unwrap();
    assert_eq!(behind.get_mut().0.bytes.borrow().len(), 8);
    assert_eq!(IntoInner::into_inner(ahead).0.bytes.borrow().len(), 8);
}

#[test]
fn vectored_operations_move_the_position() {
    let mut cursor = Cursor::new(ScriptedFile::new(b"abcdef", &[]));
    block_on(cursor.write_vectored_all(["xy", "z"])).0.unwrap();
    let (read, buffers) = block_on(cursor.read_vectored(([0; 2], [0; 2])));
    assert_eq!(
        (read.unwrap(), buffers.0, cursor.position()),
        (2, *b"de", 5)
    );
    let file = cursor.into_inner();
    block_on(file.write_vectored_all_at(["", "1", "23"], 4))
        .0
        .unwrap();
    assert_eq!(*file.bytes.borrow(), b"xyzd123");
}

#[test]
fn vectored_write_at_a_full_or_failing_sink_hands_the_buffers_back() {
    let file = ScriptedFile::new(b"", &[Step::Interrupt, Step::Move(0), Step::Fail]);
    for kind in [ErrorKind::WriteZero, ErrorKind::ConnectionReset] {
        let (result, buffers) = block_on(file.write_vectored_all_at(["a", "b"], 0));
        assert_eq!((result.unwrap_err().kind(), buffers), (kind, ["a", "b"]));
    }
}

#[test]
fn seeking_a_buffered_reader_counts_from_the_consumed_bytes() {
    let mut reader = BufReader::with_capacity(4, Cursor::new(b"abcdefgh"));
    block_on(async {
        assert_eq!(reader.read_u8().await.unwrap(), b'a');
        assert_eq!(reader.stream_position().await.unwrap(), 1);
        assert_eq!(reader.buffer(), b"bcd");
        assert_eq!(reader.seek(SeekFrom::Current(1)).await.unwrap(), 2);
        assert_eq!(reader.fill_buf().await.unwrap(), b"cdef");
        assert!(reader.seek(SeekFrom::Current(i64::MIN)).await.is_err());
        assert_eq!(reader.seek(SeekFrom::End(-1)).await.unwrap(), 7);
        assert_eq!(reader.read_u8().await.unwrap(), b'h');
    });
}

#[test]
fn seeking_a_buffered_writer_writes_first() {
    let mut writer = BufWriter::new(io::Cursor::new(Vec::new()));
    block_on(async {
        writer.write_all("abcdef").await.0.unwrap();
        assert_eq!(writer.seek(SeekFrom::Start(2)).await.unwrap(), 2);
        writer.write_all("x").await.0.unwrap();
        AsyncSeek::rewind(&mut &mut writer).await.unwrap();
        assert_eq!(Box::new(&mut writer).stream_position().await.unwrap(), 0);
    });
    assert_eq!(writer.into_inner().into_inner(), b"abxdef");
}

#[test]
fn sizes() {
    block_on(async {
        assert_eq!(b"abc".size().await.unwrap(), 3);
        assert_eq!(Rc::new(vec![0; 5]).size().await.unwrap(), 5);
        assert_eq!([0u8; 4][..].size().await.unwrap(), 4);
    });
}

#[derive(Clone, Debug)]
enum Action {
    Seek(SeekFrom),
    Read(usize),
    Write(Vec<u8>),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let pos = prop_oneof![
        (0u64..80).prop_map(SeekFrom::Start),
        (-40i64..40).prop_map(SeekFrom::Current),
        (-40i64..40).prop_map(SeekFrom::End),
        Just(SeekFrom::Current(i64::MIN)),
    ];
    let action = prop_oneof![
        pos.prop_map(Action::Seek),
        (0usize..30).prop_map(Action::Read),
        // An empty write behind the end fills the gap in std's memory, but in no file.
        vec(proptest::num::u8::ANY, 1..30).prop_map(Action::Write),
    ];
    vec(action, 0..20)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cursor_moves_as_stds_does(content in bytes(50), steps in stutter(), actions in actions()) {
        let mut ours = Cursor::new(Sized(ScriptedFile::new(&content, &steps)));
        let mut theirs = io::Cursor::new(content);
        for action in actions {
            match action {
                Action::Seek(pos) => {
                    let expected = Seek::seek(&mut theirs, pos).map_err(|e| e.kind());
                    prop_assert_eq!(block_on(ours.seek(pos)).map_err(|e| e.kind()), expected);
                }
                Action::Read(len) => {
                    let mut expected = Vec::new();
                    let mut part = Read::take(&mut theirs, len as u64);
                    Read::read_to_end(&mut part, &mut expected).unwrap();
                    let mut taken = AsyncReadExt::take(&mut ours, len as u64);
                    let (read, buffer) = block_on(taken.read_to_end(Vec::new()));
                    prop_assert_eq!(read.unwrap(), expected.len());
                    prop_assert_eq!(buffer, expected);
                }
                Action::Write(payload) => {
                    Write::write_all(&mut theirs, &payload).unwrap();
                    block_on(ours.write_all(payload)).0.unwrap();
                }
            }
            prop_assert_eq!(ours.position(), theirs.position());
        }
        prop_assert_eq!(&*ours.get_ref().0.bytes.borrow(), theirs.get_ref());
    }
}
