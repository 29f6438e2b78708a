//! Streams of accepted connections and of received buffers. Zero-copy sends are in `zero_copy.rs`.
//!
//! The streams use a multishot request if the kernel supports it. Otherwise they submit a new request for
//! each item, with the same results.

mod accept;
mod recv;

pub(crate) use self::recv::is_out_of_buffers;
pub use self::{accept::AcceptStream, recv::RecvStream};
