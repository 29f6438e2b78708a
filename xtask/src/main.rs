//! What CI and contributors run: `cargo xtask check`, `cargo xtask ci`.

fn main() {}
