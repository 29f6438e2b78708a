//! Checks of results. A failed one reports the line of its caller.

use std::{
    fmt::Debug,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Checks that the operation failed with this kind of error.
#[track_caller]
pub fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Checks that the operation failed with this OS error code.
#[track_caller]
pub fn check_code<T: Debug>(result: io::Result<T>, code: impl TryInto<i32>) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.raw_os_error(), code.try_into().ok(), "{error}");
}

/// Checks that the operation failed with this error, and returned the buffer unchanged.
#[track_caller]
pub fn check_returned<T: Debug>(
    result: (io::Result<T>, Vec<u8>),
    code: impl TryInto<i32>,
    buffer: &[u8],
) {
    check_code(result.0, code);
    assert_eq!(result.1, buffer);
}

/// Checks that the read returned these bytes.
#[track_caller]
pub fn check_read((read, buffer): (io::Result<usize>, Vec<u8>), expected: &str) {
    assert_eq!(read.expect("a read"), expected.len());
    assert_eq!(String::from_utf8_lossy(&buffer), expected);
}

/// Checks that the text contains all of these parts.
#[track_caller]
pub fn check_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// Whether the code panics.
pub fn panics(code: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_err()
}
