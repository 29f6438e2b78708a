//! `FramedRead`, `FramedWrite`, `Framed`: errors, ends, and futures dropped at
//! any await.

use std::io::ErrorKind;

use bytes::BytesMut;
use compio_io::{
    framed::{CodecError, Decoder, Encoder, Framed, FramedRead, FramedWrite, LinesCodec},
    io::{AsyncReadExt, AsyncWriteExt, duplex, split},
};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use pollster::block_on;
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::script::{Scripted, Step, config, hesitation, impatiently, poll_once, poll_times};

fn lines_of(content: &[u8], steps: &[Step]) -> FramedRead<Scripted, LinesCodec> {
    FramedRead::new(Scripted::new(content, steps), LinesCodec::new())
}

fn lines_into(steps: &[Step]) -> FramedWrite<Scripted, LinesCodec> {
    FramedWrite::new(Scripted::sink(steps), LinesCodec::new())
}

#[test]
fn dropped_next_loses_nothing() {
    let mut lines = lines_of(
        b"abcdef\ngh",
        &[Step::Move(2), Step::Wait, Step::Wait, Step::Move(3)],
    );
    assert!(poll_once(lines.next()).is_none());
    assert!(lines.get_ref().is_none() && lines.get_mut().is_none());
    assert!(lines.read_buffer().is_none());
    let mut lines = lines.into_parts().unwrap_err();
    assert!(poll_once(lines.next()).is_none());
    assert_eq!(poll_once(lines.next()).unwrap().unwrap().unwrap(), "abcdef");
    assert_eq!(lines.read_buffer().unwrap(), "gh");
    let (source, codec, rest) = lines.into_parts().unwrap();
    let mut lines = FramedRead::new(std::io::Cursor::new(rest).chain(source), codec);
    assert_eq!(block_on(lines.next()).unwrap().unwrap(), "gh");
}

#[test]
fn error_of_the_reader_is_reported_once_and_reading_goes_on() {
    let mut lines = lines_of(b"abcd\n", &[Step::Move(2), Step::Interrupt, Step::Fail]);
    let error = block_on(lines.next()).unwrap().unwrap_err();
    assert!(matches!(error, CodecError::Io(e) if e.kind() == ErrorKind::ConnectionReset));
    assert!(block_on(lines.next()).is_none());
    assert_eq!(block_on(lines.next()).unwrap().unwrap(), "abcd");
    assert!(block_on(lines.next()).is_none());
}

#[test]
fn behind_the_end_it_is_read_again() {
    let (mut client, server) = duplex(8);
    let mut lines = FramedRead::new(
        Scripted::new(b"a", &[Step::Move(1), Step::Move(0)]),
        LinesCodec::new(),
    );
    assert_eq!(block_on(lines.next()).unwrap().unwrap(), "a");
    assert!(block_on(lines.next()).is_none());
    lines.get_mut().unwrap().bytes.extend(b"b\n");
    assert_eq!(block_on(lines.next()).unwrap().unwrap(), "b");
    assert!(block_on(lines.next()).is_none());
    assert!(block_on(lines.next()).is_none());
    // A socket at EOF stays at EOF.
    let mut lines = FramedRead::new(server, LinesCodec::new());
    block_on(client.write_all("x")).0.unwrap();
    drop(client);
    assert_eq!(block_on(lines.next()).unwrap().unwrap(), "x");
    assert!(block_on(lines.next()).is_none());
    assert!(block_on(lines.next()).is_none());
}

/// Frames of three bytes, without an end of its own.
#[derive(Debug)]
struct Threes;

impl Decoder for Threes {
    type Item = BytesMut;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
        Ok((src.len() >= 3).then(|| src.split_to(3)))
    }
}

impl Encoder<&str> for Threes {
    type Error = std::io::Error;

    fn encode(&mut self, item: &str, dst: &mut BytesMut) -> std::io::Result<()> {
        dst.extend_from_slice(item.as_bytes());
        if item.len() == 3 {
            Ok(())
        } else {
            Err(ErrorKind::InvalidInput.into())
        }
    }
}

#[test]
fn bytes_that_make_no_frame_are_an_error_at_the_end() {
    let mut frames = FramedRead::new(&b"abcdefgh"[..], Threes);
    assert_eq!(block_on(frames.next()).unwrap().unwrap(), "abc");
    assert_eq!(block_on(frames.next()).unwrap().unwrap(), "def");
    let error = block_on(frames.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(block_on(frames.next()).is_none());
    assert_eq!(frames.read_buffer().unwrap(), "gh");
    assert_eq!(
        format!("{frames:?}"),
        "FramedRead { reader: Some([]), decoder: Threes, .. }"
    );
}

#[test]
fn frame_that_is_refused_leaves_no_trace() {
    let mut frames = FramedWrite::new(Vec::new(), Threes);
    block_on(frames.feed("abc")).unwrap();
    assert!(block_on(frames.feed("xy")).is_err());
    assert_eq!(frames.write_buffer(), "abc");
    assert_eq!(
        format!("{frames:?}"),
        "FramedWrite { writer: Some([]), encoder: Threes, gathered: 3 }"
    );
    block_on(frames.send("def")).unwrap();
    assert_eq!(frames.into_parts().unwrap().0, b"abcdef");
}

#[test]
fn frames_are_gathered_into_one_operation() {
    let mut lines = lines_into(&[]);
    for line in ["a", "b", "c"] {
        block_on(lines.feed(line)).unwrap();
    }
    assert_eq!(lines.get_ref().unwrap().operations, 0);
    block_on(lines.flush()).unwrap();
    block_on(lines.flush()).unwrap();
    block_on(lines.close()).unwrap();
    let (sink, _, gathered) = lines.into_parts().unwrap();
    assert_eq!((&sink.bytes[..], sink.operations), (&b"a\nb\nc\n"[..], 1));
    assert_eq!((sink.flushed, sink.shut_down, gathered.len()), (1, 1, 0));
}

#[test]
fn frames_of_eight_kilobytes_are_gathered_before_the_first_write() {
    let mut lines = lines_into(&[]);
    let frame = "x".repeat(1023);
    for _ in 0..8 {
        block_on(lines.feed(&frame)).unwrap();
    }
    assert_eq!(lines.write_buffer().len(), 8 * 1024);
    assert_eq!(lines.get_ref().unwrap().operations, 0);
    block_on(lines.feed(&frame)).unwrap();
    block_on(lines.flush()).unwrap();
    assert_eq!(lines.get_ref().unwrap().bytes.len(), 9 * 1024);
}

#[test]
fn full_buffer_makes_the_next_frame_wait() {
    let large = "x".repeat(10_000);
    let mut lines = lines_into(&[Step::Wait, Step::Hang]);
    // The first is being written, the second is gathered, the third has to wait.
    block_on(lines.feed(&large)).unwrap();
    assert!(poll_once(lines.feed(&large)).unwrap().is_ok());
    assert!(poll_once(lines.feed(&large)).is_none());
    assert_eq!(lines.write_buffer().len(), 10_001);
    assert!(lines.into_parts().is_err());
}

#[test]
fn dropped_flush_goes_on() {
    let mut lines = lines_into(&[Step::Wait, Step::Move(1), Step::Wait, Step::Move(1)]);
    assert!(poll_once(lines.send("abc")).is_none());
    // Taken while that write is in flight.
    assert!(poll_once(lines.feed("d")).unwrap().is_ok());
    assert!(poll_once(lines.close()).is_none());
    block_on(lines.close()).unwrap();
    assert_eq!(lines.get_mut().unwrap().bytes, b"abc\nd\n");
}

#[test]
fn errors_of_the_writer_are_passed_on() {
    let mut lines = lines_into(&[Step::Move(1), Step::Fail]);
    let error = block_on(lines.send("abc")).unwrap_err();
    assert!(matches!(error, CodecError::Io(e) if e.kind() == ErrorKind::ConnectionReset));
    let mut lines = lines_into(&[Step::Move(1), Step::Move(0)]);
    block_on(lines.feed("abc")).unwrap();
    assert_eq!(
        block_on(lines.close()).unwrap_err().kind(),
        ErrorKind::WriteZero
    );
}

#[test]
fn frames_are_sent_while_a_next_waits() {
    let (stream, other) = duplex(64);
    let (reader, writer) = split(stream);
    let mut ours = Framed::new(reader, writer, LinesCodec::new());
    let (reader, writer) = split(other);
    let mut theirs = Framed::new(reader, writer, LinesCodec::new());
    assert!(poll_once(ours.next()).is_none());
    block_on(ours.send("question")).unwrap();
    assert!(ours.read_buffer().is_none());
    assert_eq!(block_on(theirs.next()).unwrap().unwrap(), "question");
    block_on(theirs.feed("answer")).unwrap();
    assert_eq!(theirs.write_buffer(), "answer\n");
    block_on(theirs.flush()).unwrap();
    assert_eq!(block_on(ours.next()).unwrap().unwrap(), "answer");
    block_on(ours.close()).unwrap();
    assert!(block_on(theirs.next()).is_none());
    assert!(format!("{theirs:?}").starts_with("Framed { codec: LinesCodec"));
    assert_eq!(ours.codec().max_length(), ours.codec_mut().max_length());
}

#[test]
fn both_directions_go_on_when_they_are_taken_apart() {
    let (stream, other) = duplex(64);
    let (reader, writer) = split(stream);
    let mut ours = Framed::new(reader, writer, LinesCodec::new());
    assert!(poll_once(ours.next()).is_none());
    block_on(ours.feed("question")).unwrap();
    let (mut frames, mut sink) = ours.into_split();
    block_on(sink.flush()).unwrap();
    let (mut reader, mut writer) = split(other);
    assert_eq!(block_on(reader.read_exact([0; 9])).1, *b"question\n");
    block_on(writer.write_all("answer\n")).0.unwrap();
    assert_eq!(block_on(frames.next()).unwrap().unwrap(), "answer");
    assert_eq!(frames.decoder().max_length(), sink.encoder().max_length());
    *sink.encoder_mut() = LinesCodec::new_with_max_length(1);
    *frames.decoder_mut() = sink.encoder().clone();
    assert!(block_on(sink.send("ab")).is_err());
}

#[test]
fn combinators_of_the_futures_crates() {
    let script = [Step::Wait, Step::Move(2), Step::Wait, Step::Move(9)];
    let lines = lines_of(b"one\ntwo\nthree\n", &script);
    let mut sink = lines_into(&script);
    let forwarded = lines.map_ok(|line| line.to_uppercase()).forward(&mut sink);
    block_on(forwarded).unwrap();
    let sink = sink.into_parts().unwrap().0;
    assert_eq!(
        (&sink.bytes[..], sink.shut_down),
        (&b"ONE\nTWO\nTHREE\n"[..], 1)
    );

    let (stream, other) = duplex(8);
    let (reader, writer) = split(stream);
    let (mut sink, mut stream) = StreamExt::split(Framed::new(reader, writer, LinesCodec::new()));
    block_on(async {
        SinkExt::<&str>::send(&mut sink, "abc").await.unwrap();
        let (reader, writer) = split(other);
        let mut other = Framed::new(reader, writer, LinesCodec::new());
        assert_eq!(other.next().await.unwrap().unwrap(), "abc");
        other.send("def").await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "def");
        SinkExt::<&str>::close(&mut sink).await.unwrap();
        assert!(other.next().await.is_none());
    });
}

#[test]
fn dropped_at_every_poll_no_frame_is_lost() {
    let script = [
        Step::Wait,
        Step::Move(2),
        Step::Wait,
        Step::Wait,
        Step::Move(3),
    ]
    .repeat(4);
    for polls in 0..30 {
        let mut lines = lines_of(b"ab\ncdef\n\nghijkl", &script);
        let mut seen = Vec::new();
        poll_times(polls, async {
            while let Some(line) = lines.next().await {
                seen.push(line.unwrap());
            }
        });
        seen.extend(block_on(lines.try_collect::<Vec<_>>()).unwrap());
        assert_eq!(seen, ["ab", "cdef", "", "ghijkl"]);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn impatience_loses_and_repeats_no_frame(
        frames in vec("[ab]{0,12}", 0..12),
        reads in hesitation(),
        writes in hesitation(),
    ) {
        let mut sink = lines_into(&writes);
        for frame in &frames {
            impatiently(async || sink.feed(frame).await).unwrap();
            poll_once(sink.flush());
        }
        impatiently(async || sink.close().await).unwrap();
        let sent = sink.into_parts().unwrap().0.bytes;
        let mut lines = lines_of(&sent, &reads);
        let mut seen = Vec::new();
        while let Some(line) = impatiently(async || lines.next().await) {
            seen.push(line.unwrap());
        }
        prop_assert_eq!(seen, frames);
    }
}
