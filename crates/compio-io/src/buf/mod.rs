//! Owned buffers, which operations lend to the kernel and return with their result.
//!
//! | file | holds |
//! |---|---|
//! | `io_buf` | [`IoBuf`], [`IoBufMut`]: one contiguous buffer |
//! | `slice` | [`Slice`]: a part of one buffer |
//! | `aligned` | [`Aligned`]: a buffer at an aligned address, for direct I/O |
//! | `vectored` | [`IoVectoredBuf`], [`IoVectoredBufMut`]: many buffers at once |
//! | `vectored_slice` | [`VectoredSlice`]: many buffers without their first bytes |
//! | `vectored_rest` | many buffers of which the first bytes have been read |
//! | `vectored_first` | the one buffer that a non-vectored fallback works on |
//! | `result` | [`BufResult`]: the result and the buffer |
//! | `room` | an owned buffer for readers that borrow one |
//! | `into_inner` | [`IntoInner`]: unwrapping |
//! | `*_impls` | which foreign types are buffers, and why that is sound |
//!
//! Registered and kernel-provided buffers are in the driver's crate, since they
//! belong to a ring.

mod aligned;
#[cfg(feature = "arrayvec")]
mod arrayvec_impls;
#[cfg(feature = "bytes")]
mod bytes_impls;
mod into_inner;
mod io_buf;
#[cfg(feature = "memmap2")]
mod memmap2_impls;
mod result;
#[cfg(any(feature = "futures-io", feature = "tokio"))]
mod room;
mod slice;
#[cfg(feature = "smallvec")]
mod smallvec_impls;
mod std_impls;
mod vectored;
mod vectored_first;
mod vectored_impls;
mod vectored_rest;
mod vectored_slice;

pub use aligned::Aligned;
pub use into_inner::IntoInner;
pub use io_buf::{IoBuf, IoBufMut};
pub use result::{BufResult, BufResultExt};
#[cfg(any(feature = "futures-io", feature = "tokio"))]
pub(crate) use room::Room;
pub(crate) use slice::Rest;
pub use slice::Slice;
pub use vectored::{IoVectoredBuf, IoVectoredBufMut};
pub(crate) use vectored_first::{FirstBytes, FirstRoom};
pub(crate) use vectored_rest::VectoredRest;
pub use vectored_slice::VectoredSlice;
