//! A cell of the arena: its header with the state of an operation, its storage, and the pages of cells.
//!
//! The rules of this memory are at the head of `mod.rs`.

use std::{
    alloc::{self, Layout},
    ptr::{self, NonNull},
    task::Waker,
};

use super::vtable::OpVTable;
use crate::{
    key::Key,
    request::{RawResult, Request},
    sys::OpState,
};

/// The beginning of a cell; the operation's storage lies behind it.
#[repr(C)]
pub(super) struct Header {
    /// The backend's, while the operation is in flight.
    pub(super) op_state: OpState,
    pub(super) owner: Owner,
    pub(super) vtable: &'static OpVTable,
    pub(super) result: ResultOrStamp,
    pub(super) generation: u32,
    pub(super) index: u32,
    /// In a free cell the index of the next free one; otherwise the operation's insertion number.
    pub(super) next_free: u32,
    /// The size class of the cell.
    pub(super) class: u8,
    pub(super) state: State,
    /// Whether the operation is in the thread pool, and not in the kernel.
    pub(super) is_in_thread_pool: bool,
    /// Whether a cancel has been requested.
    pub(super) is_cancel_requested: bool,
}

/// While an operation is in flight its stamp, and later its result: it needs no more memory than one of them.
#[derive(Clone, Copy)]
pub(super) union ResultOrStamp {
    pub(super) answer: RawResult,
    pub(super) stamp: Stamp,
}

/// The begin of an operation and its waiter, for records.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Stamp {
    /// The lower half of the time of the loop.
    pub(super) begun_at: u32,
    /// The tag at the time of its begin, or when its waiter changed.
    pub(super) tag: u32,
}

/// The receiver of an operation's completion.
pub(crate) enum Owner {
    /// No receiver, or none yet.
    Nobody,
    /// The task of a waker.
    Waiter(Waker),
    /// The caller of the low-level API, which receives this number.
    Caller(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Free,
    /// Its `request` is called, which may run user code: no backend knows the operation yet.
    Preparing,
    InFlight,
    Completed,
    Orphaned,
    OrphanCompleted,
}

impl State {
    /// Whether the kernel has not completed the operation.
    pub(super) fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight | Self::Orphaned)
    }
}

/// The two sizes of cells, in bytes. A small cell stores a read or a send with its buffer, in two cache
/// lines if the backend needs no op_state. A large cell stores addresses, message headers and attributes.
/// Larger operations are boxed.
pub(super) const STRIDES: [usize; 2] = [stride(SMALL), stride(520)];
/// The largest operation that fits a small cell on every backend.
pub(crate) const SMALL: usize = 72;
pub(super) const CELL_ALIGN: usize = 64;
const STORAGE_ALIGN: usize = 8;
pub(super) const CELLS_PER_PAGE: u32 = 64;

const fn stride(storage: usize) -> usize {
    (size_of::<Header>() + storage).next_multiple_of(CELL_ALIGN)
}

pub(super) const fn storage_of(class: usize) -> usize {
    STRIDES[class] - size_of::<Header>()
}

/// The size class of an operation of type `O`; `None` if it is boxed.
pub(super) const fn class_of<O>() -> Option<usize> {
    if align_of::<O>() > STORAGE_ALIGN {
        None
    } else if size_of::<O>() <= storage_of(0) {
        Some(0)
    } else if size_of::<O>() <= storage_of(1) {
        Some(1)
    } else {
        None
    }
}

pub(super) struct Page {
    pub(super) base: NonNull<u8>,
    pub(super) stride: usize,
}

impl Page {
    fn layout(stride: usize) -> Layout {
        Layout::from_size_align(stride * CELLS_PER_PAGE as usize, CELL_ALIGN)
            .expect("constant sizes")
    }

    pub(super) fn new(class: usize) -> Self {
        let layout = Self::layout(STRIDES[class]);
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc::alloc(layout) };
        let Some(base) = NonNull::new(base) else {
            alloc::handle_alloc_error(layout)
        };
        Self {
            base,
            stride: STRIDES[class],
        }
    }

    #[inline]
    pub(super) fn header(&self, slot: u32) -> *mut Header {
        debug_assert!(slot < CELLS_PER_PAGE);
        // SAFETY: the slot is inside the page.
        unsafe { self.base.as_ptr().add(slot as usize * self.stride).cast() }
    }

    /// # Safety
    ///
    /// No cell is occupied.
    pub(super) unsafe fn free(self) {
        for slot in 0..CELLS_PER_PAGE {
            // SAFETY: initialised by `add_page`.
            unsafe { ptr::drop_in_place(self.header(slot)) };
        }
        // SAFETY: allocated with this layout.
        unsafe { alloc::dealloc(self.base.as_ptr(), Self::layout(self.stride)) };
    }
}

/// # Safety
///
/// An initialised header.
#[inline]
pub(super) unsafe fn key_of(header: *mut Header) -> Key {
    // SAFETY: by this function's contract.
    unsafe {
        Key {
            index: (*header).index,
            generation: (*header).generation,
        }
    }
}

/// # Safety
///
/// A header inside a page.
#[inline]
pub(super) unsafe fn storage_behind(header: *mut Header) -> *mut u8 {
    // SAFETY: each cell is longer than its header.
    unsafe { header.add(1).cast() }
}

const _: () = assert!(
    size_of::<Header>() - size_of::<OpState>() <= 56
        && size_of::<Header>().is_multiple_of(STORAGE_ALIGN)
        && size_of::<Request>() <= storage_of(0)
        && align_of::<Request>() <= STORAGE_ALIGN
);
