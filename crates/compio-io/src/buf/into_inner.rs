//! [`IntoInner`]: unwrapping of buffers. Each wrapper implements it in its own file.

/// A wrapper that can be unwrapped.
///
/// Slices ([`Slice`](crate::buf::Slice),
/// [`VectoredSlice`](crate::buf::VectoredSlice)) and operations of the driver
/// return their buffer.
///
/// ```
/// use compio::buf::{IntoInner, IoBuf};
///
/// let window = vec![1, 2, 3].slice(1..);
/// assert_eq!(window.into_inner(), [1, 2, 3]);
/// ```
pub trait IntoInner {
    /// The wrapped type.
    type Inner;

    /// Returns the wrapped value.
    fn into_inner(self) -> Self::Inner;
}
