//! Reads a file and prints it.

fn main() {}
