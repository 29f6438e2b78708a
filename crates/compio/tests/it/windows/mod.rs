//! Tests of Windows alone.

mod fs;
mod open_options;
