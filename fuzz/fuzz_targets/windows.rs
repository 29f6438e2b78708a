//! Slices of buffers, slices of slices, and vectored buffers.

#![no_main]

use compio_fuzz::{Step, Stepped};
use compio_io::{
    buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, Slice, VectoredSlice},
    io::{AsyncRead, AsyncWrite},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use pollster::block_on;

#[derive(Arbitrary, Debug)]
struct Input {
    contents: Vec<Content>,
    window: (u8, u8),
    inner: (u8, u8),
    payload: Vec<u8>,
    skip: u16,
    steps: Vec<Step>,
}

/// A vector with capacity.
#[derive(Arbitrary, Debug)]
struct Content {
    bytes: Vec<u8>,
    spare: u8,
}

impl Content {
    fn vector(&self) -> Vec<u8> {
        let mut vector = Vec::with_capacity(self.bytes.len() + usize::from(self.spare));
        vector.extend_from_slice(&self.bytes);
        vector
    }
}

/// A range that is valid for a slice of the buffer.
fn range(buffer: &impl IoBuf, (begin, len): (u8, u8)) -> (usize, usize) {
    let begin = usize::from(begin).min(buffer.buf_len());
    (begin, buffer.buf_capacity().min(begin + usize::from(len)))
}

fn narrow<B: IoBuf>(buffer: B, wanted: (u8, u8)) -> Slice<B> {
    let (begin, end) = range(&buffer, wanted);
    buffer.slice(begin..end)
}

/// Fills a slice of a slice; bytes around it stay unchanged.
fn one(content: &Content, input: &Input) {
    let outer = narrow(content.vector(), input.window);
    let begin = outer.begin() + range(&outer, input.inner).0;
    let end = outer.begin() + range(&outer, input.inner).1;
    let mut nested = narrow(outer, input.inner);
    let initialised = &content.bytes[begin..end.min(content.bytes.len()).max(begin)];
    assert_eq!(
        (&nested[..], nested.buf_len()),
        (initialised, initialised.len())
    );
    assert_eq!(nested.buf_capacity(), end - begin);

    let filled = nested.init_from(&input.payload);
    assert_eq!(filled, input.payload.len().min(end - begin));
    let mut model = content.bytes.clone();
    model.resize(model.len().max(begin + filled), 0);
    model[begin..begin + filled].copy_from_slice(&input.payload[..filled]);
    assert_eq!(nested[..], model[begin..end.min(model.len())]);
    assert_eq!(nested.into_inner().into_inner(), model);
}

/// Scattered bytes fill one buffer after the other. Gathering returns them in that order.
fn many(input: &Input) {
    let mut buffers: Vec<_> = input.contents.iter().map(Content::vector).collect();
    let room: usize = buffers.iter().map(Vec::capacity).sum();
    assert_eq!(buffers.total_capacity(), room);
    let filled = buffers.init_from(&input.payload);
    assert_eq!(filled, room.min(input.payload.len()));
    assert_eq!(buffers.concat(), input.payload[..filled]);

    let skip = usize::from(input.skip).min(filled);
    let rest = VectoredSlice::new(buffers, skip);
    assert_eq!(rest.total_len(), filled - skip);
    assert!(rest.slices().all(|slice| !slice.is_empty()));
    assert_eq!(
        rest.slices().collect::<Vec<_>>().concat(),
        input.payload[skip..filled]
    );
}

/// The same over slices: bytes outside of them stay unchanged.
fn many_windows(input: &Input) {
    let windows = input
        .contents
        .iter()
        .map(|content| narrow(content.vector(), input.window));
    let mut windows: Vec<_> = windows.collect();
    let mut rest = &input.payload[..];
    let mut model = Vec::new();
    for (window, content) in windows.iter().zip(&input.contents) {
        let (now, later) = rest.split_at(rest.len().min(window.buf_capacity()));
        let mut bytes = content.bytes.clone();
        bytes.resize(bytes.len().max(window.begin() + now.len()), 0);
        bytes[window.begin()..][..now.len()].copy_from_slice(now);
        model.push(bytes);
        rest = later;
    }
    assert_eq!(
        windows.init_from(&input.payload),
        input.payload.len() - rest.len()
    );
    assert!(windows.into_iter().map(Slice::into_inner).eq(model));
}

/// Readers and writers without vectored operations use one of several buffers.
async fn one_of_many(input: &Input) {
    let buffers: Vec<_> = input.contents.iter().map(Content::vector).collect();
    let room: usize = buffers.iter().map(Vec::capacity).sum();
    let mut source = Stepped::source(&input.payload, &input.steps);
    let (read, buffers) = source.read_vectored(buffers).await;
    match read {
        Ok(read) => {
            assert_eq!(buffers.concat(), input.payload[..read]);
            assert_eq!(read == 0, room == 0 || input.payload.is_empty());
        }
        // Nothing has changed.
        Err(_) => assert!(buffers.iter().eq(input.contents.iter().map(|c| &c.bytes))),
    }
    let len = buffers.total_len();
    let mut sink = Stepped::sink(&input.steps);
    let (written, buffers) = sink.write_vectored(buffers).await;
    let written = written.unwrap_or_default();
    assert!(sink.bytes.iter().eq(&buffers.concat()[..written]));
    assert!(written <= len);
}

fuzz_target!(|input: Input| {
    for content in &input.contents {
        one(content, &input);
    }
    many(&input);
    many_windows(&input);
    block_on(one_of_many(&input));
});
