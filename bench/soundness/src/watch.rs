//! An allocator that keeps watched blocks after their release, to detect late writes.
//!
//! Blocks of exactly [`WATCHED`] bytes are filled with a pattern when they are freed, and never reused.
//! A byte that differs later is a write after free. All other sizes go to the system's allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

/// The size that is watched. No type or table of a runtime has it by chance.
pub const WATCHED: usize = 12_347;

const PATTERN: u8 = 0xA5;
const KEPT_MAX: usize = 256;

static FREED: AtomicUsize = AtomicUsize::new(0);
static KEPT: [AtomicPtr<u8>; KEPT_MAX] = [const { AtomicPtr::new(ptr::null_mut()) }; KEPT_MAX];

/// The number of watched blocks that were freed since the process started.
pub fn freed() -> usize {
    FREED.load(Ordering::Acquire)
}

/// The number of bytes of freed blocks that have changed since their release.
pub fn changed() -> usize {
    let kept = KEPT.iter().map(|slot| slot.load(Ordering::Acquire));
    kept.filter(|block| !block.is_null()).map(count).sum()
}

fn count(block: *mut u8) -> usize {
    let differs = |index: &usize| {
        // SAFETY: the block has `WATCHED` bytes, was initialised when it was freed, and is never
        // released. Volatile, because a kernel may write to it.
        let byte = unsafe { ptr::read_volatile(block.add(*index)) };
        byte != PATTERN
    };
    (0..WATCHED).filter(differs).count()
}

/// See the module.
pub struct Watch;

// SAFETY: it returns the blocks of the system's allocator, and frees fewer of them.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() == WATCHED {
            let index = FREED.fetch_add(1, Ordering::AcqRel);
            if let Some(slot) = KEPT.get(index) {
                // SAFETY: the caller releases the whole block.
                unsafe { ptr::write_bytes(block, PATTERN, WATCHED) };
                slot.store(block, Ordering::Release);
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::{WATCHED, changed, freed};

    #[test]
    fn a_write_to_a_freed_block_is_noticed() {
        let mut block = Vec::<u8>::with_capacity(WATCHED);
        let late = block.as_mut_ptr();
        assert_eq!((freed(), changed()), (0, 0));
        drop(block);
        assert_eq!((freed(), changed()), (1, 0));
        // SAFETY: this allocator never releases the block.
        unsafe { late.add(100).write_bytes(b'x', 3) };
        assert_eq!((freed(), changed()), (1, 3));
    }
}
