//! The untyped part of every task: reference count, state, links.

use std::{
    alloc::dealloc,
    panic::Location,
    ptr::{NonNull, null_mut},
    task::Waker,
};

use crate::{
    biased_count::{BiasedCount, LocalPart, SharedPart},
    meta::{TaskId, TaskMeta},
    scheduler::Scheduler,
    sync::{Arc, AtomicBool, Cell, Ordering},
    task::typed::{self, VTable},
    thread_id::{ThreadId, is_occupied},
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

pub(crate) struct Header {
    // Written by any thread.
    refs: SharedPart,
    pub(crate) queued: AtomicBool,
    leased: AtomicBool,
    // M9: an abort from another thread, and the end of the task for other threads.
    abort_requested: AtomicBool,
    finished: AtomicBool,
    // M6: owned by the thread that has set `queued`.
    pub(crate) inbox_next: Cell<*mut Header>,

    // Never written.
    pub(crate) id: TaskId,
    location: &'static Location<'static>,
    pub(crate) home: ThreadId,
    scheduler: NonNull<Scheduler>,
    pub(crate) vtable: &'static VTable,

    // M1: only for the home thread.
    pub(crate) state: Cell<u8>,
    refs_at_home: LocalPart,
    pub(crate) link: Cell<LinkOrTime>,
    pub(crate) live_previous: Cell<Option<TaskPtr>>,
    pub(crate) live_next: Cell<Option<TaskPtr>>,
    pub(crate) join_waker: Cell<Option<Waker>>,
    /// The lower half of the number of polls: see [`TaskLog`](crate::task_log::TaskLog).
    pub(crate) polls: Cell<u16>,
}

/// In the ready queue the next task, and otherwise the time of the last poll, or of the spawn: a header of 96 bytes has
/// no room for both.
#[derive(Clone, Copy)]
pub(crate) union LinkOrTime {
    pub(crate) next: Option<TaskPtr>,
    pub(crate) polled_at: u64,
}

// A task with a small future has the largest size of the allocator's fastest class (128 bytes in glibc).
#[cfg(all(target_pointer_width = "64", not(loom)))]
const _: () = assert!(size_of::<Header>() <= 96);

impl Header {
    /// A task at home on this thread, held by executor and handle, in no queue.
    #[inline]
    pub(crate) fn new(
        scheduler: &Arc<Scheduler>,
        id: TaskId,
        location: &'static Location<'static>,
        vtable: &'static VTable,
    ) -> Self {
        Self {
            refs: SharedPart::new(),
            queued: AtomicBool::new(false),
            leased: AtomicBool::new(false),
            abort_requested: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            inbox_next: Cell::new(null_mut()),
            id,
            location,
            home: scheduler.home,
            // From the `Arc` itself, because its count is raised through this pointer.
            scheduler: NonNull::new(Arc::as_ptr(scheduler).cast_mut())
                .expect("an Arc is never null"),
            vtable,
            state: Cell::new(state::EXECUTOR | state::HANDLE),
            refs_at_home: LocalPart::new(),
            link: Cell::new(LinkOrTime {
                polled_at: scheduler.now.get(),
            }),
            live_previous: Cell::new(None),
            live_next: Cell::new(None),
            join_waker: Cell::new(None),
            polls: Cell::new(0),
        }
    }

    /// The place of the spawn.
    #[inline]
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    #[inline]
    pub(crate) fn is(&self, bit: u8) -> bool {
        self.state.get() & bit != 0
    }

    /// Whether the task has ended, for any thread.
    pub(crate) fn is_finished(&self) -> bool {
        // Acquire: pairs with the store in `set_finished`.
        self.finished.load(Ordering::Acquire)
    }

    /// Home thread only.
    #[inline]
    pub(crate) fn set_finished(&self) {
        // Release: a thread that sees the end sees the effects of the task.
        self.finished.store(true, Ordering::Release);
    }

    /// Whether another thread has requested an abort. Home thread only, after it has cleared `queued`
    /// (M9).
    #[inline]
    pub(crate) fn is_abort_requested(&self) -> bool {
        // Relaxed: ordered by the swap of `queued`.
        self.abort_requested.load(Ordering::Relaxed)
    }

    #[inline]
    fn count(&self) -> BiasedCount<'_> {
        BiasedCount {
            shared: &self.refs,
            local: &self.refs_at_home,
        }
    }
}

/// A pointer to a task. It is plain data: its holder guarantees that the memory lives (M2).
///
/// It is made from the whole allocation, never from a `&Header`, so it may also access the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskPtr(NonNull<Header>);

impl TaskPtr {
    /// # Safety
    /// `header` is at the beginning of a task's allocation, with provenance for all of it.
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
    /// The task lives as long as the result is used (M2).
    #[inline]
    pub(crate) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: it lives, and there is no `&mut Header` before it is freed.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// M5 holds as long as the result is used.
    #[inline]
    unsafe fn scheduler<'a>(self) -> &'a Scheduler {
        // SAFETY: M5.
        unsafe { self.header().scheduler.as_ref() }
    }

    /// The identity of the task.
    ///
    /// # Safety
    /// The task lives (M2).
    pub(crate) unsafe fn meta(self) -> TaskMeta {
        // SAFETY: M2. The identity is never written, and may be read by any thread.
        let (header, name) = unsafe { (self.header(), typed::name(self)) };
        TaskMeta::from_parts(header.id, header.location, name.cloned())
    }

    /// Counts a panic of the task.
    ///
    /// # Safety
    /// The task lives (M2) and is not Complete (M5). Home thread (M1).
    #[cold]
    pub(crate) unsafe fn count_panic(self) {
        // SAFETY: M5.
        unsafe { self.scheduler() }.counters.panicked.add(1);
    }

    /// A wake from the home thread.
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
            unsafe {
                let scheduler = self.scheduler();
                scheduler.counters.readied.add(1);
                scheduler.enqueue(self);
            }
        }
    }

    /// Requests the end of the task from its home thread.
    ///
    /// # Safety
    /// The task lives (M2), and this is its home thread (M1).
    pub(crate) unsafe fn abort_at_home(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        if header.is(state::COMPLETE) {
            return;
        }
        header.state.set(header.state.get() | state::ABORTED);
        // SAFETY: the caller's promise.
        unsafe { self.schedule() };
    }

    /// Requests the end of the task from any thread.
    ///
    /// # Safety
    /// The caller holds a reference (M2). M5 holds, or the task is Complete.
    pub(crate) unsafe fn abort(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        if header.home.is_current() {
            // SAFETY: M1 by the comparison.
            return unsafe { self.abort_at_home() };
        }
        // Relaxed: the swap of `queued` in `schedule_remotely` publishes it (M9).
        header.abort_requested.store(true, Ordering::Relaxed);
        // SAFETY: the caller's promise. The scheduler of a Complete task is not used: `queued` is set.
        unsafe { self.schedule_remotely() };
    }

    /// Panics if the awaited task can never run.
    ///
    /// # Safety
    /// Home thread; the task lives (M2) and is not Complete, so that its executor lives.
    #[inline]
    pub(crate) unsafe fn check_attended(self) {
        // SAFETY: the caller's promise.
        if unsafe { self.scheduler().unattended.get() } && is_occupied() {
            unattended();
        }
    }

    /// A wake from another thread.
    ///
    /// # Safety
    /// The caller holds, or was lent by a poll, a waker of the task (M2, M5); or it holds a reference of a
    /// Complete task.
    pub(crate) unsafe fn schedule_remotely(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        // AcqRel, pairs with the swap in `Scheduler::drain_inbox`. Release: the task sees all writes before
        // the wake, even if it was queued already and this store changes nothing.
        // Acquire: `inbox_next` is free again.
        if header.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        // The entry has its own reference. The waker's cannot serve, because the waker must keep the
        // scheduler alive until `push` has called `unpark`.
        header.count().add();
        // SAFETY: M5 by the waker; M6, `queued` was false.
        if !unsafe { self.scheduler().inbox.push(self) } {
            // SAFETY: the reference from above.
            unsafe { self.release_elsewhere() };
        }
    }

    /// Adds the reference of a waker that is cloned, or of an abort handle.
    ///
    /// # Safety
    /// The task lives (M2).
    #[inline]
    pub(crate) unsafe fn retain(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        if header.home.is_current() {
            // SAFETY: M1.
            unsafe { header.count().add_at_home() };
        } else {
            header.count().add();
        }
    }

    /// Releases the reference of a waker or an abort handle; frees the task if it was the last.
    ///
    /// # Safety
    /// The reference belongs to the caller, which does not touch the task again. The home thread must
    /// not call this while a pointer of its own relies on this reference.
    #[inline]
    pub(crate) unsafe fn release(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        if header.home.is_current() {
            // SAFETY: M1, and the caller's promise.
            unsafe { self.release_at_home() };
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.release_elsewhere() };
        }
    }

    /// Releases the reference of a waker or an inbox entry; frees the task if it was the last.
    ///
    /// # Safety
    /// Home thread; as for [`release`](Self::release).
    #[inline]
    pub(crate) unsafe fn release_at_home(self) {
        // SAFETY: M2, M1.
        if unsafe { self.header().count().remove_at_home() } {
            // SAFETY: that was the last reference.
            unsafe { self.free_rarely() };
        }
    }

    /// As `release_at_home`, on any thread.
    ///
    /// # Safety
    /// As for [`release`](Self::release).
    unsafe fn release_elsewhere(self) {
        // SAFETY: M2.
        if unsafe { self.header() }.count().remove() {
            // SAFETY: that was the last reference.
            unsafe { self.free_rarely() };
        }
    }

    /// Clears EXECUTOR or HANDLE; with the second of them the home thread leaves.
    ///
    /// # Safety
    /// Home thread (M1); `bit` is set, and the caller does not touch the task again on its behalf.
    /// With EXECUTOR the task is Complete (M3); with HANDLE, output (M4) and join waker are gone.
    #[inline]
    pub(crate) unsafe fn leave_home(self, bit: u8) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        let state = header.state.get() & !bit;
        header.state.set(state);
        if state & (state::EXECUTOR | state::HANDLE) != 0 {
            return;
        }
        // SAFETY: M1; these bits are never set again.
        if unsafe { header.count().leave() } {
            // SAFETY: there are no references.
            unsafe { self.free() };
        }
    }

    /// Keeps the scheduler alive until the task is freed. Called by every clone of a waker.
    ///
    /// # Safety
    /// The caller holds, or was lent by a poll, a waker of the task (M2, M5).
    #[inline]
    pub(crate) unsafe fn lease_scheduler(self) {
        // Relaxed: if it is leased, the lease was made by the clone from which this waker stems, or
        // by a clone that runs right now on a waker lent to the same poll. That one completes before
        // the poll returns, while the executor lives.
        // SAFETY: M2.
        if !unsafe { self.header() }.leased.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { self.lease_scheduler_first() };
        }
    }

    #[cold]
    unsafe fn lease_scheduler_first(self) {
        // SAFETY: M2.
        let header = unsafe { self.header() };
        // Relaxed: `free` reads it after all references have gone, which orders it.
        if !header.leased.swap(true, Ordering::Relaxed) {
            // SAFETY: the pointer comes from an `Arc`, which is alive by M5.
            unsafe { Arc::increment_strong_count(header.scheduler.as_ptr()) };
        }
    }

    /// [`free`](Self::free) for wakers, which are rarely the last owner.
    ///
    /// # Safety
    /// As there.
    #[cold]
    unsafe fn free_rarely(self) {
        // SAFETY: the caller's promise.
        unsafe { self.free() };
    }

    /// # Safety
    /// The last reference is gone, and this happens after all accesses through the others.
    unsafe fn free(self) {
        // SAFETY: the memory lives until it is freed, and no other pointer is in use.
        let header = unsafe { self.header() };
        // Also checked in the loom tests, which proves to loom that all accesses are ordered
        // before.
        if cfg!(any(debug_assertions, loom)) {
            let state = header.state.get() & !state::ABORTED;
            assert_eq!(state, state::COMPLETE, "the stage is empty");
            assert!(header.join_waker.take().is_none(), "no join waker is left");
            header.inbox_next.set(null_mut());
        }
        let scheduler = header.scheduler.as_ptr();
        let layout = header.vtable.layout;
        // Relaxed: see `lease_scheduler_first`.
        let leased = header.leased.load(Ordering::Relaxed);
        // SAFETY: no reference is left, and the name is not read again.
        unsafe { typed::drop_name(self) };
        // SAFETY: it came from a box, and no reference is left. Nothing else in it needs a drop, neither
        // in the stage nor a join waker (end of the memory rules).
        unsafe { dealloc(self.as_ptr().cast(), layout) };
        if leased {
            // SAFETY: pairs with the increment in `lease_scheduler_first`.
            unsafe { Arc::decrement_strong_count(scheduler) };
        }
    }
}

#[cold]
#[track_caller]
fn unattended() -> ! {
    panic!(
        "the runtime of this task is not running on this thread: await the handle in a task or the \
         `block_on` of the same runtime, or drive that runtime by `Runtime::poll_with`"
    )
}
