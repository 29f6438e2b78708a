//! `BufReader`, `take`, `chain` and reads through them, with std's own methods as the model.

#![no_main]

use std::io::{BufRead, ErrorKind, Read};

use compio_fuzz::{Step, Stepped};
use compio_io::{
    buf::BufResult,
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use pollster::block_on;

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    more: Vec<u8>,
    steps: Vec<Step>,
    capacity: u8,
    limit: u16,
    tower: Tower,
    operations: Vec<Operation>,
    end: End,
}

/// The reader under test.
#[derive(Arbitrary, Debug)]
enum Tower {
    Buffered,
    TakeOfBuffered,
    BufferedTake,
    ChainOfBuffered,
    BufferedChain,
    TakeOfChain,
    Boxed,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Read(u8),
    ReadVectored(u8, u8),
    ReadExact(u8),
    ReadUntil(u8),
    ReadLine,
    SkipUntil(u8),
    Append(u8),
    FillAndConsume(u8),
    ReadNumber,
}

/// How the remaining bytes are read.
#[derive(Arbitrary, Debug)]
enum End {
    ToEnd(u8),
    ToString,
    Lines,
    Split(u8),
}

/// Repeats an operation while it is interrupted.
async fn patiently<T, B>(mut buf: B, mut attempt: impl AsyncFnMut(B) -> BufResult<T, B>) -> (T, B) {
    loop {
        let result;
        (result, buf) = attempt(buf).await;
        match result {
            Ok(value) => return (value, buf),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
        }
    }
}

/// The result of one read: some of the remaining bytes, and none only at EOF.
fn check_some<'a>(read: usize, got: &[u8], room: usize, rest: &'a [u8]) -> &'a [u8] {
    assert_eq!(read, got.len());
    assert_eq!(read == 0, room == 0 || rest.is_empty());
    rest.strip_prefix(got).expect("the next bytes")
}

/// Both results must agree, with errors by their kind.
fn check_same<T: PartialEq + std::fmt::Debug>(seen: std::io::Result<T>, model: std::io::Result<T>) {
    let kinds = (seen.map_err(|e| e.kind()), model.map_err(|e| e.kind()));
    assert_eq!(kinds.0, kinds.1);
}

async fn operate<R: AsyncBufRead>(reader: &mut R, operation: &Operation, rest: &mut &[u8]) {
    match *operation {
        Operation::Read(room) => {
            let room = usize::from(room);
            let attempt = async |buf| reader.read(buf).await;
            let (read, buf) = patiently(vec![0; room].into_boxed_slice(), attempt).await;
            *rest = check_some(read, &buf[..read], room, rest);
        }
        Operation::ReadVectored(first, second) => {
            let buffers = [first, second].map(|len| vec![0; len.into()].into_boxed_slice());
            let attempt = async |buf| reader.read_vectored(buf).await;
            let (read, buffers) = patiently(buffers, attempt).await;
            let room = usize::from(first) + usize::from(second);
            *rest = check_some(read, &buffers.concat()[..read], room, rest);
        }
        Operation::ReadExact(len) => {
            let (seen, buf) = reader
                .read_exact(vec![0; len.into()].into_boxed_slice())
                .await;
            let mut model = vec![0; len.into()];
            let before = *rest;
            let expected = Read::read_exact(rest, &mut model);
            if expected.is_err() {
                // Both buffers hold the bytes that were read before the error.
                model[..before.len()].copy_from_slice(before);
            }
            check_same(seen, expected);
            assert_eq!(buf[..], model[..]);
        }
        Operation::ReadUntil(delimiter) => {
            let (seen, buf) = reader.read_until(delimiter, b"kept".to_vec()).await;
            let mut model = b"kept".to_vec();
            check_same(seen, BufRead::read_until(rest, delimiter, &mut model));
            assert_eq!(buf, model);
        }
        Operation::ReadLine => {
            let (seen, line) = reader.read_line("kept".into()).await;
            let mut model = b"kept".to_vec();
            let len = BufRead::read_until(rest, b'\n', &mut model).expect("memory");
            match String::from_utf8(model) {
                Ok(model) => assert_eq!((seen.expect("text"), line), (len, model)),
                Err(_) => {
                    assert_eq!(seen.unwrap_err().kind(), ErrorKind::InvalidData);
                    assert_eq!(line, "kept");
                }
            }
        }
        Operation::SkipUntil(delimiter) => {
            let seen = reader.skip_until(delimiter).await;
            check_same(seen, BufRead::read_until(rest, delimiter, &mut Vec::new()));
        }
        Operation::Append(spare) => {
            let mut buf = Vec::with_capacity(4 + usize::from(spare));
            buf.extend_from_slice(b"kept");
            let (read, buf) = patiently(buf, async |buf| reader.append(buf).await).await;
            let got = buf.strip_prefix(b"kept").expect("the old bytes");
            *rest = check_some(read, got, 1, rest);
        }
        Operation::FillAndConsume(most) => {
            let bytes = loop {
                match reader.fill_buf().await {
                    Ok(bytes) => break bytes,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
                }
            };
            check_some(bytes.len(), bytes, 1, rest);
            let len = bytes.len().min(most.into());
            reader.consume(len);
            *rest = &rest[len..];
        }
        Operation::ReadNumber => {
            let seen = reader.read_u32_le().await;
            let mut number = [0; 4];
            let model = Read::read_exact(rest, &mut number);
            check_same(seen, model.map(|()| u32::from_le_bytes(number)));
        }
    }
}

async fn finish<R: AsyncBufRead>(mut reader: R, end: &End, mut rest: &[u8]) {
    match *end {
        End::ToEnd(spare) => {
            let mut buf = Vec::with_capacity(4 + usize::from(spare));
            buf.extend_from_slice(b"kept");
            let (read, buf) = reader.read_to_end(buf).await;
            assert_eq!(read.expect("memory"), rest.len());
            assert_eq!(buf.strip_prefix(b"kept"), Some(rest));
        }
        End::ToString => {
            let (read, text) = reader.read_to_string("kept".into()).await;
            let mut model = "kept".to_owned();
            check_same(read, Read::read_to_string(&mut rest, &mut model));
            assert_eq!(text, model);
        }
        End::Lines => {
            let mut lines = reader.lines();
            let mut model = BufRead::lines(rest);
            loop {
                let (seen, model) = (lines.next_line().await, model.next().transpose());
                let is_last = matches!(model, Ok(None));
                check_same(seen, model);
                if is_last {
                    return;
                }
            }
        }
        End::Split(delimiter) => {
            let mut parts = reader.split(delimiter);
            let mut model = BufRead::split(rest, delimiter);
            loop {
                let part = parts.next_segment().await.expect("memory");
                assert_eq!(part, model.next().map(|part| part.expect("memory")));
                if part.is_none() {
                    return;
                }
            }
        }
    }
}

async fn run<R: AsyncBufRead>(mut reader: R, mut rest: &[u8], input: &Input) {
    for operation in &input.operations {
        operate(&mut reader, operation, &mut rest).await;
    }
    finish(reader, &input.end, rest).await;
}

async fn build(input: &Input) {
    let (bytes, more, limit) = (&input.bytes[..], &input.more[..], u64::from(input.limit));
    let (early, late) = input.steps.split_at(input.steps.len() / 2);
    let source = Stepped::source(bytes, early);
    let next = Stepped::source(more, late);
    let capacity = input.capacity.into();
    let limited = |bytes: &[u8]| bytes[..bytes.len().min(input.limit.into())].to_vec();
    let both = [bytes, more].concat();
    match input.tower {
        Tower::Buffered => run(BufReader::with_capacity(capacity, source), bytes, input).await,
        Tower::TakeOfBuffered => {
            let reader = BufReader::with_capacity(capacity, source).take(limit);
            run(reader, &limited(bytes), input).await;
        }
        Tower::BufferedTake => {
            let reader = BufReader::with_capacity(capacity, source.take(limit));
            run(reader, &limited(bytes), input).await;
        }
        Tower::ChainOfBuffered => {
            let source = BufReader::with_capacity(capacity, source);
            run(source.chain(BufReader::new(next)), &both, input).await;
        }
        Tower::BufferedChain => {
            let reader = BufReader::with_capacity(capacity, source.chain(next));
            run(reader, &both, input).await;
        }
        Tower::TakeOfChain => {
            let source = BufReader::with_capacity(capacity, source);
            let reader = source.chain(BufReader::new(next)).take(limit);
            run(reader, &limited(&both), input).await;
        }
        Tower::Boxed => {
            let reader = Box::new(BufReader::with_capacity(capacity, source));
            run(reader, bytes, input).await;
        }
    }
}

fuzz_target!(|input: Input| {
    block_on(build(&input));
});
