//! `JsonCodec` over lines and over lengths.

#![no_main]

use compio_fuzz::{Step, capacity_for, decode, encode};
use compio_io::framed::{CodecError, JsonCodec, JsonError, LengthDelimitedCodec, LinesCodec};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use serde_json::Value;

type Pair = (u32, Vec<Option<String>>);

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    values: Vec<Pair>,
    steps: Vec<Step>,
    len_max: u8,
}

fuzz_target!(|input: Input| {
    let Input {
        bytes,
        values,
        steps,
        len_max,
    } = input;
    let len_max = usize::from(len_max);

    let lines = LinesCodec::new_with_max_length(len_max);
    // The parser's own result for each frame, if it has one.
    let parsed = decode(lines.clone(), &bytes, &steps, usize::MAX, usize::MAX);
    let expected: Vec<Option<Value>> = parsed
        .iter()
        .map(|line| serde_json::from_str(line.as_ref().ok()?).ok())
        .collect();
    let codec = JsonCodec::<_, Value>::new(lines);
    let seen = decode(codec, &bytes, &steps, usize::MAX, capacity_for(len_max));
    assert_eq!(seen.len(), expected.len());
    for ((seen, parsed), expected) in seen.iter().zip(&parsed).zip(&expected) {
        match seen {
            Ok(value) => assert_eq!(Some(value), expected.as_ref()),
            Err(JsonError::Json(_)) => assert!(parsed.is_ok() && expected.is_none()),
            Err(JsonError::Codec(CodecError::TooLong | CodecError::Utf8)) => {
                assert!(parsed.is_err());
            }
            Err(JsonError::Codec(error)) => panic!("{error}"),
        }
    }

    let lines = JsonCodec::<_, Pair>::new(LinesCodec::new());
    let (sent, taken) = encode(lines.clone(), &values, &steps);
    assert_eq!(taken, values);
    let read = decode(lines, &sent, &steps, 0, usize::MAX);
    assert!(
        read.into_iter()
            .map(|value| value.expect("a sent value"))
            .eq(taken)
    );

    let lengths = JsonCodec::<_, Pair>::new(LengthDelimitedCodec::new());
    let (sent, taken) = encode(lengths.clone(), &values, &steps);
    let read = decode(lengths, &sent, &steps, 0, usize::MAX);
    assert!(
        read.into_iter()
            .map(|value| value.expect("a sent value"))
            .eq(taken)
    );
});
