//! `Chain`, `Join`, `split`; `empty`, `sink`, `repeat`.

use std::io::ErrorKind;

use compio_io::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    duplex, empty, join, repeat, sink, split,
};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter, vec_of};

#[test]
fn chain_reads_one_after_the_other() {
    let mut chain = (&b"abc"[..]).chain(&b"def"[..]);
    assert_eq!(block_on(chain.read([0; 0])).0.unwrap(), 0);
    assert_eq!(block_on(chain.read_vectored([[0; 0]])).0.unwrap(), 0);
    assert_eq!(block_on(chain.read(vec_of(b"", 8))).1, b"abc");
    assert_eq!(block_on(chain.read_vectored([[0; 1]; 2])).1, [*b"d", *b"e"]);
    assert_eq!(chain.get_ref(), (&&b""[..], &&b"f"[..]));
    *chain.get_mut().1 = b"x";
    assert_eq!(chain.into_inner(), (&b""[..], &b"x"[..]));
}

#[test]
fn chain_reads_one_after_the_other_into_several_buffers() {
    let mut chain = (&b"abc"[..]).chain(&b"de"[..]);
    let mut read = || block_on(chain.read_vectored([[0; 1]; 2]));
    let (len, bytes) = read();
    assert_eq!((len.unwrap(), bytes), (2, [*b"a", *b"b"]));
    let (len, [first, _]) = read();
    assert_eq!((len.unwrap(), first), (1, *b"c"));
    let (len, bytes) = read();
    assert_eq!((len.unwrap(), bytes), (2, [*b"d", *b"e"]));
    assert_eq!(read().0.unwrap(), 0);
}

#[test]
fn chain_lends_one_after_the_other() {
    let mut chain = (&b"ab"[..]).chain(&b"c\n"[..]);
    assert_eq!(block_on(chain.fill_buf()).unwrap(), b"ab");
    chain.consume(1);
    assert_eq!(block_on(chain.read_line(String::new())).1, "bc\n");
    assert_eq!(block_on(chain.fill_buf()).unwrap(), b"");
}

#[test]
fn chain_failing_stays_where_it_is() {
    let mut chain = Scripted::new(b"abc", &[Step::Fail]).chain(empty());
    let (read, buffer) = block_on(chain.read(b"old".to_vec()));
    assert_eq!(
        (read.unwrap_err().kind(), &buffer[..]),
        (ErrorKind::ConnectionReset, &b"old"[..])
    );
    assert_eq!(block_on(chain.read_to_end(Vec::new())).1, b"abc");
}

#[test]
fn joined_halves_are_a_stream() {
    let mut stream = join(BufReader::new(&b"abcdef"[..]), Vec::new());
    assert_eq!(block_on(stream.read([0; 2])).1, *b"ab");
    assert_eq!(block_on(stream.read_vectored([[0; 1]; 2])).0.unwrap(), 2);
    assert_eq!(block_on(stream.fill_buf()).unwrap(), b"ef");
    stream.consume(1);
    block_on(stream.write("x")).0.unwrap();
    block_on(stream.write_vectored(["y", "z"])).0.unwrap();
    block_on(stream.flush()).unwrap();
    block_on(stream.shutdown()).unwrap();
    assert_eq!(
        (stream.reader().buffer(), &stream.writer()[..]),
        (&b"f"[..], &b"xyz"[..])
    );
    stream.reader_mut().consume(1);
    stream.writer_mut().clear();
    assert_eq!(stream.into_inner().1, b"");
}

#[test]
fn split_halves_work_at_the_same_time() {
    let (stream, mut other) = duplex(8);
    let (mut reader, mut writer) = split(stream);
    {
        let mut waiting = Box::pin(reader.read([0; 2]));
        assert!(poll_once(waiting.as_mut()).is_none());
        block_on(writer.write_all("ab")).0.unwrap();
        block_on(other.write_all("cd")).0.unwrap();
        assert_eq!(block_on(waiting).1, *b"cd");
    }
    block_on(writer.write_vectored(["ef"])).0.unwrap();
    block_on(writer.flush()).unwrap();
    block_on(writer.shutdown()).unwrap();
    block_on(other.write_all("gh")).0.unwrap();
    assert_eq!(block_on(reader.read_vectored([[0; 2]])).1, [*b"gh"]);
    assert_eq!(block_on(other.read_to_end(Vec::new())).1, b"abef");
}

#[test]
fn halves_of_two_streams_do_not_fit() {
    let (left, right) = duplex(8);
    let ((reader, writer), (other_reader, other_writer)) = (split(left), split(right));
    let (reader, other_writer) = reader.unsplit(other_writer).unwrap_err();
    assert!(std::ptr::eq(reader.get_ref(), writer.get_ref()));
    reader.unsplit(writer).unwrap();
    other_reader.unsplit(other_writer).unwrap();
}

#[test]
fn nothing_comes_and_everything_vanishes() {
    assert_eq!(block_on(empty().read(b"old".to_vec())).1, b"");
    assert_eq!(block_on(empty().fill_buf()).unwrap(), b"");
    empty().consume(0);
    block_on(empty().write_all("abc")).0.unwrap();
    assert_eq!(block_on(sink().write_vectored(["ab", "c"])).0.unwrap(), 3);
    block_on(sink().flush()).unwrap();
    block_on(sink().shutdown()).unwrap();
}

#[test]
fn repeat_vectored_read_fills_every_buffer() {
    let (read, (head, body)) =
        block_on(repeat(7).read_vectored(([0; 3], Vec::<u8>::with_capacity(5))));
    assert_eq!(head, [7; 3]);
    assert_eq!(body, vec![7; body.capacity()]);
    assert_eq!(read.unwrap(), 3 + body.len());
}

#[test]
fn limits_are_not_cut_to_32_bits() {
    let limit = u64::from(u32::MAX) + 2;
    let mut long = repeat(7).take(limit);
    assert_eq!(block_on(long.read([0; 3])).1, [7; 3]);
    assert_eq!(long.limit(), limit - 3);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn chain_concatenates(first in bytes(80), second in bytes(80), steps in stutter(), more in stutter()) {
        let mut chain = Scripted::new(&first, &steps).chain(Scripted::new(&second, &more));
        let (read, seen) = block_on(chain.read_to_end(Vec::new()));
        prop_assert_eq!(read.unwrap(), seen.len());
        prop_assert_eq!(seen, [first, second].concat());
    }
}
