//! Reads its own source through the runtime, prints it, and names the backend.
//!
//! `cargo run --release --example quickstart`

use compio::{buf::BufResultExt, fs::File, io::AsyncReadAtExt, task::block_on};

/// This file.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/quickstart.rs");

fn main() -> std::io::Result<()> {
    let (_, text) = block_on(async {
        let file = File::open(PATH)?;
        // To EOF, in as many reads as necessary.
        file.read_to_string_at(String::new(), 0).await.transpose()
    })?;
    print!("{text}");

    println!("read by {}", compio::runtime::backend());
    Ok(())
}
