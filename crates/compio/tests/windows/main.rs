//! What only Windows has, as a user meets it.

#![cfg(windows)]

mod named_pipe;
mod names;
mod support;
mod threads;
