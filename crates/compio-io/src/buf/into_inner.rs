//! [`IntoInner`]. What can be unwrapped implements it beside its own type.

/// A wrapper that gives up what it wraps.
///
/// Windows ([`Slice`](crate::buf::Slice),
/// [`VectoredSlice`](crate::buf::VectoredSlice)) give up their buffer,
/// operations of the driver theirs.
///
/// ```
/// use compio_io::buf::{IntoInner, IoBuf};
///
/// let window = vec![1, 2, 3].slice(1..);
/// assert_eq!(window.into_inner(), [1, 2, 3]);
/// ```
pub trait IntoInner {
    /// What was wrapped.
    type Inner;

    /// Unwraps it.
    fn into_inner(self) -> Self::Inner;
}
