//! `LengthDelimitedCodec`, with all settings.

#![no_main]

use std::io::ErrorKind;

use compio_fuzz::{Step, capacity_for, decode, encode};
use compio_io::framed::{CodecError, LengthDelimitedCodec};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input {
    shape: Shape,
    bytes: Vec<u8>,
    frames: Vec<Vec<u8>>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Shape {
    field_len: u8,
    field_offset: u8,
    little_endian: bool,
    adjustment: Adjustment,
    skip: Option<u8>,
    len_max: Option<u16>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Adjustment {
    Small(i8),
    Any(isize),
}

impl Shape {
    fn codec(&self) -> LengthDelimitedCodec {
        let mut codec = LengthDelimitedCodec::new()
            .length_field_length(self.field_len())
            .length_field_offset(self.field_offset.into())
            .length_adjustment(self.adjustment());
        if self.little_endian {
            codec = codec.little_endian();
        }
        if let Some(skip) = self.skip {
            codec = codec.num_skip(skip.into());
        }
        codec.max_frame_length(self.len_max())
    }

    fn field_len(&self) -> usize {
        usize::from(self.field_len) % 8 + 1
    }

    fn field_end(&self) -> usize {
        usize::from(self.field_offset) + self.field_len()
    }

    fn adjustment(&self) -> isize {
        match self.adjustment {
            Adjustment::Small(bytes) => bytes.into(),
            Adjustment::Any(bytes) => bytes,
        }
    }

    fn skip(&self) -> usize {
        self.skip.map_or(self.field_end(), usize::from)
    }

    /// The number of header bytes that belong to the frame.
    fn kept(&self) -> usize {
        self.field_end().saturating_sub(self.skip())
    }

    fn len_max(&self) -> usize {
        self.len_max.map_or(8 * 1024 * 1024, usize::from)
    }

    /// The frames of a complete input.
    fn frames<'a>(&self, mut bytes: &'a [u8]) -> Vec<Seen<'a>> {
        let mut frames = Vec::new();
        loop {
            if bytes.is_empty() {
                return frames;
            }
            if bytes.len() < self.field_end().max(self.skip()) {
                frames.push(Seen::End);
                return frames;
            }
            let mut field = bytes[usize::from(self.field_offset)..self.field_end()].to_vec();
            if self.little_endian {
                field.reverse();
            }
            let value = field
                .iter()
                .fold(0, |sum, &byte| sum << 8 | i128::from(byte));
            let len = value + self.adjustment() as i128;
            if len < self.kept() as i128 {
                frames.push(Seen::Length);
                return frames;
            }
            if len > self.len_max() as i128 {
                frames.push(Seen::TooLong);
                return frames;
            }
            let rest = &bytes[self.skip()..];
            let Some((frame, rest)) = rest.split_at_checked(len as usize) else {
                frames.push(Seen::End);
                return frames;
            };
            frames.push(Seen::Frame(frame));
            bytes = rest;
        }
    }
}

#[derive(Debug, PartialEq)]
enum Seen<'a> {
    Frame(&'a [u8]),
    /// It ends within a frame.
    End,
    TooLong,
    Length,
}

fuzz_target!(|input: Input| {
    let Input {
        shape,
        bytes,
        frames,
        steps,
    } = input;
    let header_len = shape.field_end().max(shape.skip());
    let capacity_max = capacity_for(shape.len_max() + header_len);
    let seen = decode(shape.codec(), &bytes, &steps, 0, capacity_max);
    let seen = seen.iter().map(|seen| match seen {
        Ok(frame) => Seen::Frame(frame),
        Err(CodecError::TooLong) => Seen::TooLong,
        Err(CodecError::Length) => Seen::Length,
        Err(CodecError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => Seen::End,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(seen.collect::<Vec<_>>(), shape.frames(&bytes));

    // The codec decodes its own output.
    let (sent, taken) = encode(shape.codec(), &frames, &steps);
    let read = decode(shape.codec(), &sent, &steps, 0, capacity_max);
    assert_eq!(read.len(), taken.len());
    for (read, taken) in read.iter().zip(&taken) {
        let read = read.as_ref().expect("a sent frame");
        assert_eq!(read[shape.kept()..], taken[..]);
    }
});
