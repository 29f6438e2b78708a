//! The type-erased functions of each type of operation.

use std::marker::PhantomData;

use super::{cell::class_of, vtable::OpVTable};
use crate::{
    metrics::OpKind,
    operation::{Multishot, Operation},
    request::{Item, RawFd, RawResult, Request, to_result},
};

impl OpVTable {
    /// For a cell that stores the request of an operation outside of the arena.
    pub(super) const EXTERNAL: &'static Self = &Self {
        on_orphaned: orphaned_external,
        push_partial: None,
        awaits_notification: never,
        again: rebuild_external,
        kind: OpKind::Other,
        descriptor: no_descriptor,
    };
}

/// The vtables of an operation type, in its cell and in a box.
pub(super) struct VTablesOf<O>(PhantomData<O>);

impl<O: Operation> VTablesOf<O> {
    pub(super) const SINGLE: [&'static OpVTable; 2] = [
        &OpVTable {
            on_orphaned: orphaned_inline::<O>,
            push_partial: None,
            awaits_notification: never,
            again: again::<O>,
            kind: O::KIND,
            descriptor: descriptor::<O>,
        },
        &OpVTable {
            on_orphaned: orphaned_boxed::<O>,
            push_partial: None,
            awaits_notification: never,
            again: again::<O>,
            kind: O::KIND,
            descriptor: descriptor::<O>,
        },
    ];
}

impl<O: Multishot> VTablesOf<O> {
    pub(super) const MULTI: [&'static OpVTable; 2] = [
        &OpVTable {
            on_orphaned: orphaned_inline::<O>,
            push_partial: Some(push_partial::<O>),
            awaits_notification: awaits_notification::<O>,
            again: again::<O>,
            kind: O::KIND,
            descriptor: descriptor::<O>,
        },
        &OpVTable {
            on_orphaned: orphaned_boxed::<O>,
            push_partial: Some(push_partial::<O>),
            awaits_notification: awaits_notification::<O>,
            again: again::<O>,
            kind: O::KIND,
            descriptor: descriptor::<O>,
        },
    ];
}

/// The address of the operation in this storage, or in its box.
///
/// # Safety
///
/// The storage holds an `O`, or a pointer to a boxed one.
#[inline]
pub(super) unsafe fn operation_at<O>(storage: *mut u8) -> *mut O {
    match class_of::<O>() {
        Some(_) => storage.cast::<O>(),
        // SAFETY: by this function's contract.
        None => unsafe { storage.cast::<*mut O>().read() },
    }
}

/// # Safety
///
/// The storage holds an `O` that has completed with this answer.
unsafe fn orphaned_inline<O: Operation>(storage: *mut u8, answer: RawResult) {
    // SAFETY: by this function's contract; the cell is not used again until it is freed.
    unsafe { storage.cast::<O>().read().on_orphaned(to_result(answer)) };
}

/// # Safety
///
/// The storage holds a pointer to a boxed `O` that has completed with this answer.
unsafe fn orphaned_boxed<O: Operation>(storage: *mut u8, answer: RawResult) {
    // SAFETY: by this function's contract.
    unsafe {
        let operation = Box::from_raw(storage.cast::<*mut O>().read());
        operation.on_orphaned(to_result(answer));
    }
}

/// # Safety
///
/// The storage belongs to an `O`.
unsafe fn push_partial<O: Multishot>(storage: *mut u8, item: Item) -> bool {
    // SAFETY: by this function's contract; no other reference to it exists.
    unsafe { O::push_partial(operation_at::<O>(storage), item) }
}

/// # Safety
///
/// The storage belongs to an `O`.
unsafe fn awaits_notification<O: Multishot>(storage: *mut u8) -> bool {
    // SAFETY: by this function's contract; no other reference to it is held.
    unsafe { O::awaits_notification(operation_at::<O>(storage)) }
}

/// # Safety
///
/// None.
unsafe fn never(_: *mut u8) -> bool {
    false
}

/// # Safety
///
/// The storage belongs to an `O`, to which no other reference exists.
unsafe fn again<O: Operation>(storage: *mut u8) -> Request {
    // SAFETY: by this function's contract.
    unsafe { (*operation_at::<O>(storage)).request() }
}

/// # Safety
///
/// The storage belongs to a cell of `insert_external`.
unsafe fn rebuild_external(storage: *mut u8) -> Request {
    // SAFETY: by this function's contract; `insert_external` wrote it.
    unsafe { storage.cast::<Request>().read() }
}

/// # Safety
///
/// None.
unsafe fn orphaned_external(_: *mut u8, _: RawResult) {}

/// # Safety
///
/// The storage belongs to an `O`, which the kernel may use.
unsafe fn descriptor<O: Operation>(storage: *mut u8) -> Option<RawFd> {
    // SAFETY: by this function's contract.
    unsafe { O::descriptor(operation_at::<O>(storage)) }
}

/// # Safety
///
/// None.
unsafe fn no_descriptor(_: *mut u8) -> Option<RawFd> {
    None
}
