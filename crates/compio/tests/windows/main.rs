//! The public API of Windows alone.

#![cfg(windows)]

mod named_pipe;
mod names;
mod support;
mod threads;
