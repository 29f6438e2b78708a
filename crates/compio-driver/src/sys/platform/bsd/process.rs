//! Distinguishing a process from its children: a number that a handler of `pthread_atfork` changes.
//!
//! macOS and the BSDs have no pid namespaces, but a child's child may get the number of its
//! grandparent.

use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// The number of forks between the first process and this one, plus one.
static NUMBER: AtomicUsize = AtomicUsize::new(1);

static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// A number that differs from those of this process's ancestors. Takes no locks of this crate.
pub(crate) fn process_number() -> usize {
    // Acquire: pairs with the store below. Two threads may register two handlers. Then each fork counts
    // twice, which is harmless.
    if !IS_COUNTING.load(Acquire) {
        // SAFETY: the handler does one atomic addition.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        IS_COUNTING.store(true, Release);
    }
    // Relaxed: it changes only while the process has one thread.
    NUMBER.load(Relaxed)
}

extern "C" fn in_child() {
    NUMBER.fetch_add(1, Relaxed);
}
