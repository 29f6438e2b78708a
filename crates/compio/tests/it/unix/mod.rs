//! What only unix has: each file says what that is.

mod fs;
mod open_options;
