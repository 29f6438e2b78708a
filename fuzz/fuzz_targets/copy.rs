//! `copy` and `copy_buf`: all bytes arrive, and the count is right.

#![no_main]

use compio_fuzz::{Step, Stepped};
use compio_io::io::{AsyncReadExt, BufReader, copy, copy_buf};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use pollster::block_on;

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    more: Vec<u8>,
    reads: Vec<Step>,
    writes: Vec<Step>,
    capacity: u8,
    limit: u16,
}

fuzz_target!(|input: Input| {
    let mut expected = [&input.bytes[..], &input.more].concat();
    expected.truncate(input.limit.into());
    let source = || {
        let second = Stepped::source(&input.more, &input.reads);
        let first = Stepped::source(&input.bytes, &input.reads);
        first.chain(second).take(input.limit.into())
    };

    let mut sink = Stepped::sink(&input.writes);
    let copied = block_on(copy(&mut source(), &mut sink));
    assert_eq!(copied.expect("it repeats"), expected.len() as u64);
    assert!(sink.bytes.iter().eq(&expected));

    let mut sink = Stepped::sink(&input.writes);
    let mut reader = BufReader::with_capacity(input.capacity.into(), source());
    let copied = block_on(copy_buf(&mut reader, &mut sink));
    assert_eq!(copied.expect("it repeats"), expected.len() as u64);
    assert!(sink.bytes.iter().eq(&expected));
});
