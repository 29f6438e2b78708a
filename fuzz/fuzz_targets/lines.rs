//! `LinesCodec`: lines of any bytes, with and without a limit.

#![no_main]

use compio_fuzz::{Step, capacity_for, decode, encode};
use compio_io::framed::{CodecError, LinesCodec};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    lines: Vec<String>,
    steps: Vec<Step>,
    len_max: Option<u8>,
}

#[derive(Debug, PartialEq)]
enum Seen<'a> {
    Line(&'a str),
    TooLong,
    Utf8,
}

/// The lines of a complete input.
fn model(bytes: &[u8], len_max: usize) -> Vec<Seen<'_>> {
    let segments = bytes.split_inclusive(|&byte| byte == b'\n');
    let lines = segments.map(|segment| {
        let ended = segment.strip_suffix(b"\n");
        let line = ended.unwrap_or(segment);
        if line.len() > len_max {
            return Seen::TooLong;
        }
        // It belongs to the line end only before a newline.
        let text = ended.and_then(|line| line.strip_suffix(b"\r"));
        str::from_utf8(text.unwrap_or(line)).map_or(Seen::Utf8, Seen::Line)
    });
    lines.collect()
}

fuzz_target!(|input: Input| {
    let len_max = input.len_max.map_or(usize::MAX, usize::from);
    let codec = LinesCodec::new_with_max_length(len_max);
    let capacity_max = capacity_for(len_max.min(input.bytes.len()));
    let errors_max = usize::MAX;
    let seen = decode(
        codec.clone(),
        &input.bytes,
        &input.steps,
        errors_max,
        capacity_max,
    );
    let seen = seen.iter().map(|seen| match seen {
        Ok(line) => Seen::Line(line),
        Err(CodecError::TooLong) => Seen::TooLong,
        Err(CodecError::Utf8) => Seen::Utf8,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(seen.collect::<Vec<_>>(), model(&input.bytes, len_max));

    let (sent, taken) = encode(codec.clone(), &input.lines, &input.steps);
    let shorter = |line: &&String| line.len() <= len_max;
    assert!(taken.iter().eq(input.lines.iter().filter(shorter)));
    // A line with a line end inside does not survive the round trip.
    if taken
        .iter()
        .any(|line| line.contains('\n') || line.ends_with('\r'))
    {
        return;
    }
    let read = decode(codec, &sent, &input.steps, 0, usize::MAX);
    let read: Vec<_> = read
        .into_iter()
        .map(|line| line.expect("a sent line"))
        .collect();
    assert_eq!(read, taken);
});
