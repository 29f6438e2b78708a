//! The handle of an operation in its cell, for its inserter.

use std::{fmt, marker::PhantomData, mem, ptr::NonNull, task::Waker};

use super::{
    Arena,
    cell::{Header, Owner, State, class_of, key_of, storage_behind},
    erased::operation_at,
};
use crate::{
    key::Key,
    operation::{Multishot, Operation},
    request::RawResult,
};

/// The cell of an operation of type `O`, for its inserter (rule 3).
pub(crate) struct OpHandle<O> {
    header: NonNull<Header>,
    operation: PhantomData<O>,
}

impl<O: Operation> OpHandle<O> {
    /// # Safety
    ///
    /// The header of an operation that was inserted as an `O`, and neither taken nor abandoned. The handle
    /// is not used after the operation was taken or abandoned, nor after the arena's drop.
    #[inline]
    pub(super) unsafe fn new(header: *mut Header) -> Self {
        Self {
            // SAFETY: a header inside a page is not null.
            header: unsafe { NonNull::new_unchecked(header) },
            operation: PhantomData,
        }
    }

    #[inline]
    pub(super) fn header(&self) -> *mut Header {
        self.header.as_ptr()
    }

    #[inline]
    pub(crate) fn key(&self) -> Key {
        // SAFETY: a live header (rule 3).
        unsafe { key_of(self.header()) }
    }

    /// Sets the waker of the waiting task. Returns the previous owner, which the caller drops.
    #[inline]
    pub(crate) fn set_waiter(&self, waker: Waker) -> Owner {
        // SAFETY: a live header (rule 3), used on this thread only (rule 4).
        unsafe { mem::replace(&mut (*self.header()).owner, Owner::Waiter(waker)) }
    }

    /// Sets the tag of the operation, if it is in flight: another task waits for it.
    pub(crate) fn set_tag(&self, tag: u32) {
        let header = self.header();
        // SAFETY: as in `set_waiter`. While the operation is in flight, its stamp is in the place of its result.
        unsafe {
            if (*header).state == State::InFlight {
                (*header).result.stamp.tag = tag;
            }
        }
    }

    /// Whether `waker` wakes the task that is already registered.
    #[inline]
    pub(crate) fn is_waiter(&self, waker: &Waker) -> bool {
        // SAFETY: as in `set_waiter`. `will_wake` runs no user code of the waker.
        match unsafe { &(*self.header()).owner } {
            Owner::Waiter(known) => known.will_wake(waker),
            Owner::Nobody | Owner::Caller(_) => false,
        }
    }

    /// Whether the kernel's final completion has arrived.
    #[inline]
    pub(crate) fn is_completed(&self) -> bool {
        // SAFETY: as in `set_waiter`.
        unsafe { (*self.header()).state == State::Completed }
    }

    /// Takes the operation and its result out of the arena, and frees the cell.
    ///
    /// # Panics
    ///
    /// If the operation has not completed.
    #[inline]
    pub(crate) fn take(self, arena: &Arena) -> (O, RawResult) {
        assert!(self.is_completed(), "{:?} has not completed", self.key());
        let header = self.header();
        // SAFETY: as in `set_waiter`. It was inserted as an `O`, and the kernel is done with it
        // (rule 2).
        unsafe {
            // The stamp has gone: it has completed.
            let answer = (*header).result.answer;
            let storage = storage_behind(header);
            let operation = match class_of::<O>() {
                Some(_) => storage.cast::<O>().read(),
                None => *Box::from_raw(storage.cast::<*mut O>().read()),
            };
            arena.free_slot(header);
            (operation, answer)
        }
    }
}

impl<O: Multishot> OpHandle<O> {
    /// The next item of a multishot operation that may be in flight.
    pub(crate) fn look(&self) -> Option<O::Item> {
        // SAFETY: a live header (rule 3) of an `O`, which stays where it is.
        unsafe { O::next(operation_at::<O>(storage_behind(self.header()))) }
    }
}

impl<O: Operation> fmt::Debug for OpHandle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key().fmt(f)
    }
}
