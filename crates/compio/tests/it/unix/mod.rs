//! What only unix has: each file says what that is.

mod fs;
mod lossless;
mod open_options;
