//! The arena of in-flight operations.
//!
//! Each operation in flight occupies a cell of the arena, together with the waker of the waiting task. It
//! stays there from its insertion until the kernel's final completion has been taken or discarded:
//!
//! ```text
//!  free --insert--> InFlight --complete--> Completed --take--> free
//!                      |                       |
//!                   abandon                 abandon -------+
//!                      v                                   v
//!                   Orphaned -----complete-----> OrphanCompleted --release_orphan--> free
//! ```
//!
//! No task waits for an orphaned operation. Its memory stays, since the kernel may still write to it.
//! After its completion, [`Operation::on_orphaned`] takes its result: it keeps received bytes and
//! connections, and otherwise drops the output, which closes a descriptor that the operation has opened.
//!
//! # The rules of this memory
//!
//! 1. Cells never move, and are never returned to the allocator while an operation is in flight.
//!    Pages are freed with the arena, and leaked if an operation is still in flight then.
//! 2. Only the final completion ends an operation: `take` and `release_orphan` free its cell, and both
//!    require that it has completed.
//! 3. A key names one operation, and is never reused for another: it contains the cell's generation,
//!    which grows when the cell becomes free. An [`OpHandle`] is a pointer to the cell, for the inserter of
//!    the operation. It is dropped with the operation, and does not outlive the arena.
//! 4. While an operation is in flight, no code forms a reference to it. A [`Multishot`] operation accesses
//!    its own fields by itself. The header beside it belongs to the driver's thread alone.
//! 5. No user code (a waker, a destructor, `request`, `finish`, `on_orphaned`) runs while the arena is
//!    borrowed. The arena returns wakers and finished operations to its caller, which runs their code.
//!
//! Only this folder frees memory that a kernel may touch. `cell.rs` has the cells and their pages, `handle.rs`
//! the handles for inserters of operations, `vtable.rs` the type-erased functions of operations, and
//! `queries.rs` the searches for operations in flight.

mod cell;
mod erased;
mod handle;
mod queries;

/// Frees the cell of an operation whose `request` panics: no kernel knows of it.
struct PrepareGuard<'a, O: Operation> {
    arena: &'a Arena,
    handle: Option<OpHandle<O>>,
}

impl<'a, O: Operation> PrepareGuard<'a, O> {
    #[inline]
    fn new(arena: &'a Arena, handle: OpHandle<O>) -> Self {
        Self {
            arena,
            handle: Some(handle),
        }
    }

    #[inline]
    fn succeed(mut self) -> OpHandle<O> {
        self.handle.take().expect("the handle is taken once")
    }
}

impl<O: Operation> Drop for PrepareGuard<'_, O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // SAFETY: a live header (rule 3).
            unsafe { (*handle.header()).state = State::Completed };
            drop(handle.take(self.arena));
        }
    }
}

#[cfg(test)]
mod tests;
mod vtable;

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::HashMap,
    mem::{self, ManuallyDrop},
    ptr,
    sync::Arc,
    task::Waker,
};

use self::{
    cell::{
        CELLS_PER_PAGE, Header, Page, ResultOrStamp, Stamp, State, class_of, key_of, storage_behind,
    },
    erased::VTablesOf,
    vtable::OpVTable,
};
pub(crate) use self::{
    cell::{Owner, SMALL},
    handle::OpHandle,
};
use crate::{
    key::Key,
    metrics::{DriverMetrics, Latencies, StampSource},
    operation::{Multishot, Operation},
    request::{Item, RawResult, Request},
    sys::OpState,
};

/// The end of a list of free cells.
const NONE: u32 = u32::MAX;

/// The arena. Belongs to one thread.
pub(crate) struct Arena {
    /// Accessed by short borrows, during which only code of this folder runs.
    pages: UnsafeCell<Vec<Page>>,
    /// The first free cell of each size.
    free: [Cell<u32>; 2],
    /// How many operations have been inserted. Wraps around.
    inserted: Cell<u32>,
    /// How many of them have completed. Wraps around.
    completed: Cell<u32>,
    /// How many orphans have not been released.
    orphans: Cell<usize>,
    pub(crate) metrics: Arc<DriverMetrics>,
    pub(crate) stamps: StampSource,
    pub(crate) latencies: Latencies,
    /// The exact begins of old operations: their stamps have wrapped around.
    old: RefCell<HashMap<Key, u64>>,
}

/// The action that follows a completion, once no state is borrowed.
pub(crate) enum OnComplete {
    /// No action: no task waits yet.
    Nothing,
    Wake(Waker),
    /// Report the result to the caller of the low-level API. The cell is free.
    Report(usize, RawResult),
    /// Call [`Arena::release_orphan`].
    ReleaseOrphan(Key),
}

/// The action that follows the abandonment of an operation.
pub(crate) enum Abandoned {
    /// Cancel it in the kernel, and drop this owner.
    Cancel(Owner),
    /// It has completed already: release it.
    ReleaseOrphan,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            pages: UnsafeCell::default(),
            free: [Cell::new(NONE), Cell::new(NONE)],
            inserted: Cell::new(0),
            completed: Cell::new(0),
            orphans: Cell::new(0),
            metrics: Arc::new(DriverMetrics::new()),
            stamps: StampSource::new(),
            latencies: Latencies::default(),
            old: RefCell::default(),
        }
    }

    /// How many operations the kernel has not completed.
    #[inline]
    pub(crate) fn in_flight_count(&self) -> usize {
        // The difference fits: there are at most as many operations as cells, whose indices are `u32`.
        self.inserted.get().wrapping_sub(self.completed.get()) as usize
    }

    /// How many orphans there are: the kernel has not completed them, or they are not released.
    pub(crate) fn orphans(&self) -> usize {
        self.orphans.get()
    }

    /// Whether the kernel has not completed the operation, and it is no orphan.
    pub(crate) fn is_pending(&self, key: Key) -> bool {
        self.state_of(key) == Some(State::InFlight)
    }

    /// Whether the kernel has not completed the operation.
    pub(crate) fn is_in_flight(&self, key: Key) -> bool {
        self.state_of(key).is_some_and(State::is_in_flight)
    }

    /// The state of an operation; `None` if its cell has been freed.
    fn state_of(&self, key: Key) -> Option<State> {
        let header = self.header_at(key.index);
        // SAFETY: cells in `pages` have initialised headers.
        unsafe { ((*header).generation == key.generation).then_some((*header).state) }
    }

    /// Moves the operation into a cell and builds its request.
    ///
    /// # Safety
    ///
    /// The handle is not used after the arena's drop.
    pub(crate) unsafe fn insert<O: Operation>(&self, operation: O) -> (OpHandle<O>, Request) {
        let operation = ManuallyDrop::new(operation);
        // SAFETY: it is moved out, and not dropped here; and by this function's contract.
        unsafe { self.insert_from(&raw const *operation, || {}) }
    }

    /// The handle of an operation. Panics if it has been taken.
    ///
    /// # Safety
    ///
    /// As for [`OpHandle::new`], except that the operation may have been taken.
    #[inline]
    pub(crate) unsafe fn handle_of<O: Operation>(&self, key: Key) -> OpHandle<O> {
        // SAFETY: by this function's contract; `header` panics if the cell has been freed.
        unsafe { OpHandle::new(self.header(key)) }
    }

    /// As [`insert`](Self::insert), for an operation that is moved out of a pointer. `moved` is called
    /// right after the move.
    ///
    /// # Safety
    ///
    /// The operation is valid, and not used through the pointer after `moved` has returned. `moved` does
    /// not panic. The handle is not used after the arena's drop.
    #[inline]
    pub(crate) unsafe fn insert_from<O: Operation>(
        &self,
        operation: *const O,
        moved: impl FnOnce(),
    ) -> (OpHandle<O>, Request) {
        // SAFETY: passed on from this function.
        unsafe { self.insert_as(operation, moved, VTablesOf::<O>::SINGLE) }
    }

    /// As [`insert`](Self::insert), for a multishot operation.
    ///
    /// # Safety
    ///
    /// The handle is not used after the arena's drop.
    pub(crate) unsafe fn insert_multishot<O: Multishot>(
        &self,
        operation: O,
    ) -> (OpHandle<O>, Request) {
        let operation = ManuallyDrop::new(operation);
        // SAFETY: it is moved out, and not dropped here; and by this function's contract.
        unsafe { self.insert_as(&raw const *operation, || {}, VTablesOf::<O>::MULTI) }
    }

    /// # Safety
    ///
    /// As for `insert_from`.
    #[inline]
    unsafe fn insert_as<O: Operation>(
        &self,
        operation: *const O,
        moved: impl FnOnce(),
        [inline, boxed]: [&'static OpVTable; 2],
    ) -> (OpHandle<O>, Request) {
        // SAFETY: the storage is large and aligned enough for an `O` (`class_of`) or a pointer,
        // and unused (rule 2); `alloc_slot` gave a valid header. The operation is valid by this function's
        // contract, and moved.
        let (header, operation_at) = unsafe {
            match class_of::<O>() {
                Some(class) => {
                    let header = self.alloc_slot(class, inline);
                    let operation_at = storage_behind(header).cast::<O>();
                    operation_at.copy_from_nonoverlapping(operation, 1);
                    (header, operation_at)
                }
                None => {
                    let header = self.alloc_slot(0, boxed);
                    let operation_at = Box::into_raw(Box::new(operation.read()));
                    storage_behind(header).cast::<*mut O>().write(operation_at);
                    (header, operation_at)
                }
            }
        };
        moved();
        // SAFETY: inserted just now; and by this function's contract.
        let guard = PrepareGuard::new(self, unsafe { OpHandle::<O>::new(header) });
        // SAFETY: just written, and ours alone until the request is submitted; the box is not
        // touched before `take` or `release_orphan`.
        let request = unsafe { (*operation_at).request() };
        self.mark_in_flight(header);
        (guard.succeed(), request)
    }

    /// Takes a cell for an operation that stays with its caller.
    pub(crate) fn insert_external(&self, request: Request, user_data: usize) -> Key {
        let header = self.alloc_slot(0, OpVTable::EXTERNAL);
        self.mark_in_flight(header);
        // SAFETY: `alloc_slot` gave a valid header, to which no reference exists, and storage that is
        // large enough for a request.
        unsafe {
            storage_behind(header).cast::<Request>().write(request);
            (*header).owner = Owner::Caller(user_data);
            key_of(header)
        }
    }

    /// The backend's state of this operation: valid until the cell is free.
    pub(crate) fn op_state(&self, key: Key) -> *mut OpState {
        if size_of::<OpState>() == 0 {
            // Saves the access to the cell.
            return ptr::dangling_mut();
        }
        // SAFETY: a live header (rule 3), used on this thread only (rule 4).
        unsafe { &raw mut (*self.header(key)).op_state }
    }

    /// The operation goes to the thread pool, not to the kernel.
    pub(crate) fn mark_in_thread_pool(&self, key: Key) {
        // SAFETY: as in `op_state`.
        unsafe { (*self.header(key)).is_in_thread_pool = true };
    }

    /// The thread pool has returned the operation without running it.
    pub(crate) fn unmark_in_thread_pool(&self, key: Key) {
        // SAFETY: as in `op_state`.
        unsafe { (*self.header(key)).is_in_thread_pool = false };
    }

    /// Whether the operation is in the thread pool.
    pub(crate) fn is_in_thread_pool(&self, key: Key) -> bool {
        // SAFETY: as in `op_state`.
        unsafe { (*self.header(key)).is_in_thread_pool }
    }

    /// Records that a cancel of the operation has been requested.
    pub(crate) fn mark_cancel_requested(&self, key: Key) {
        // SAFETY: as in `op_state`.
        unsafe { (*self.header(key)).is_cancel_requested = true };
    }

    /// Whether a cancel of the operation has been requested.
    pub(crate) fn is_cancel_requested(&self, key: Key) -> bool {
        // SAFETY: as in `op_state`.
        unsafe { (*self.header(key)).is_cancel_requested }
    }

    /// Builds an operation's request again, while neither the kernel nor the thread pool has it. Runs the
    /// operation's code, with nothing borrowed.
    pub(crate) fn rebuild_request(&self, key: Key) -> Request {
        let header = self.header(key);
        // SAFETY: the operation is in flight, so it is still in its cell; `again` was made for its type.
        // The kernel does not use it any more, and no other reference to it exists.
        unsafe { ((*header).vtable.again)(storage_behind(header)) }
    }

    /// Whether a cancel can end the operation: the kernel has not completed it, and more than a
    /// notification is outstanding.
    pub(crate) fn is_cancellable(&self, key: Key) -> bool {
        if !self.is_in_flight(key) {
            return false;
        }
        let header = self.header(key);
        // SAFETY: as in `op_state`. The operation has the type of its vtable.
        unsafe { !((*header).vtable.awaits_notification)(storage_behind(header)) }
    }

    /// Handles a completion that is not the last. Also returns whether the operation has enough items.
    #[inline(always)]
    pub(crate) fn on_partial(&self, key: Key, item: Item) -> (OnComplete, bool) {
        let header = self.header(key);
        // SAFETY: as in `op_state`. The operation has the type of its vtable.
        unsafe {
            if item.has_more {
                let counters = self.metrics.kind((*header).vtable.kind);
                counters.on_partial(item.answer);
            }
            let Some(push_partial) = (*header).vtable.push_partial else {
                return (OnComplete::Nothing, false);
            };
            let is_enough = push_partial(storage_behind(header), item);
            let landing = match mem::replace(&mut (*header).owner, Owner::Nobody) {
                Owner::Waiter(waker) => OnComplete::Wake(waker),
                Owner::Nobody | Owner::Caller(_) => OnComplete::Nothing,
            };
            (landing, is_enough)
        }
    }

    /// Handles the kernel's final completion.
    // Always: without inlining, the result is written in parts and then read as a whole at once.
    #[inline(always)]
    pub(crate) fn complete(&self, key: Key, answer: RawResult) -> OnComplete {
        let header = self.header(key);
        // SAFETY: as in `op_state`.
        unsafe {
            // Before any change: a second completion must not be counted.
            let completed = match (*header).state {
                State::InFlight => State::Completed,
                State::Orphaned => State::OrphanCompleted,
                State::Free | State::Preparing | State::Completed | State::OrphanCompleted => {
                    unreachable!("{key:?} was completed twice")
                }
            };
            self.completed.set(self.completed.get().wrapping_add(1));
            (*header).state = completed;
            (*header).result.answer = answer;
            self.metrics.kind((*header).vtable.kind).complete(answer);
            if completed == State::OrphanCompleted {
                return OnComplete::ReleaseOrphan(key);
            }
            match mem::replace(&mut (*header).owner, Owner::Nobody) {
                Owner::Nobody => OnComplete::Nothing,
                Owner::Waiter(waker) => OnComplete::Wake(waker),
                Owner::Caller(user_data) => {
                    self.free_slot(header);
                    OnComplete::Report(user_data, answer)
                }
            }
        }
    }

    /// Orphans an operation whose future was dropped. Returns the action that follows.
    pub(crate) fn abandon(&self, key: Key) -> Abandoned {
        let header = self.header(key);
        // SAFETY: as in `op_state`.
        unsafe {
            match (*header).state {
                State::InFlight => {
                    self.orphans.set(self.orphans.get() + 1);
                    (*header).state = State::Orphaned;
                    Abandoned::Cancel(mem::replace(&mut (*header).owner, Owner::Nobody))
                }
                State::Completed => {
                    self.orphans.set(self.orphans.get() + 1);
                    (*header).state = State::OrphanCompleted;
                    Abandoned::ReleaseOrphan
                }
                State::Free | State::Preparing | State::Orphaned | State::OrphanCompleted => {
                    unreachable!("{key:?} was abandoned twice")
                }
            }
        }
    }

    /// Passes a completed orphan its result, by [`Operation::on_orphaned`]. Runs its code, with nothing
    /// borrowed.
    pub(crate) fn release_orphan(&self, key: Key) {
        let header = self.header(key);
        /// The cell becomes free even if the destructor panics.
        struct Vacate<'a>(&'a Arena, *mut Header);
        impl Drop for Vacate<'_> {
            fn drop(&mut self) {
                self.0.orphans.set(self.0.orphans.get() - 1);
                // SAFETY: the header of the completed orphan below; its operation is gone.
                unsafe { self.0.free_slot(self.1) };
            }
        }
        // SAFETY: as in `take`; `on_orphaned` was made for the type that was inserted. Its code may
        // reenter this arena: nothing is borrowed here, and this cell is not free yet.
        unsafe {
            assert_eq!((*header).state, State::OrphanCompleted);
            let free_slot = Vacate(self, header);
            ((*header).vtable.on_orphaned)(storage_behind(header), (*header).result.answer);
            drop(free_slot);
        }
    }

    /// Takes a free cell.
    #[inline]
    fn alloc_slot(&self, class: usize, vtable: &'static OpVTable) -> *mut Header {
        if self.free[class].get() == NONE {
            self.add_page(class);
        }
        let header = self.header_at(self.free[class].get());
        // SAFETY: a free cell's header.
        unsafe {
            debug_assert_eq!((*header).state, State::Free);
            self.free[class].set((*header).next_free);
            (*header).state = State::Preparing;
            (*header).vtable = vtable;
            (*header).is_in_thread_pool = false;
            (*header).is_cancel_requested = false;
            header
        }
    }

    /// Counts the operation as in flight: a completion follows.
    #[inline]
    fn mark_in_flight(&self, header: *mut Header) {
        let number = self.inserted.get();
        self.inserted.set(number.wrapping_add(1));
        // SAFETY: as in `op_state`.
        unsafe {
            (*header).next_free = number;
            (*header).state = State::InFlight;
            (*header).result.stamp = Stamp {
                begun_at: self.stamps.now.get() as u32,
                tag: self.stamps.tag(),
            };
            self.metrics.kind((*header).vtable.kind).begin();
        }
    }

    /// # Safety
    ///
    /// The header of a completed operation, which has been moved out or dropped.
    #[inline]
    unsafe fn free_slot(&self, header: *mut Header) {
        // SAFETY: by this function's contract.
        unsafe {
            let index = (*header).index;
            let class = usize::from((*header).class);
            (*header).state = State::Free;
            // The two highest bits are reserved for the backends.
            (*header).generation = ((*header).generation + 1) % (1 << Key::GENERATION_BITS);
            (*header).next_free = self.free[class].get();
            self.free[class].set(index);
        }
    }

    #[cold]
    fn add_page(&self, class: usize) {
        let page = Page::new(class);
        let first = self.pages().len() as u32 * CELLS_PER_PAGE;
        for slot in 0..CELLS_PER_PAGE {
            let is_last = slot + 1 == CELLS_PER_PAGE;
            let header = Header {
                op_state: OpState::new(),
                owner: Owner::Nobody,
                vtable: OpVTable::EXTERNAL,
                result: ResultOrStamp { answer: Ok(0) },
                generation: 0,
                index: first + slot,
                next_free: if is_last {
                    self.free[class].get()
                } else {
                    first + slot + 1
                },
                class: class as u8,
                state: State::Free,
                is_in_thread_pool: false,
                is_cancel_requested: false,
            };
            // SAFETY: fresh memory of the page.
            unsafe { page.header(slot).write(header) };
        }
        self.free[class].set(first);
        // SAFETY: no other borrow: each of them ends in the function that begins it.
        unsafe { (*self.pages.get()).push(page) };
    }

    fn pages(&self) -> &[Page] {
        // SAFETY: a page is added by `add_page` only, which is not called during a borrow.
        unsafe { &*self.pages.get() }
    }

    /// The header of a live operation.
    #[inline]
    fn header(&self, key: Key) -> *mut Header {
        let header = self.header_at(key.index);
        // SAFETY: cells in `pages` have initialised headers.
        let generation = unsafe { (*header).generation };
        assert_eq!(generation, key.generation, "{key:?} is stale");
        header
    }

    #[inline]
    fn header_at(&self, index: u32) -> *mut Header {
        self.pages()[(index / CELLS_PER_PAGE) as usize].header(index % CELLS_PER_PAGE)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if self.in_flight_count() != 0 {
            // Rule 1: the kernel may still write there.
            return;
        }
        for page in self.pages.get_mut().drain(..) {
            // SAFETY: nothing is in flight. The future of a completed operation keeps this arena alive,
            // so no such operation is left.
            unsafe { page.free() };
        }
    }
}
