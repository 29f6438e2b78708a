//! Telling a process from its children: a number that a handler of `pthread_atfork` changes.
//!
//! macOS and the BSDs have no pid namespaces, but a child's child may get the number of its
//! grandparent.

use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// How many forks there are between the first process and this one, and one more.
static NUMBER: AtomicUsize = AtomicUsize::new(1);

static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// A number that this process's ancestors do not have. Without locks of ours.
pub(crate) fn process_number() -> usize {
    // Acquire: pairs with the store below. Two threads may register two handlers: each fork then counts
    // twice, which does no harm.
    if !IS_COUNTING.load(Acquire) {
        // SAFETY: the handler does one atomic addition.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        IS_COUNTING.store(true, Release);
    }
    // Relaxed: it changes only where there is one thread.
    NUMBER.load(Relaxed)
}

extern "C" fn in_child() {
    NUMBER.fetch_add(1, Relaxed);
}
