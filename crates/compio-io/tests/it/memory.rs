//! Memory as source and sink behaves as in the standard library.

use std::{
    cell::RefCell,
    io::{self, Cursor, ErrorKind},
    rc::Rc,
};

use compio_io::{
    buf::IoBuf,
    io::{
        self as async_io, AsyncBufRead, AsyncRead, AsyncReadAt, AsyncReadExt, AsyncSize,
        AsyncWrite, AsyncWriteAt, AsyncWriteAtExt, AsyncWriteExt,
    },
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::script::{bytes, config};

#[test]
fn cursor_behind_its_end_reads_nothing() {
    let mut source = Cursor::new(b"abc");
    source.set_position(u64::MAX);
    assert_eq!(block_on(source.read([0; 2])).0.unwrap(), 0);
    assert!(block_on(source.fill_buf()).unwrap().is_empty());
}

#[test]
fn cursor_reads_over_many_buffers_and_lends_the_rest() {
    let mut source = Cursor::new(b"abcdef");
    let (read, buffers) = block_on(source.read_vectored([[0; 2]; 2]));
    assert_eq!((read.unwrap(), buffers), (4, [*b"ab", *b"cd"]));
    assert_eq!(block_on(source.fill_buf()).unwrap(), b"ef");
    source.consume(1);
    assert_eq!(source.position(), 5);
}

#[test]
fn slice_reads_and_moves_its_start() {
    let mut source: &[u8] = b"abcdef";
    assert_eq!(block_on(source.read([0; 2])).1, *b"ab");
    assert_eq!(
        block_on(source.read_vectored([[0; 1]; 2])).1,
        [*b"c", *b"d"]
    );
    source.consume(1);
    assert_eq!(block_on(source.fill_buf()).unwrap(), b"f");
    assert_eq!(block_on(source.read_to_end(Vec::new())).1, b"f");
    assert_eq!(block_on(source.read([0; 2])).0.unwrap(), 0);
}

#[test]
fn owners_of_bytes_read_at_a_position() {
    let content = b"abc".to_vec();
    assert_eq!(block_on(content.read_at([0; 2], 1)).1, *b"bc");
    assert_eq!(block_on(content.as_slice().read_at([0; 2], 1)).1, *b"bc");
    assert_eq!(
        block_on(b"abc".read_vectored_at([[0; 1]; 2], 1)).1,
        [*b"b", *b"c"]
    );
    assert_eq!(
        block_on(content.read_vectored_at([[0; 1]; 2], 9))
            .0
            .unwrap(),
        0
    );
}

#[test]
fn cursor_over_array_overwrites_up_to_its_end() {
    let mut sink = Cursor::new(*b"______");
    sink.set_position(3);
    assert_eq!(block_on(sink.write_vectored(["ab", "cd"])).0.unwrap(), 3);
    assert_eq!(block_on(sink.write("x")).0.unwrap(), 0);
    assert_eq!((sink.position(), sink.into_inner()), (6, *b"___abc"));
}

#[test]
fn cursor_over_borrowed_vector_grows_it() {
    let mut memory = b"abc".to_vec();
    let mut sink = Cursor::new(&mut memory);
    sink.set_position(2);
    block_on(sink.write_all("xyz")).0.unwrap();
    assert_eq!(memory, b"abxyz");
}

#[test]
fn cells_write_at_a_position() {
    let vector = Rc::new(RefCell::new(b"abc".to_vec()));
    block_on(vector.write_vectored_all_at(("x", "y"), 4))
        .0
        .unwrap();
    assert_eq!(block_on(vector.size()).unwrap(), 6);
    assert_eq!(block_on(vector.read_at([0; 8], 2)).1[..4], *b"c\0xy");
    let mut cursor = async_io::Cursor::new(&*vector);
    block_on(cursor.write_all("AB")).0.unwrap();
    assert_eq!(*vector.borrow(), b"ABc\0xy");

    let array = RefCell::new(*b"____");
    assert_eq!(block_on(array.write_at("abc", 2)).0.unwrap(), 2);
    assert_eq!(block_on(array.write_at("abc", 9)).0.unwrap(), 0);
    assert_eq!(block_on(array.write_at("abc", u64::MAX)).0.unwrap(), 0);
    let (read, buffers) = block_on(array.read_vectored_at([[0; 2]; 3], 1));
    assert_eq!((read.unwrap(), buffers), (3, [*b"_a", *b"b\0", [0; 2]]));

    let boxed = RefCell::new(Box::<[u8]>::from(*b"____"));
    let (result, _) = block_on(boxed.write_all_at("abc", 2));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WriteZero);
    assert_eq!(**boxed.borrow(), *b"__ab");
}

#[test]
fn full_slice_takes_no_more() {
    let mut room = [0; 4];
    let mut sink = Cursor::new(&mut room[..]);
    let (written, _) = block_on(sink.write_vectored(["abc", "def", "ghi"]));
    assert_eq!(written.unwrap(), 4);
    assert_eq!(block_on(sink.write("x")).0.unwrap(), 0);
    let (result, _) = block_on(sink.write_all("x"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WriteZero);
    block_on(sink.flush()).unwrap();
    block_on(sink.shutdown()).unwrap();
    assert_eq!(&room, b"abcd");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cursor_over_a_vector_writes_as_std_does(
        content in bytes(50),
        writes in vec((0u64..80, bytes(20)), 0..8),
    ) {
        let mut ours = Cursor::new(content.clone());
        let mut theirs = Cursor::new(content);
        for (pos, payload) in writes {
            ours.set_position(pos);
            theirs.set_position(pos);
            let written = io::Write::write(&mut theirs, &payload).unwrap();
            let half = payload.len() / 2;
            let halves = (payload[..half].to_vec(), payload.slice(half..));
            prop_assert_eq!(block_on(ours.write_vectored(halves)).0.unwrap(), written);
            prop_assert_eq!(ours.position(), theirs.position());
        }
        prop_assert_eq!(ours.into_inner(), theirs.into_inner());
    }

    #[test]
    fn vector_appends(content in bytes(20), payload in bytes(20)) {
        let mut sink = content.clone();
        let (written, payload) = block_on(AsyncWrite::write(&mut sink, payload));
        prop_assert_eq!(written.unwrap(), payload.len());
        prop_assert_eq!(sink, [content, payload].concat());
    }
}
