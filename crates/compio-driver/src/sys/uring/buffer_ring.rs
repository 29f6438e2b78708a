//! A provided buffer ring, from which the kernel chooses.

use std::{
    alloc::{self, Layout},
    cell::Cell,
    io,
    os::fd::RawFd,
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::{Submitter, types::BufRingEntry};

use super::half_closed::RDHUP;
use crate::{
    request::ready,
    sys::{BufferRing, unix::ready_now},
};

/// The kernel requires whole pages.
const PAGE: usize = 4096;

/// A ring with one entry per buffer. The number is a power of two, and the ring is never full.
pub(super) struct Ring {
    group: u16,
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    /// The index of the next entry. Only this type writes it.
    tail: Cell<u16>,
}

impl Ring {
    pub(super) fn new(group: u16, count: u16) -> Self {
        let len = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(len, PAGE).expect("32,768 entries at most");
        // SAFETY: the layout's size is not zero.
        let entries = unsafe { alloc::alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(entries.cast()) else {
            alloc::handle_alloc_error(layout)
        };
        Self {
            group,
            entries,
            layout,
            mask: count - 1,
            tail: Cell::new(0),
        }
    }

    /// # Safety
    ///
    /// The group is unregistered, or the kernel's ring closed, before this is dropped.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the memory has the number of entries that is passed; the rest is this function's
        // contract.
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.as_ptr().expose_provenance() as u64,
                self.mask + 1,
                self.group,
                0,
            )
        }
    }
}

impl BufferRing for Ring {
    fn group(&self) -> u16 {
        self.group
    }

    unsafe fn put(&self, id: u16, start: *mut u8, len: u32) {
        let tail = self.tail.get();
        // SAFETY: inside the ring. The kernel does not read this entry before the tail is behind it;
        // the tail itself is in a part of the first entry that this code does not write.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(usize::from(tail & self.mask));
            entry.set_addr(start.expose_provenance() as u64);
            entry.set_len(len);
            entry.set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the first entry is valid, and the tail is aligned; all accesses to it are atomic.
        let shared =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        // Release: the kernel's acquire load of the tail sees the entry.
        shared.store(self.tail.get(), Release);
    }

    /// Linux checks readiness once for all events of a wake. It receives the bytes, and sleeps again if
    /// it knows of no more. But EOF causes only one wake. Newer kernels (and fixed older ones) check
    /// again, unless both events came before they began to wait.
    fn has_ended(&self, fd: RawFd) -> bool {
        // A failed call (a seccomp filter, `RLIMIT_NOFILE` 0) does not exclude EOF.
        ready_now(fd, RDHUP).map_or(true, |events| events & (RDHUP | ready::HUP) != 0)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and no kernel uses it (`register`).
        unsafe { alloc::dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
