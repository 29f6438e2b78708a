//! The system's allocator with a counter. A test binary makes it its global allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

/// What an allocator counts. Each method is called once for a call of the allocator.
pub trait Counter {
    /// A block of `size` bytes is allocated.
    fn allocated(&self, size: usize);

    /// A block of `size` bytes is freed.
    fn freed(&self, size: usize);

    /// A block of `from` bytes gets `to` bytes.
    fn resized(&self, from: usize, to: usize) {
        self.allocated(to);
        self.freed(from);
    }
}

/// The system's allocator, which reports to a counter.
#[derive(Debug)]
pub struct Counting<C>(pub C);

// SAFETY: each call is passed on to the system's allocator.
unsafe impl<C: Counter> GlobalAlloc for Counting<C> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.allocated(layout.size());
        // SAFETY: passed on from this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.0.allocated(layout.size());
        // SAFETY: passed on from this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.0.resized(layout.size(), size);
        // SAFETY: passed on from this function.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.0.freed(layout.size());
        // SAFETY: passed on from this function.
        unsafe { System.dealloc(memory, layout) };
    }
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE_OF_THREAD: Cell<isize> = const { Cell::new(0) };
}

/// Counts the allocations and the bytes of each thread.
#[derive(Debug)]
pub struct OfThread;

impl OfThread {
    /// The number of allocations and reallocations of this thread.
    pub fn allocations() -> usize {
        ALLOCATIONS.get()
    }

    /// The bytes that this thread has allocated, less the bytes that it has freed.
    pub fn live_bytes() -> isize {
        LIVE_OF_THREAD.get()
    }

    /// Runs code whose allocations are not counted.
    pub fn uncounted<T>(code: impl FnOnce() -> T) -> T {
        let before = ALLOCATIONS.get();
        let output = code();
        ALLOCATIONS.set(before);
        output
    }
}

impl Counter for OfThread {
    fn allocated(&self, size: usize) {
        // A thread that ends may allocate after its thread locals are gone.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE_OF_THREAD.try_with(|live| live.set(live.get() + size as isize));
    }

    fn freed(&self, size: usize) {
        let _ = LIVE_OF_THREAD.try_with(|live| live.set(live.get() - size as isize));
    }
}

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// Counts the bytes of the process that are allocated and not freed.
#[derive(Debug)]
pub struct LiveBytes;

impl LiveBytes {
    /// The bytes that are allocated and not freed.
    pub fn now() -> isize {
        LIVE.load(Relaxed)
    }
}

impl Counter for LiveBytes {
    fn allocated(&self, size: usize) {
        LIVE.fetch_add(size as isize, Relaxed);
    }

    fn freed(&self, size: usize) {
        LIVE.fetch_sub(size as isize, Relaxed);
    }
}
