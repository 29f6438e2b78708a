//! Numbers in both orders of bytes.

use std::io::ErrorKind;

use compio_io::io::{AsyncReadExt, AsyncWriteExt};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, config, poll_once, stutter};

#[test]
fn number_cut_short_is_an_error() {
    let mut source: &[u8] = &[1, 2, 3];
    let error = block_on(source.read_u32()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(source.is_empty());
}

#[test]
fn failures_are_passed_on() {
    let mut source = Scripted::new(&[0; 8], &[Step::Move(2), Step::Fail]);
    let error = block_on(source.read_u64_le()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut sink = Scripted::sink(&[Step::Move(1), Step::Move(0)]);
    let error = block_on(sink.write_i16(-2)).unwrap_err();
    assert_eq!(
        (error.kind(), &sink.bytes[..]),
        (ErrorKind::WriteZero, &[0xff][..])
    );
}

#[test]
fn dropped_read_leaves_the_rest() {
    let mut source = Scripted::new(&[1, 2, 3, 4], &[Step::Move(1), Step::Hang]);
    assert!(poll_once(source.read_u32()).is_none());
    assert_eq!(source.unread(), [2, 3, 4]);
}

/// Writes a number in both orders, compares with std, and reads it back.
macro_rules! check {
    ($number:expr, $steps:expr, $write:ident $read:ident, $write_le:ident $read_le:ident) => {{
        let number = $number;
        let mut sink = Scripted::sink(&$steps);
        block_on(sink.$write(number)).unwrap();
        block_on(sink.$write_le(number)).unwrap();
        let bytes = [&number.to_be_bytes()[..], &number.to_le_bytes()].concat();
        prop_assert_eq!(&sink.bytes, &bytes);
        let mut source = Scripted::new(&bytes, &$steps);
        let read = block_on(source.$read()).unwrap();
        let read_le = block_on(source.$read_le()).unwrap();
        prop_assert_eq!(read.to_be_bytes(), number.to_be_bytes());
        prop_assert_eq!(read_le.to_be_bytes(), number.to_be_bytes());
    }};
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn numbers_are_those_of_std(bits: u128, steps in stutter()) {
        check!(bits as u8, steps, write_u8 read_u8, write_u8 read_u8);
        check!(bits as i8, steps, write_i8 read_i8, write_i8 read_i8);
        check!(bits as u16, steps, write_u16 read_u16, write_u16_le read_u16_le);
        check!(bits as i16, steps, write_i16 read_i16, write_i16_le read_i16_le);
        check!(bits as u32, steps, write_u32 read_u32, write_u32_le read_u32_le);
        check!(bits as i32, steps, write_i32 read_i32, write_i32_le read_i32_le);
        check!(bits as u64, steps, write_u64 read_u64, write_u64_le read_u64_le);
        check!(bits as i64, steps, write_i64 read_i64, write_i64_le read_i64_le);
        check!(bits, steps, write_u128 read_u128, write_u128_le read_u128_le);
        check!(bits as i128, steps, write_i128 read_i128, write_i128_le read_i128_le);
        let (single, double) = (f32::from_bits(bits as u32), f64::from_bits(bits as u64));
        check!(single, steps, write_f32 read_f32, write_f32_le read_f32_le);
        check!(double, steps, write_f64 read_f64, write_f64_le read_f64_le);
    }
}
