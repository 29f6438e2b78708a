//! Tests for Windows: each file says which.

mod handles;
mod raw;
mod selection;
