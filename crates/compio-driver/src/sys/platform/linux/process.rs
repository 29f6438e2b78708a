//! Distinguishing a process from its children: a page that the kernel wipes in a child.
//!
//! `MADV_WIPEONFORK` (Linux 4.14) makes a private page read as zeros in a child, however the child was
//! made: by `fork`, or by a plain `clone` system call, which runs no handlers of `pthread_atfork`. A
//! child that shares its parent's memory (`vfork`, `posix_spawn` before `exec`) is not distinguished,
//! and must not be: its writes change its parent's memory.

use std::{
    process, ptr,
    sync::atomic::{
        AtomicPtr, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

/// The number of the process that maps the page.
const FIRST: usize = 1;

/// The page's first word: the number of this process, or zero in a child that has no number yet.
static PAGE: AtomicPtr<AtomicUsize> = AtomicPtr::new(ptr::null_mut());

/// Replaces the page if the kernel provides none. The process id of the first process.
static NO_PAGE: AtomicUsize = AtomicUsize::new(0);

/// The last number that this process or one of its ancestors got.
static LAST: AtomicUsize = AtomicUsize::new(FIRST);

/// A number that differs from those of this process's ancestors: 1 unless one of them has called this function
/// before the fork. Takes no locks. After the first call it does not allocate either.
pub(crate) fn process_number() -> usize {
    // Acquire: pairs with the exchange in `make_page`.
    let mut page = PAGE.load(Acquire);
    if page.is_null() {
        page = make_page();
    }
    if ptr::eq(page, &NO_PAGE) {
        // With a filter of system calls or an emulated kernel, only the process id remains for the
        // comparison. Relaxed: written before the page was published.
        let id = process::id() as usize;
        let is_first = id == NO_PAGE.load(Relaxed);
        return if is_first { FIRST } else { FIRST + id };
    }
    // SAFETY: the page is mapped for the life of the process, and used as this type only.
    let word = unsafe { &*page };
    // Relaxed: the number orders nothing; all of a process's threads agree on it by the exchange.
    let number = word.load(Relaxed);
    if number != 0 {
        return number;
    }
    // A child.
    let fresh = LAST.fetch_add(1, Relaxed) + 1;
    match word.compare_exchange(0, fresh, Relaxed, Relaxed) {
        Ok(_) => fresh,
        Err(number) => number,
    }
}

#[cold]
fn make_page() -> *mut AtomicUsize {
    let made = wiped_page().unwrap_or_else(|| {
        // Relaxed: the exchange publishes it.
        NO_PAGE.store(process::id() as usize, Relaxed);
        (&raw const NO_PAGE).cast_mut()
    });
    // AcqRel: pairs with the load in `process_number`.
    match PAGE.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire) {
        Ok(_) => made,
        Err(theirs) => {
            if !ptr::eq(made, &NO_PAGE) {
                // SAFETY: mapped by this call, and not published.
                unsafe { libc::munmap(made.cast(), size_of::<AtomicUsize>()) };
            }
            theirs
        }
    }
}

/// Maps a page with the number of the first process, which is a page of zeros in each child.
fn wiped_page() -> Option<*mut AtomicUsize> {
    if cfg!(miri) {
        // This system has neither this advice nor `fork`.
        return None;
    }
    let len = size_of::<AtomicUsize>();
    // SAFETY: the call makes a new mapping at an address of the kernel's choice; the kernel rounds up
    // to a page.
    unsafe {
        let page = libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, len, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, len);
            return None;
        }
        let page: *mut AtomicUsize = page.cast();
        page.write(AtomicUsize::new(FIRST));
        Some(page)
    }
}
