//! A ring of buffers from which the kernel chooses.

use std::{
    alloc::{self, Layout},
    cell::Cell,
    io,
    os::fd::RawFd,
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::{Submitter, types::BufRingEntry};

use crate::buffers::BufferRing;

/// The kernel wants whole pages.
const PAGE: usize = 4096;

/// As many places as buffers, which is a power of two: it is never full.
pub(super) struct Ring {
    group: u16,
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    /// Where the next buffer is put; ours alone to write.
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
        // SAFETY: as many entries as is said; the rest is by this function's contract.
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
        // SAFETY: inside the ring. The kernel does not look at this entry before the tail is behind
        // it; the tail itself lies in a part of the first entry that is not written to here.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(usize::from(tail & self.mask));
            entry.set_addr(start.expose_provenance() as u64);
            entry.set_len(len);
            entry.set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the first entry is there, and the tail is aligned; it is used atomically only.
        let shared =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        // Release: the kernel, which acquires it, sees the entry.
        shared.store(self.tail.get(), Release);
    }

    /// Linux takes one look at what is ready for all that it has been woken by. It receives the bytes,
    /// and sleeps on, where it knows of no more of them; but an end wakes once only. Newer kernels
    /// (and some older ones, mended) look again, unless both came before they began to wait.
    fn has_ended(&self, fd: RawFd) -> bool {
        let mut entry = libc::pollfd {
            fd,
            events: libc::POLLRDHUP,
            revents: 0,
        };
        // SAFETY: one entry, which outlives the call.
        let count = unsafe { libc::poll(&raw mut entry, 1, 0) };
        // A call that fails (a seccomp filter, `RLIMIT_NOFILE` 0) rules nothing out.
        count < 0 || entry.revents & (libc::POLLRDHUP | libc::POLLHUP) != 0
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and no kernel looks at it (`register`).
        unsafe { alloc::dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
