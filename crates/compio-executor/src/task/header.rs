//! What every task has, whatever its future: reference count, state, links.

use std::{
    process::abort,
    ptr::{NonNull, null_mut},
    task::Waker,
};

use crate::{
    core::Core,
    sync::{Arc, AtomicBool, AtomicUsize, Cell, Ordering},
    task::typed::VTable,
    thread::ThreadNumber,
};

/// Bits of [`Header::state`]; [`crate::task`] draws the machine. Waiting is the absence of SCHEDULED,
/// RUNNING and COMPLETE.
pub(crate) mod state {
    pub(crate) const SCHEDULED: u8 = 1;
    pub(crate) const RUNNING: u8 = 1 << 1;
    pub(crate) const COMPLETE: u8 = 1 << 2;
    pub(crate) const ABORTED: u8 = 1 << 3;
    pub(crate) const OUTPUT: u8 = 1 << 4;
    pub(crate) const EXECUTOR: u8 = 1 << 5;
    pub(crate) const HANDLE: u8 = 1 << 6;
}

/// As in std's `Arc`: beyond this many references somebody leaks them, and an overflow is near.
const REFS_MAX: usize = isize::MAX as usize;

pub(crate) struct Header {
    // Written by any thread.
    refs: AtomicUsize,
    pub(crate) queued: AtomicBool,
    leased: AtomicBool,
    // M6: owned by whoever set `queued`.
    pub(crate) inbox_next: Cell<*mut Header>,

    // Written never.
    pub(crate) home: ThreadNumber,
    core: NonNull<Core>,
    pub(crate) vtable: &'static VTable,

    // M1: the home thread's.
    pub(crate) state: Cell<u8>,
    pub(crate) ready_next: Cell<Option<TaskPtr>>,
    pub(crate) live_previous: Cell<Option<TaskPtr>>,
    pub(crate) live_next: Cell<Option<TaskPtr>>,
    pub(crate) join_waker: Cell<Option<Waker>>,
}

impl Header {
    /// A task at home on this thread, held by executor and handle, in no queue.
    pub(crate) fn new(core: &Arc<Core>, vtable: &'static VTable) -> Self {
        Self {
            refs: AtomicUsize::new(1),
            queued: AtomicBool::new(false),
            leased: AtomicBool::new(false),
            inbox_next: Cell::new(null_mut()),
            home: core.home,
            // From the `Arc` itself, for its count is raised through this pointer.
            core: NonNull::new(Arc::as_ptr(core).cast_mut()).expect("an Arc is never null"),
            vtable,
            state: Cell::new(state::EXECUTOR | state::HANDLE),
            ready_next: Cell::new(None),
            live_previous: Cell::new(None),
            live_next: Cell::new(None),
            join_waker: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn is(&self, bit: u8) -> bool {
        self.state.get() & bit != 0
    }
}

/// A pointer to a task. It is plain data: that the memory lives (M2) is its holder's to know.
///
/// It is made from the whole allocation, never from a `&Header`, and so may reach the stage, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskPtr(NonNull<Header>);

impl TaskPtr {
    /// # Safety
    /// `header` is at the beginning of a task's allocation, and may reach all of it.
    #[inline]
    pub(crate) unsafe fn new(header: *mut Header) -> Self {
        // SAFETY: an allocation is never null.
        Self(unsafe { NonNull::new_unchecked(header) })
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// # Safety
    /// The task lives as long as the answer is used (M2).
    #[inline]
    pub(crate) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: it lives, and nobody makes a `&mut Header` before it is freed.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// M5 holds, as long as the answer is used.
    #[inline]
    unsafe fn core<'a>(self) -> &'a Core {
        // SAFETY: M5.
        unsafe { self.header().core.as_ref() }
    }

    /// A wake that comes from the home thread.
    ///
    /// # Safety
    /// The task lives (M2), and this is its home thread (M1).
    #[inline]
    pub(crate) unsafe fn schedule(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        let state = header.state.get();
        if state & (state::SCHEDULED | state::COMPLETE) != 0 {
            return;
        }
        header.state.set(state | state::SCHEDULED);
        if state & state::RUNNING == 0 {
            // SAFETY: M5, it is not Complete. M7: it was not SCHEDULED, nor is it Running.
            unsafe { self.core().ready.push(self) };
        }
    }

    /// A wake that comes from another thread.
    ///
    /// # Safety
    /// The caller holds, or was lent by a poll, a waker of the task (M2, M5).
    pub(crate) unsafe fn schedule_remotely(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        // AcqRel, pairs with the swap in `Core::drain_inbox`. Release: the task finds what the waker's
        // caller wrote before, even if the task was queued already and this store changes nothing.
        // Acquire: the home thread is done with `inbox_next`.
        if header.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        // The entry's own reference. Not the waker's: the waker has to keep the core alive until
        // `push` has called `unpark`.
        // SAFETY: M2.
        unsafe { self.retain() };
        // SAFETY: M5 by the waker; M6, `queued` was false.
        if !unsafe { self.core().inbox.push(self) } {
            // SAFETY: the reference from above.
            unsafe { self.release() };
        }
    }

    /// Adds a reference.
    ///
    /// # Safety
    /// The task lives (M2).
    #[inline]
    pub(crate) unsafe fn retain(self) {
        // Relaxed: a reference is made from a reference, so nothing is learnt or told by it.
        // SAFETY: M2.
        if unsafe { self.header() }
            .refs
            .fetch_add(1, Ordering::Relaxed)
            > REFS_MAX
        {
            abort();
        }
    }

    /// Gives up a reference that a waker or an inbox entry held; frees the task if it was the last.
    ///
    /// # Safety
    /// The reference was the caller's, who does not touch the task again. The home thread may not
    /// be the caller while a pointer of its own relies on this very reference.
    #[inline]
    pub(crate) unsafe fn release(self) {
        // SAFETY: M2.
        let refs = unsafe { &self.header().refs };
        // Release: pairs with the loads here and in `release_home`; whoever frees comes after all that
        // was done with the other references.
        if refs.fetch_sub(1, Ordering::Release) == 1 {
            // Acquire: pairs with the `fetch_sub` of the others. (A fence would do as well, but thread
            // sanitizers do not see those.)
            refs.load(Ordering::Acquire);
            // SAFETY: that was the last reference.
            unsafe { self.free() };
        }
    }

    /// Clears EXECUTOR or HANDLE; with the second of them goes the home thread's reference.
    ///
    /// # Safety
    /// Home thread (M1); `bit` is set, and the caller does not touch the task again on its behalf.
    /// With EXECUTOR the task is Complete (M3); with HANDLE, output (M4) and join waker are gone.
    #[inline]
    pub(crate) unsafe fn release_home(self, bit: u8) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        let state = header.state.get() & !bit;
        header.state.set(state);
        if state & (state::EXECUTOR | state::HANDLE) != 0 {
            return;
        }
        // No other reference: nobody is there who could make one, so no counting down is needed.
        // Acquire: pairs with the `fetch_sub` in `release`.
        if header.refs.load(Ordering::Acquire) == 1 {
            // SAFETY: ours is the last reference.
            unsafe { self.free() };
        } else {
            // SAFETY: the home thread's reference, which is gone with its last bit.
            unsafe { self.release() };
        }
    }

    /// Keeps the core alive until the task is freed. Called by every clone of a waker.
    ///
    /// # Safety
    /// The caller holds, or was lent by a poll, a waker of the task (M2, M5).
    #[inline]
    pub(crate) unsafe fn lease_core(self) {
        // Relaxed: if it is leased, that was done by the clone that this waker stems from, or by one
        // that runs right now on a waker lent to the same poll, and will be done before the poll
        // returns, while the executor lives.
        // SAFETY: M2.
        if !unsafe { self.header() }.leased.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { self.lease_core_first() };
        }
    }

    #[cold]
    unsafe fn lease_core_first(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        // Relaxed: `free` reads it after all references have gone, which orders it.
        if !header.leased.swap(true, Ordering::Relaxed) {
            // SAFETY: the pointer comes from an `Arc`, which is alive by M5.
            unsafe { Arc::increment_strong_count(header.core.as_ptr()) };
        }
    }

    /// # Safety
    /// The last reference has gone, and this comes after everything done with the others.
    #[cold]
    unsafe fn free(self) {
        // SAFETY: the memory lives until the end of this function, and nobody else reaches it.
        let header = unsafe { self.header() };
        // Looked at by the model tests in any case: loom then knows that all was ordered before.
        if cfg!(any(debug_assertions, loom)) {
            let state = header.state.get() & !state::ABORTED;
            assert_eq!(state, state::COMPLETE, "a task is freed empty");
            header.inbox_next.set(null_mut());
        }
        let core = header.core.as_ptr();
        // Relaxed: see `lease_core_first`.
        let leased = header.leased.load(Ordering::Relaxed);
        // SAFETY: no reference is left, and the stage is empty (end of the memory rules).
        unsafe { (header.vtable.free)(self) };
        if leased {
            // SAFETY: pairs with the increment in `lease_core_first`.
            unsafe { Arc::decrement_strong_count(core) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        env,
        process::{Command, Stdio},
        sync::Arc,
        task::Waker,
    };

    use super::{Ordering, REFS_MAX};
    use crate::{core::Core, task::typed};

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn too_many_references_abort_the_process() {
        const CHILD: &str = "COMPIO_EXECUTOR_TEST_TOO_MANY_REFERENCES";
        if env::var_os(CHILD).is_some() {
            #[allow(clippy::arc_with_non_send_sync, reason = "as in `Executor::new`")]
            let core = Arc::new(Core::new(Waker::noop().clone()));
            let task = typed::allocate(&core, async {});
            // SAFETY: the task lives. It is never freed.
            unsafe {
                task.header().refs.store(REFS_MAX + 1, Ordering::Relaxed);
                task.retain();
            }
            return;
        }
        let status = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "task::header::tests::too_many_references_abort_the_process",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success());
    }
}
