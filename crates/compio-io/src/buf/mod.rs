//! Owned buffers: what may be handed to the kernel, and how it comes back.
//!
//! | file | holds |
//! |---|---|
//! | `io_buf` | [`IoBuf`], [`IoBufMut`]: one contiguous buffer |
//! | `slice` | [`Slice`]: a window into one buffer |
//! | `vectored` | [`IoVectoredBuf`], [`IoVectoredBufMut`]: many buffers at once |
//! | `vectored_slice` | [`VectoredSlice`]: many buffers without their first bytes |
//! | `vectored_first` | the one buffer that a non-vectored fallback works on |
//! | `result` | [`BufResult`]: the result and the buffer |
//! | `into_inner` | [`IntoInner`]: unwrapping |
//! | `*_impls` | which foreign types are buffers, and why that is sound |
//!
//! What is not here: registered and kernel-provided buffers. They belong to a
//! ring, hence to the driver.

#[cfg(feature = "bytes")]
mod bytes_impls;
mod into_inner;
mod io_buf;
mod result;
mod slice;
mod std_impls;
mod vectored;
mod vectored_first;
mod vectored_impls;
mod vectored_slice;

pub use into_inner::IntoInner;
pub use io_buf::{IoBuf, IoBufMut};
pub use result::{BufResult, BufResultExt};
pub(crate) use slice::Rest;
pub use slice::Slice;
pub use vectored::{IoVectoredBuf, IoVectoredBufMut};
pub(crate) use vectored_first::{FirstBytes, FirstRoom};
pub use vectored_slice::VectoredSlice;
