//! Shared code of the targets: readers and writers that split bytes at positions from the fuzzer,
//! and the frames that result.
//!
//! The targets are in `fuzz_targets/`, one for each parser. Each compares it with a simple model:
//! std's reader, or a loop over the complete bytes.

use std::{collections::VecDeque, future::poll_fn, io, task::Poll};

use bytes::BytesMut;
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    framed::{Decoder, Encoder, FramedRead, FramedWrite},
    io::{AsyncRead, AsyncWrite},
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use pollster::block_on;

/// The behaviour of one operation. After the last step, operations move as many bytes as they can.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    /// Moves at most this many bytes plus one.
    Move(u8),
    /// Fails with `Interrupted`.
    Interrupt,
    /// Is pending at the first poll; then the next step follows.
    Wait,
}

/// A source or a sink, whose operations follow the steps.
#[derive(Debug)]
pub struct Stepped {
    /// The bytes still to be read, or the written ones.
    pub bytes: VecDeque<u8>,
    steps: VecDeque<Step>,
}

impl Stepped {
    /// A reader of these bytes.
    pub fn source(bytes: &[u8], steps: &[Step]) -> Self {
        Self {
            bytes: bytes.iter().copied().collect(),
            steps: steps.iter().copied().collect(),
        }
    }

    /// A writer that stores all bytes.
    pub fn sink(steps: &[Step]) -> Self {
        Self::source(&[], steps)
    }

    /// The maximum number of bytes of the next operation.
    async fn step(&mut self) -> io::Result<usize> {
        loop {
            match self.steps.pop_front() {
                Some(Step::Move(len)) => return Ok(usize::from(len) + 1),
                Some(Step::Interrupt) => return Err(io::ErrorKind::Interrupted.into()),
                Some(Step::Wait) => wait_once().await,
                None => return Ok(usize::MAX),
            }
        }
    }
}

impl AsyncRead for Stepped {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        let len = match self.step().await {
            Ok(len) => len.min(self.bytes.len()),
            Err(error) => return (Err(error), buf),
        };
        let len = buf.init_from(&self.bytes.make_contiguous()[..len]);
        self.bytes.drain(..len);
        (Ok(len), buf)
    }
}

impl AsyncWrite for Stepped {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let len = match self.step().await {
            Ok(len) => len.min(buf.buf_len()),
            Err(error) => return (Err(error), buf),
        };
        self.bytes.extend(&buf.as_init()[..len]);
        (Ok(len), buf)
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn wait_once() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A decoder with a memory limit.
struct Bounded<D> {
    decoder: D,
    capacity_max: usize,
}

impl<D> Bounded<D> {
    fn check(&self, src: &BytesMut) {
        assert!(
            src.capacity() <= self.capacity_max,
            "room for {} bytes, and {} are allowed",
            src.capacity(),
            self.capacity_max
        );
    }
}

impl<D: Decoder> Decoder for Bounded<D> {
    type Item = D::Item;
    type Error = D::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<D::Item>, D::Error> {
        let decoded = self.decoder.decode(src);
        self.check(src);
        decoded
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<D::Item>, D::Error> {
        let decoded = self.decoder.decode_eof(src);
        self.check(src);
        decoded
    }
}

/// The memory limit of a frame and of bytes read ahead. Capacity grows by doubling.
pub fn capacity_for(frame_len_max: usize) -> usize {
    2 * (frame_len_max + 16 * 1024)
}

/// All frames and errors that the decoder finds in bytes read by steps. It continues after up to
/// `errors_max` errors, within the given memory limit in bytes.
pub fn decode<D: Decoder>(
    decoder: D,
    bytes: &[u8],
    steps: &[Step],
    errors_max: usize,
    capacity_max: usize,
) -> Vec<Result<D::Item, D::Error>> {
    let decoder = Bounded {
        decoder,
        capacity_max,
    };
    let mut frames = FramedRead::new(Stepped::source(bytes, steps), decoder);
    let (mut seen, mut errors, mut has_failed) = (Vec::new(), 0, false);
    loop {
        match block_on(frames.next()) {
            Some(frame) => {
                assert!(!has_failed, "an error is followed by an end");
                has_failed = frame.is_err();
                errors += usize::from(has_failed);
                seen.push(frame);
                if errors > errors_max {
                    return seen;
                }
            }
            None if has_failed => has_failed = false,
            None => return seen,
        }
        assert!(seen.len() <= 2 * bytes.len() + 2, "too many frames");
    }
}

/// The bytes of these frames, and the frames that the encoder accepted.
pub fn encode<I: Clone, E: Encoder<I>>(
    encoder: E,
    frames: &[I],
    steps: &[Step],
) -> (Vec<u8>, Vec<I>) {
    let mut taken = Vec::new();
    let mut writer = FramedWrite::new(Stepped::sink(steps), encoder);
    for frame in frames {
        let before = writer.write_buffer().clone();
        // A full buffer is written first; that cannot fail here.
        match block_on(writer.feed(frame.clone())) {
            Ok(()) => taken.push(frame.clone()),
            Err(_) if writer.write_buffer().is_empty() => {}
            Err(_) => assert_eq!(*writer.write_buffer(), before, "nothing changed"),
        }
    }
    block_on(writer.close()).expect("the sink takes all");
    let Ok((sink, ..)) = writer.into_parts() else {
        unreachable!("nothing is under way after a close");
    };
    (sink.bytes.into(), taken)
}
