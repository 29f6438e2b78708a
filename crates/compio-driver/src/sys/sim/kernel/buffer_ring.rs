//! The buffer rings of a simulated kernel.

use std::{
    cell::{Cell, RefCell},
    os::fd::RawFd,
    rc::Rc,
};

use crate::sys::BufferRing;

/// A buffer that the kernel may choose.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    pub(super) id: u16,
    pub(super) start: *mut u8,
    pub(super) len: usize,
}

/// The kernel's side of a buffer ring.
pub(super) struct SimBufferRing {
    pub(super) group: u16,
    pub(super) buffers: RefCell<Vec<Buffer>>,
    /// The number of calls of `has_ended`.
    pub(super) asked: Cell<usize>,
}

impl BufferRing for Rc<SimBufferRing> {
    fn group(&self) -> u16 {
        self.group
    }

    unsafe fn put(&self, id: u16, start: *mut u8, len: u32) {
        let mut buffers = self.buffers.borrow_mut();
        let is_new = buffers.iter().all(|buffer| buffer.id != id);
        assert!(is_new, "buffer {id} was returned twice");
        let len = len as usize;
        buffers.push(Buffer { id, start, len });
    }

    /// Alternates, regardless of the truth: callers check again, so a wrong answer is harmless.
    fn has_ended(&self, _: RawFd) -> bool {
        self.asked.update(|asked| asked + 1);
        self.asked.get().is_multiple_of(2)
    }
}
