//! The table of type-erased functions that a cell points to.

use crate::{
    metrics::OpKind,
    request::{Item, RawFd, RawResult, Request},
};

/// The type-erased functions of a cell's operation.
pub(super) struct OpVTable {
    /// Calls [`Operation::on_orphaned`](crate::Operation::on_orphaned) of the operation in the storage.
    pub(super) on_orphaned: unsafe fn(*mut u8, RawResult),
    /// Passes a completion that is not the last to the operation, and returns whether it has enough.
    /// `None` for a single-shot operation.
    pub(super) push_partial: Option<unsafe fn(*mut u8, Item) -> bool>,
    /// See [`Multishot::awaits_notification`](crate::operation::Multishot::awaits_notification).
    pub(super) awaits_notification: unsafe fn(*mut u8) -> bool,
    /// Builds the request again.
    pub(super) again: unsafe fn(*mut u8) -> Request,
    /// See [`Operation::KIND`](crate::Operation::KIND).
    pub(super) kind: OpKind,
    /// See [`Operation::descriptor`](crate::Operation::descriptor).
    pub(super) descriptor: unsafe fn(*mut u8) -> Option<RawFd>,
}
