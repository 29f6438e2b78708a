//! What only Windows has: each file says what that is.

mod handles;
mod raw;
mod selection;
