//! Reads a file with the low-level driver, and without any runtime.
//!
//! `cargo run --example driver`

use compio::{
    buf::IntoInner,
    driver::{AsRawFd, Driver, Poller},
    fs::File,
    op::ReadAt,
};

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "character for character the description's example; why it is sound is said below"
)]
fn main() {
    // `op` stays in place, and alive, until `poll_one` returns its entry. The buffer's length is
    // set to the entry's result.
    let driver = Driver::new().unwrap();
    let file = File::open("Cargo.toml").unwrap();
    // Attach the `RawFd` to driver first.
    driver.attach(file.as_raw_fd()).unwrap();

    // Create operation and push it to the driver.
    let mut op = ReadAt::new(file.as_raw_fd(), 0, Vec::with_capacity(4096));
    unsafe { driver.push(&mut op, 0) }.unwrap();

    // Poll the driver and wait for IO completed.
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 0);

    // Resize the buffer by return value.
    let n = entry.into_result().unwrap();
    let mut buffer = op.into_inner().into_inner();
    unsafe {
        buffer.set_len(n);
    }

    println!("{}", String::from_utf8(buffer).unwrap());
}
