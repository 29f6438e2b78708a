//! Tests of unix alone.

mod fs;
mod lossless;
mod open_options;
