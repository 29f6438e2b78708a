//! The user data of entries: the key of an operation, with marks for completions of the backend's own.

/// The eventfd's poll. It cannot be a key: keys do not use the two highest bits.
pub(super) const EVENT: u64 = u64::MAX;
/// Set in addition to a key: the completion of a cancel request.
pub(super) const CANCEL: u64 = 1 << 63;
/// Set in addition to a key and [`CANCEL`]: the completion of one step of several, see
/// [`staged`](super::staged).
pub(super) const STAGED: u64 = 1 << 62;
