//! Adapters from and to readers and writers of `tokio::io`, used by functions of
//! that crate.

use std::{
    io::ErrorKind,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use async_compression::tokio::{bufread::GzipDecoder, write::GzipEncoder};
use compio_io::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, PollReader,
    PollWriter, TokioIo, join, split,
};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};
use tokio::io as theirs;

use crate::script::{Scripted, Step, bytes, config, hesitation, poll_once, vec_of};

#[test]
fn their_lines_over_our_reader() {
    let script = [Step::Move(2), Step::Wait, Step::Interrupt, Step::Move(3)];
    let reader = PollReader::new(Scripted::new(b"one\ntwo\r\nthree", &script));
    let mut lines = theirs::AsyncBufReadExt::lines(reader);
    for line in ["one", "two", "three"] {
        assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), line);
    }
    assert_eq!(block_on(lines.next_line()).unwrap(), None);
}

#[test]
fn their_copy_into_our_writer_reports_a_late_error() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Fail]));
    let error = block_on(theirs::copy(&mut &b"abc"[..], &mut writer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn dropped_poll_loses_nothing() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Wait, Step::Wait]));
    let mut cx = Context::from_waker(Waker::noop());
    let mut room = [0; 2];
    let mut room = theirs::ReadBuf::new(&mut room);
    for _ in 0..2 {
        let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut room);
        assert!(read.is_pending());
    }
    let mut none = theirs::ReadBuf::new(&mut []);
    let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut none);
    assert!(matches!(read, Poll::Ready(Ok(()))));
    let read = theirs::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut room);
    assert!(matches!(read, Poll::Ready(Ok(()))));
    assert_eq!((room.filled(), reader.buffer()), (&b"ab"[..], &b"c"[..]));
}

#[test]
fn their_shutdown_waits_for_all() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Move(1), Step::Wait]));
    block_on(async {
        theirs::AsyncWriteExt::write_u16(&mut writer, 0x6162)
            .await
            .unwrap();
        theirs::AsyncWriteExt::shutdown(&mut writer).await.unwrap();
    });
    let sink = writer.into_inner().unwrap();
    assert_eq!((&sink.bytes[..], sink.shut_down), (&b"ab"[..], 1));
}

#[test]
fn their_copy_both_ways_over_our_streams() {
    let (mut client, front) = compio_io::io::duplex(4);
    let (back, mut server) = compio_io::io::duplex(4);
    let [mut front, mut back] = [front, back].map(|stream| {
        let (reader, writer) = split(stream);
        join(PollReader::new(reader), PollWriter::new(writer))
    });
    block_on(async {
        client.write_all("abcd").await.0.unwrap();
        server.write_all("xyz").await.0.unwrap();
        let mut relay = Box::pin(theirs::copy_bidirectional(&mut front, &mut back));
        assert!(poll_once(relay.as_mut()).is_none());
        assert_eq!(server.read_exact([0; 4]).await.1, *b"abcd");
        client.shutdown().await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(relay.await.unwrap(), (4, 3));
        assert_eq!(client.read_to_end(Vec::new()).await.1, b"xyz");
    });
    assert!(theirs::AsyncWrite::is_write_vectored(&front));
}

#[test]
fn their_readers_read() {
    let mut reader = TokioIo::new(std::io::Cursor::new(b"abcdef"));
    assert_eq!(block_on(reader.read(vec_of(b"longer", 16))).0.unwrap(), 6);
    assert_eq!(reader.get_ref().position(), 6);
    reader.get_mut().set_position(4);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"ef");
    reader.consume(1);
    assert_eq!(block_on(reader.read_until(b'f', Vec::new())).1, b"f");
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"");
    assert_eq!(reader.into_inner().position(), 6);
}

/// A reader of one byte, which records how many bytes of its room were initialised.
struct OneByte {
    initialised: Vec<usize>,
}

impl theirs::AsyncRead for OneByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut theirs::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.initialised.push(room.initialized().len());
        room.put_slice(b"x");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn room_for_their_reader_is_not_zeroed() {
    let initialised = Vec::new();
    let mut reader = TokioIo::new(OneByte { initialised });
    let buffer = block_on(reader.read(Vec::with_capacity(1 << 20))).1;
    assert_eq!(buffer, b"x");
    assert_eq!(block_on(reader.read(vec_of(b"three", 16))).1, b"x");
    assert_eq!(reader.get_ref().initialised, [0, 5]);
}

/// A reader that exchanges the room that it is given by its own.
struct Exchanging;

impl theirs::AsyncRead for Exchanging {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut theirs::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        *room = theirs::ReadBuf::new(&mut []);
        Poll::Ready(Ok(()))
    }
}

#[test]
#[should_panic(expected = "the reader has exchanged its `ReadBuf`")]
fn reader_that_exchanges_its_room_panics() {
    let _ = block_on(TokioIo::new(Exchanging).read(Vec::with_capacity(8)));
}

#[test]
fn their_pipe_between_our_ends() {
    let (left, right) = theirs::duplex(4);
    let (mut left, mut right) = (TokioIo::new(left), TokioIo::new(right));
    block_on(async {
        assert!(poll_once(right.read([0; 4])).is_none());
        assert_eq!(left.write("abcdef").await.0.unwrap(), 4);
        assert!(poll_once(left.write("ef")).is_none());
        assert_eq!(right.read([0; 4]).await.1, *b"abcd");
        left.write_vectored_all(["", "ef", "gh"]).await.0.unwrap();
        left.flush().await.unwrap();
        left.shutdown().await.unwrap();
        assert_eq!(right.read_to_end(Vec::new()).await.1, b"efgh");
        drop(right);
        assert_eq!(
            left.write("x").await.0.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    });
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
            theirs::AsyncWriteExt::shutdown(&mut encoder).await.unwrap();
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
    let mut stream = join(&b"abc"[..], tokio::io::sink());
    let bytes = block_on(tokio::io::AsyncBufReadExt::fill_buf(&mut stream)).unwrap();
    assert_eq!(bytes, b"abc");
    tokio::io::AsyncBufReadExt::consume(&mut stream, 1);
    let bytes = block_on(tokio::io::AsyncBufReadExt::fill_buf(&mut stream)).unwrap();
    assert_eq!(bytes, b"bc");
}
