//! `AnyDelimiterCodec`, with any delimiters, and `BytesCodec`, which has none.

#![no_main]

use compio_fuzz::{Step, capacity_for, decode, encode};
use compio_io::framed::{AnyDelimiterCodec, BytesCodec, CodecError};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input {
    delimiters: Vec<u8>,
    ending: Vec<u8>,
    bytes: Vec<u8>,
    frames: Vec<Vec<u8>>,
    steps: Vec<Step>,
    len_max: Option<u8>,
}

fuzz_target!(|input: Input| {
    let len_max = input.len_max.map_or(usize::MAX, usize::from);
    let (delimiters, ending) = (&input.delimiters[..], &input.ending[..]);
    let codec = AnyDelimiterCodec::new_with_max_length(delimiters, ending, len_max);
    let ends = |byte: &u8| delimiters.contains(byte);

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
        Ok(frame) => Some(&frame[..]),
        Err(CodecError::TooLong) => None,
        Err(error) => panic!("{error}"),
    });
    let model = input.bytes.split_inclusive(ends).map(|segment| {
        let frame = match segment.split_last() {
            Some((last, frame)) if ends(last) => frame,
            _ => segment,
        };
        (frame.len() <= len_max).then_some(frame)
    });
    assert!(seen.eq(model));

    let (sent, taken) = encode(codec.clone(), &input.frames, &input.steps);
    // Only frames without a delimiter inside survive the round trip.
    let is_clean = |frame: &Vec<u8>| !frame.iter().any(ends);
    if matches!(ending, [byte] if ends(byte)) && taken.iter().all(is_clean) {
        let read = decode(codec, &sent, &input.steps, 0, usize::MAX);
        let read: Vec<_> = read
            .into_iter()
            .map(|frame| frame.expect("a sent frame"))
            .collect();
        assert_eq!(read, taken);
    }

    let chunks = decode(BytesCodec, &input.bytes, &input.steps, 0, capacity_for(0));
    let chunks: Vec<_> = chunks
        .into_iter()
        .map(|chunk| chunk.expect("bytes"))
        .collect();
    assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
    assert_eq!(chunks.concat(), input.bytes);
    let (sent, taken) = encode(BytesCodec, &input.frames, &input.steps);
    assert_eq!((sent, &taken), (input.frames.concat(), &input.frames));
});
