//! `BufWriter` and writes through it: all bytes arrive, once and in order.

#![no_main]

use std::io::ErrorKind;

use compio_fuzz::{Step, Stepped};
use compio_io::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use pollster::block_on;

#[derive(Arbitrary, Debug)]
struct Input {
    steps: Vec<Step>,
    capacity: u8,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Write(Vec<u8>),
    WriteVectored(Vec<Vec<u8>>),
    WriteAll(Vec<u8>),
    WriteVectoredAll(Vec<Vec<u8>>),
    Flush,
}

/// The length of a write. An interrupted write has written nothing.
fn count(written: std::io::Result<usize>, len: usize) -> usize {
    match written {
        Ok(written) => {
            assert!(written <= len && (written > 0) == (len > 0));
            written
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            0
        }
    }
}

fuzz_target!(|input: Input| {
    let sink = Stepped::sink(&input.steps);
    let mut writer = BufWriter::with_capacity(input.capacity.into(), sink);
    let mut model = Vec::new();
    let run = async {
        for operation in input.operations {
            match operation {
                Operation::Write(bytes) => {
                    let (written, bytes) = writer.write(bytes).await;
                    model.extend_from_slice(&bytes[..count(written, bytes.len())]);
                }
                Operation::WriteVectored(parts) => {
                    let (written, parts) = writer.write_vectored(parts).await;
                    let bytes = parts.concat();
                    model.extend_from_slice(&bytes[..count(written, bytes.len())]);
                }
                Operation::WriteAll(bytes) => {
                    let (result, bytes) = writer.write_all(bytes).await;
                    result.expect("interrupted writes are repeated");
                    model.extend(bytes);
                }
                Operation::WriteVectoredAll(parts) => {
                    let (result, parts) = writer.write_vectored_all(parts).await;
                    result.expect("interrupted writes are repeated");
                    model.extend(parts.concat());
                }
                Operation::Flush => {
                    writer
                        .flush()
                        .await
                        .expect("interrupted writes are repeated");
                    assert!(writer.buffer().is_empty());
                    assert!(writer.get_ref().bytes.iter().eq(&model));
                }
            }
            assert!(writer.buffer().len() <= writer.capacity());
            let passed_on = writer.get_ref().bytes.iter();
            assert!(passed_on.chain(writer.buffer()).eq(&model));
        }
        writer
            .shutdown()
            .await
            .expect("interrupted writes are repeated");
    };
    block_on(run);
    assert!(writer.into_inner().bytes.iter().eq(&model));
});
