//! Reads a file through the runtime and prints it, and says which backend ran.
//!
//! `cargo run --release --example quickstart`

use compio::{fs::File, task::block_on};

fn main() {
    let buffer = block_on(async {
        let file = File::open("Cargo.toml").unwrap();
        let (read, buffer) = file.read_at(Vec::with_capacity(1024), 0).await;
        let read = read.unwrap();
        assert_eq!(read, buffer.len());
        String::from_utf8(buffer).unwrap()
    });
    println!("{}", buffer);

    println!("read by {}", compio::runtime::backend());
}
