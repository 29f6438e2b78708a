//! Adapters from and to readers and writers of `futures-io`, used by functions of
//! the futures crates.

use std::{
    io::ErrorKind,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use async_compression::futures::{bufread::GzipDecoder, write::GzipEncoder};
use compio_io::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FuturesIo,
    PollReader, PollWriter, join, split,
};
use futures_util::{AsyncWriteExt as _, StreamExt, io as theirs};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, hesitation, poll_once, vec_of};

#[test]
fn their_lines_over_our_reader() {
    let script = [Step::Move(2), Step::Wait, Step::Interrupt, Step::Move(3)];
    let reader = PollReader::new(Scripted::new(b"one\ntwo\r\nthree", &script));
    let lines: Vec<_> = block_on(theirs::AsyncBufReadExt::lines(reader).collect());
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    assert_eq!(lines, ["one", "two", "three"]);
}

#[test]
fn their_copy_into_our_writer_reports_a_late_error() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Fail]));
    let error = block_on(theirs::copy(&b"abc"[..], &mut writer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// A reader that waits once, and records the length of its room.
#[derive(Default)]
struct Waiting {
    rooms: Vec<usize>,
}

impl theirs::AsyncRead for Waiting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        self.rooms.push(room.len());
        if self.rooms.len() == 1 {
            // A reader may write to its room and wait all the same.
            room.fill(7);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(2))
    }
}

#[test]
fn room_for_their_reader_is_zeroed_once_and_not_whole() {
    let mut reader = FuturesIo::new(Waiting::default());
    let buffer = block_on(reader.read(Vec::with_capacity(1 << 20))).1;
    assert_eq!(buffer, [7, 7]);
    assert_eq!(block_on(reader.read(vec![1; 1 << 17])).1, [1, 1]);
    assert_eq!(reader.get_ref().rooms, [1 << 16, 1 << 16, 1 << 17]);
}

#[test]
fn dropped_poll_loses_nothing() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Wait, Step::Wait]));
    let mut cx = Context::from_waker(Waker::noop());
    let mut room = [0; 2];
    for _ in 0..2 {
        let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut room);
        assert!(read.is_pending());
    }
    let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut []);
    assert!(matches!(read, Poll::Ready(Ok(0))));
    let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut room);
    assert!(matches!(read, Poll::Ready(Ok(2))));
    assert_eq!((&room, reader.buffer()), (b"ab", &b"c"[..]));
}

#[test]
fn their_close_waits_for_all() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Move(1), Step::Wait]));
    block_on(async {
        theirs::AsyncWriteExt::write_all(&mut writer, b"abc")
            .await
            .unwrap();
        writer.close().await.unwrap();
    });
    let sink = writer.into_inner().unwrap();
    assert_eq!((&sink.bytes[..], sink.shut_down), (&b"abc"[..], 1));
}

#[test]
fn their_split_of_our_stream_works_both_ways() {
    let (stream, mut other) = compio_io::io::duplex(4);
    let (reader, writer) = split(stream);
    let stream = join(PollReader::new(reader), PollWriter::new(writer));
    let (mut reader, mut writer) = theirs::AsyncReadExt::split(stream);
    block_on(async {
        let mut room = [0; 2];
        assert!(poll_once(theirs::AsyncReadExt::read(&mut reader, &mut room)).is_none());
        let slices = [std::io::IoSlice::new(b"a"), std::io::IoSlice::new(b"b")];
        assert_eq!(writer.write_vectored(&slices).await.unwrap(), 2);
        theirs::AsyncWriteExt::flush(&mut writer).await.unwrap();
        other.write_all("cd").await.0.unwrap();
        assert_eq!(
            theirs::AsyncReadExt::read(&mut reader, &mut room)
                .await
                .unwrap(),
            2
        );
        writer.close().await.unwrap();
        assert_eq!(
            (&room, other.read_to_end(Vec::new()).await.1),
            (b"cd", b"ab".to_vec())
        );
    });
}

#[test]
fn their_readers_read() {
    let mut reader = FuturesIo::new(theirs::Cursor::new(b"abcdef"));
    assert_eq!(
        block_on(AsyncRead::read(
            &mut reader,
            vec_of(b"longer", 2).into_boxed_slice()
        ))
        .0
        .unwrap(),
        6
    );
    assert_eq!(reader.get_ref().position(), 6);
    reader.get_mut().set_position(4);
    assert_eq!(
        block_on(AsyncBufRead::fill_buf(&mut reader)).unwrap(),
        b"ef"
    );
    AsyncBufRead::consume(&mut reader, 1);
    assert_eq!(
        block_on(AsyncBufReadExt::read_until(&mut reader, b'f', Vec::new())).1,
        b"f"
    );
    assert_eq!(block_on(AsyncBufRead::fill_buf(&mut reader)).unwrap(), b"");
    assert_eq!(reader.into_inner().position(), 6);
}

#[test]
fn their_writers_write() {
    let mut writer = FuturesIo::new(theirs::AllowStdIo::new(Vec::new()));
    block_on(async {
        AsyncWriteExt::write_all(&mut writer, "ab").await.0.unwrap();
        AsyncWriteExt::write_vectored_all(&mut writer, ["", "cd", "ef"])
            .await
            .0
            .unwrap();
        AsyncWrite::flush(&mut writer).await.unwrap();
        AsyncWrite::shutdown(&mut writer).await.unwrap();
    });
    assert_eq!(writer.into_inner().into_inner(), b"abcdef");
}

#[test]
fn their_waiting_reader_keeps_our_buffers_length() {
    let script = [Step::Wait, Step::Fail];
    let inner = PollReader::new(Scripted::new(b"abc", &script));
    let mut reader = FuturesIo::new(inner);
    let mut read = Box::pin(AsyncRead::read(&mut reader, vec_of(b"old", 8)));
    assert!(poll_once(read.as_mut()).is_none());
    let (read, buffer) = block_on(read);
    assert_eq!(
        (read.unwrap_err().kind(), &buffer[..]),
        (ErrorKind::ConnectionReset, &b"old"[..])
    );
    assert_eq!(
        block_on(AsyncReadExt::read_to_end(&mut reader, Vec::new())).1,
        b"abc"
    );
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn compressed_by_them_and_decompressed(
        content in bytes(3000),
        reads in hesitation(),
        writes in hesitation(),
        capacity in 1usize..300,
    ) {
        let sink = PollWriter::with_capacity(capacity, Scripted::sink(&writes));
        let mut encoder = GzipEncoder::new(sink);
        block_on(async {
            theirs::AsyncWriteExt::write_all(&mut encoder, &content).await.unwrap();
            encoder.close().await.unwrap();
        });
        let compressed = encoder.into_inner().into_inner().unwrap().bytes;
        let source = PollReader::with_capacity(capacity, Scripted::new(&compressed, &reads));
        let mut seen = Vec::new();
        let mut decoder = GzipDecoder::new(source);
        block_on(theirs::AsyncReadExt::read_to_end(&mut decoder, &mut seen)).unwrap();
        prop_assert_eq!(seen, content);
    }
}

#[test]
fn joined_halves_lend_and_consume_the_bytes_of_the_reader() {
    let mut stream = join(&b"abc"[..], theirs::sink());
    let bytes = block_on(theirs::AsyncBufReadExt::fill_buf(&mut stream)).unwrap();
    assert_eq!(bytes, b"abc");
    theirs::AsyncBufReadExt::consume_unpin(&mut stream, 1);
    let bytes = block_on(theirs::AsyncBufReadExt::fill_buf(&mut stream)).unwrap();
    assert_eq!(bytes, b"bc");
}
