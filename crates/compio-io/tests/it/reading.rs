//! `AsyncReadExt` and `Take`.

use std::io::ErrorKind;

use compio_io::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut},
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter, vec_of};

#[test]
fn read_shrinks_a_longer_vector() {
    let mut source: &[u8] = &[7; 50];
    let (read, buffer) = block_on(source.read(vec![0; 300]));
    assert_eq!(read.unwrap(), 50);
    assert_eq!(buffer, [7; 50]);
}

#[test]
fn read_exact_of_no_room_reads_nothing() {
    let mut source = Scripted::new(b"abc", &[Step::Fail]);
    assert!(block_on(source.read_exact(Vec::new())).0.is_ok());
    assert!(
        block_on(source.read_exact(vec_of(b"ab", 4).slice(1..1)))
            .0
            .is_ok()
    );
    assert_eq!(source.operations, 0);
}

#[test]
fn read_exact_repeats_short_and_interrupted_reads() {
    let steps = [
        Step::Move(1),
        Step::Interrupt,
        Step::Move(2),
        Step::Interrupt,
    ];
    let mut source = Scripted::new(b"abcdef", &steps);
    let (result, buffer) = block_on(source.read_exact(vec_of(b"longer", 4).slice(..5)));
    result.unwrap();
    assert_eq!(buffer.into_inner(), b"abcder");
    assert_eq!(source.unread(), b"f");
}

#[test]
fn read_vectored_exact_repeats_short_and_interrupted_reads() {
    let steps = [
        Step::Interrupt,
        Step::Move(1),
        Step::Move(2),
        Step::Interrupt,
    ];
    let mut source = Scripted::new(&[b'x'; 64], &steps);
    let buffers = (Vec::new(), vec_of(b"longer", 4), [0; 1], vec_of(b"", 1));
    let room = buffers.1.capacity() + 1 + buffers.3.capacity();
    let (result, buffers) = block_on(source.read_vectored_exact(buffers));
    result.unwrap();
    let read = [&buffers.0[..], &buffers.1, &buffers.2, &buffers.3].concat();
    assert_eq!(read, vec![b'x'; room]);
    assert_eq!(source.unread().len(), 64 - room);
}

#[test]
fn read_vectored_exact_at_eof_hands_back_the_bytes() {
    let mut source = Scripted::new(b"abc", &[Step::Move(1)]);
    let (result, buffers) =
        block_on(source.read_vectored_exact((vec_of(b"__", 2), [0; 4], vec_of(b"__", 2))));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(buffers, (b"ab".to_vec(), *b"c\0\0\0", vec![]));
}

#[test]
fn read_vectored_exact_failing_first_keeps_the_lengths() {
    let mut source = Scripted::new(b"abc", &[Step::Fail]);
    let (result, buffers) = block_on(source.read_vectored_exact([vec_of(b"xy", 4)]));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffers, [b"xy"]);
}

#[test]
fn read_vectored_exact_of_no_room_reads_nothing() {
    let mut source = Scripted::new(b"abc", &[Step::Fail]);
    assert!(
        block_on(source.read_vectored_exact([[0u8; 0]; 2]))
            .0
            .is_ok()
    );
    assert!(
        block_on(source.read_vectored_exact(Vec::<Vec<u8>>::new()))
            .0
            .is_ok()
    );
    assert_eq!(source.operations, 0);
}

#[test]
#[should_panic(expected = "a reader claims 4 bytes but initialised 1")]
fn s21_read_vectored_exact_of_a_reader_that_claims_too_much_panics() {
    let _ = block_on(Liar(4).read_vectored_exact([vec_of(b"", 8)]));
}

#[test]
fn read_exact_at_eof_returns_the_bytes_read() {
    let mut source = Scripted::new(b"abc", &[Step::Move(1)]);
    let (result, buffer) = block_on(source.read_exact(vec_of(b"______", 8)));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "failed to fill whole buffer");
    assert_eq!(buffer, b"abc");
}

#[test]
fn read_exact_failing_returns_the_bytes_read() {
    let mut source = Scripted::new(b"abc", &[Step::Move(1), Step::Fail]);
    let (result, buffer) = block_on(source.read_exact(*b"____"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(&buffer, b"a___");
}

/// Returns a larger number than the bytes that it read.
struct Liar(usize);

impl AsyncRead for Liar {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        buf.init_from(b"x");
        (Ok(self.0), buf)
    }
}

#[test]
#[should_panic(expected = "a reader claims 4 bytes but initialised 1")]
fn s21_read_exact_does_not_believe_a_lying_reader() {
    let _ = block_on(Liar(4).read_exact(vec_of(b"", 4)));
}

#[test]
#[should_panic(expected = "slice begins at 2, behind the 1 initialised bytes")]
fn s21_read_exact_does_not_slice_for_a_lying_reader() {
    let _ = block_on(Liar(2).read_exact(vec_of(b"", 4)));
}

#[test]
#[should_panic(expected = "a reader claims 3 bytes but initialised 1")]
fn s21_take_does_not_believe_a_lying_reader() {
    let _ = block_on(Liar(3).take(3).read(vec_of(b"", 4)));
}

#[test]
#[should_panic(expected = "a reader claims more bytes than it had room for")]
fn s21_take_does_not_count_below_zero() {
    let _ = block_on(Liar(4).take(3).read(vec_of(b"", 4)));
}

#[test]
fn append_makes_room_only_if_there_is_none() {
    let mut source: &[u8] = &[7; 20_000];
    let (read, buffer) = block_on(source.append(vec_of(b"ab", 5)));
    assert_eq!((read.unwrap(), &buffer[..]), (3, &b"ab\x07\x07\x07"[..]));
    let (read, buffer) = block_on(source.append(buffer));
    assert!(read.unwrap() >= 8 * 1024);
    assert_eq!(&buffer[..5], b"ab\x07\x07\x07");
}

#[test]
fn append_at_the_end_or_failing_keeps_the_vector() {
    let mut source = Scripted::new(b"", &[Step::Move(1), Step::Fail]);
    let (read, buffer) = block_on(source.append(b"ab".to_vec()));
    assert_eq!((read.unwrap(), &buffer[..]), (0, &b"ab"[..]));
    let (read, buffer) = block_on(source.append(buffer));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"ab");
}

#[test]
fn read_to_end_does_not_grow_a_vector_that_fits() {
    let mut source: &[u8] = &[7; 100];
    let buffer = Vec::with_capacity(100);
    let capacity = buffer.capacity();
    let (read, buffer) = block_on(source.read_to_end(buffer));
    assert_eq!((read.unwrap(), buffer.capacity()), (100, capacity));
}

#[test]
fn read_to_end_failing_keeps_the_bytes_read() {
    let mut source = Scripted::new(b"abcdef", &[Step::Move(2), Step::Interrupt, Step::Fail]);
    let (read, buffer) = block_on(source.read_to_end(b"> ".to_vec()));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"> ab");
}

#[test]
fn read_to_string_refuses_other_bytes_and_keeps_the_string() {
    let mut source: &[u8] = b"ab\xff";
    let (read, text) = block_on(source.read_to_string(String::from("> ")));
    let error = read.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "stream did not contain valid UTF-8");
    assert_eq!(text, "> ");
}

#[test]
fn read_to_string_failing_reports_the_failure_first() {
    let mut source = Scripted::new(b"ab\xff", &[Step::Move(2), Step::Fail]);
    let (read, text) = block_on(source.read_to_string(String::from("> ")));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(text, "> ab");
    let mut source = Scripted::new(b"ab\xff", &[Step::Move(3), Step::Fail]);
    let (read, text) = block_on(source.read_to_string(String::from("> ")));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(text, "> ");
}

#[test]
fn take_leaves_the_rest_in_the_reader() {
    let mut source: &[u8] = b"abcdef";
    let mut taken = source.by_ref().take(4);
    let (read, buffer) = block_on(taken.read(vec_of(b"longer than that", 16)));
    assert_eq!(
        (read.unwrap(), &buffer[..], taken.limit()),
        (4, &b"abcd"[..], 0)
    );
    let (read, buffer) = block_on(taken.read(vec_of(b"old", 3)));
    assert_eq!((read.unwrap(), &buffer[..]), (0, &b""[..]));
    taken.set_limit(1);
    assert_eq!(block_on(taken.read([0; 4])).0.unwrap(), 1);
    assert_eq!(*taken.get_ref(), b"f");
    assert_eq!(IntoInner::into_inner(taken), b"f");
    assert_eq!(source, b"f");
}

#[test]
fn take_failing_keeps_limit_and_buffer() {
    let mut taken = Scripted::new(b"abc", &[Step::Fail, Step::Fail]).take(2);
    for capacity in [2, 8] {
        let (read, buffer) = block_on(taken.read(vec_of(b"ab", capacity)));
        assert!(read.is_err());
        assert_eq!((&buffer[..], taken.limit()), (&b"ab"[..], 2));
    }
}

#[test]
fn take_of_a_buffered_reader_shows_no_more_than_the_limit() {
    let mut taken = BufReader::new(&b"one\ntwo\n"[..]).take(5);
    assert_eq!(block_on(taken.fill_buf()).unwrap(), b"one\nt");
    taken.consume(4);
    let (read, line) = block_on(taken.read_line(String::new()));
    assert_eq!((read.unwrap(), &line[..]), (1, "t"));
    assert_eq!(block_on(taken.fill_buf()).unwrap(), b"");
}

#[test]
fn take_at_its_limit_does_not_wait() {
    let mut taken = BufReader::new(Scripted::new(b"abc", &[Step::Hang])).take(0);
    assert_eq!(poll_once(taken.read([0; 4])).unwrap().0.unwrap(), 0);
    assert_eq!(poll_once(taken.fill_buf()).unwrap().unwrap(), b"");
}

#[test]
fn dropped_read_leaves_the_reader_usable() {
    let mut source = Scripted::new(b"abcdef", &[Step::Move(2), Step::Hang]);
    assert!(poll_once(source.read_exact([0; 6])).is_none());
    assert_eq!(source.unread(), b"cdef");
    let (read, _) = block_on(source.read_exact([0; 4]));
    read.unwrap();
}

#[test]
fn pointers_to_readers_read() {
    async fn first<R: AsyncRead>(mut reader: R) -> u8 {
        reader.read([0]).await.1[0]
    }
    let mut source: &[u8] = b"abc";
    assert_eq!(block_on(first(&mut source)), b'a');
    assert_eq!(block_on(first(Box::new(&mut source))), b'b');
    assert_eq!(source, b"c");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn read_vectored_exact_is_read_exact_over_the_capacities(
        content in bytes(60),
        rooms in proptest::collection::vec((bytes(6), 0usize..6), 0..8),
        steps in stutter(),
    ) {
        let make = || -> Vec<_> {
            rooms.iter().map(|(old, spare)| vec_of(old, old.len() + spare)).collect()
        };
        let room: usize = make().iter().map(Vec::capacity).sum();
        let mut source = Scripted::new(&content, &steps);
        let (result, buffers) = block_on(source.read_vectored_exact(make()));
        prop_assert_eq!(result.is_ok(), room <= content.len());
        if room > 0 && !(content.is_empty() && source.operations == 0) {
            prop_assert_eq!(buffers.concat(), &content[..room.min(content.len())]);
        }
        prop_assert_eq!(source.unread(), &content[room.min(content.len())..]);
    }

    #[test]
    fn read_exact_fills_or_reports_the_end(
        content in bytes(200),
        steps in stutter(),
        wanted in 0usize..250,
    ) {
        let mut source = Scripted::new(&content, &steps);
        let (result, buffer) = block_on(source.read_exact(Vec::with_capacity(wanted)));
        let wanted = buffer.capacity();
        prop_assert_eq!(result.is_ok(), wanted <= content.len());
        prop_assert_eq!(&buffer[..], &content[..wanted.min(content.len())]);
        prop_assert_eq!(source.unread(), &content[buffer.len()..]);
    }

    #[test]
    fn read_to_end_appends_all(
        content in bytes(200),
        steps in stutter(),
        before in bytes(20),
        spare in 0usize..250,
    ) {
        let mut source = Scripted::new(&content, &steps);
        let buffer = vec_of(&before, before.len() + spare);
        let (read, buffer) = block_on(source.read_to_end(buffer));
        prop_assert_eq!(read.unwrap(), content.len());
        prop_assert_eq!(buffer, [before, content].concat());
    }

    #[test]
    fn take_splits_a_stream(content in bytes(200), steps in stutter(), limit in 0u64..250) {
        let mut source = Scripted::new(&content, &steps);
        let split = content.len().min(limit as usize);
        let (read, head) = block_on(source.by_ref().take(limit).read_to_end(Vec::new()));
        prop_assert_eq!(read.unwrap(), split);
        let (_, tail) = block_on(source.read_to_end(Vec::new()));
        prop_assert_eq!((&head[..], &tail[..]), content.split_at(split));
    }
}
