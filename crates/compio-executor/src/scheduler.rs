//! The state that executor and tasks share, and the transitions of a task: run, cancel, finish.
//!
//! No state is borrowed while user code runs: all state is in cells, read and written by value, and
//! consistent before each call of a poll, a destructor or a waker.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use crate::{
    inbox::Inbox,
    meta::{TaskId, TaskMeta},
    metrics::{TaskCounters, TaskRecord, TaskState},
    panics::caught,
    queues::{LiveList, ReadyQueue},
    sync::{Cell, Ordering},
    task::{
        Header, TaskPtr,
        header::{LinkOrTime, state},
        waker,
    },
    task_log::{self, TaskLog},
    thread_id::ThreadId,
};

/// Kept alive by the executor, and by every task whose waker was ever cloned (M5).
///
/// The last owner may drop it on a foreign thread. By then the lists are empty.
pub(crate) struct Scheduler {
    pub(crate) home: ThreadId,
    pub(crate) ready: ReadyQueue,
    live: LiveList,
    /// The task whose future is polled or dropped.
    current: Cell<Option<TaskPtr>>,
    /// While tasks are being cleared, new ones are cancelled at once.
    clearing: Cell<bool>,
    /// The thread may sleep in a foreign loop: the first task that is woken here ends that.
    pub(crate) parked: Cell<bool>,
    /// No loop will run tasks while the thread waits for one of them.
    pub(crate) unattended: Cell<bool>,
    pub(crate) inbox: Inbox,
    pub(crate) counters: TaskCounters,
    pub(crate) log: TaskLog,
    /// The time of the loop: see [`Executor::set_now`](crate::Executor::set_now).
    pub(crate) now: Cell<u64>,
}

/// The state of a task that has not ended.
fn state_of(header: &Header) -> TaskState {
    if header.is(state::RUNNING) {
        TaskState::Running
    } else if header.is(state::SCHEDULED) {
        TaskState::Ready
    } else {
        TaskState::Waiting
    }
}

impl Scheduler {
    pub(crate) fn new(unpark: Waker) -> Self {
        Self {
            home: ThreadId::current(),
            ready: ReadyQueue::new(),
            live: LiveList::new(),
            current: Cell::new(None),
            clearing: Cell::new(false),
            parked: Cell::new(false),
            unattended: Cell::new(false),
            inbox: Inbox::new(unpark),
            counters: TaskCounters::new(),
            log: TaskLog::new(),
            now: Cell::new(0),
        }
    }

    pub(crate) fn task_count(&self) -> usize {
        self.counters.alive() as usize
    }

    /// Records the spawn of a task whose number was chosen earlier, or by another thread.
    pub(crate) fn record_out_of_order(&self, meta: &TaskMeta) {
        self.forget_ended();
        self.log.spawn_out_of_order(meta.id(), self.now.get());
        if let Some(name) = meta.shared_name() {
            let mut names = self.counters.names();
            if task_log::is_full(&names, self.task_count()) {
                task_log::retain(&mut names, self.ids());
            }
            names.insert(meta.id(), Arc::downgrade(name));
        }
    }

    /// Records that the polls of a task have overflowed its header.
    #[cold]
    fn record_overflow(&self, id: TaskId) {
        self.forget_ended();
        self.log.overflow(id);
    }

    /// Removes the entries of ended tasks from the log, if they are many.
    fn forget_ended(&self) {
        if self.log.is_full(self.task_count()) {
            self.log.retain(self.ids());
        }
    }

    /// The numbers of all tasks that have not ended.
    fn ids(&self) -> impl Iterator<Item = TaskId> + Clone {
        // SAFETY: members live (M8, M3).
        self.live.iter().map(|task| unsafe { task.header() }.id)
    }

    /// The records of tasks that have not ended, oldest first: at most `max`, of which none has waited less than another one.
    /// With the number of the other tasks.
    pub(crate) fn records(&self, max: usize) -> (Vec<TaskRecord>, usize) {
        if self.task_count() <= max {
            let records = self.live.iter().map(|task| self.record(task));
            return (records.collect(), 0);
        }
        // Tasks that are ready do not wait, and running ones are few.
        let moment = |task: TaskPtr| {
            // SAFETY: members live (M8, M3). A task outside of the ready queue has no link.
            unsafe {
                let header = task.header();
                match state_of(header) {
                    TaskState::Running => 0,
                    TaskState::Waiting => header.link.get().polled_at,
                    TaskState::Ready => u64::MAX,
                }
            }
        };
        let mut tasks: Vec<_> = self.live.iter().map(|task| (moment(task), task)).collect();
        // The count of tasks contains those that are being cancelled. The list does not.
        let omitted = tasks.len().saturating_sub(max);
        if omitted > 0 {
            tasks.select_nth_unstable_by_key(max, |(moment, _)| *moment);
            tasks.truncate(max);
        }
        let mut records: Vec<_> = tasks
            .into_iter()
            .map(|(_, task)| self.record(task))
            .collect();
        records.sort_unstable_by_key(|record| record.meta.id());
        (records, omitted)
    }

    fn record(&self, task: TaskPtr) -> TaskRecord {
        // SAFETY: the callers pass members, which live (M8, M3); home thread (M1).
        let (header, meta) = unsafe { (task.header(), task.meta()) };
        let state = state_of(header);
        TaskRecord {
            meta,
            state,
            polls: self.log.polls(header.id, header.polls.get()),
            spawned_at: self.log.spawned_at(header.id),
            // SAFETY: a task outside of the ready queue has no link.
            polled_at: (state != TaskState::Ready).then(|| unsafe { header.link.get().polled_at }),
        }
    }

    pub(crate) fn current_meta(&self) -> Option<TaskMeta> {
        let task = self.current.get()?;
        // SAFETY: it is Running, so EXECUTOR keeps it (M2).
        Some(unsafe { task.meta() })
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.inbox.is_empty()
    }

    /// Appends a task to the ready queue.
    ///
    /// # Safety
    /// Home thread; the task is not in the ready queue, and M7 allows it to be.
    #[inline]
    pub(crate) unsafe fn enqueue(&self, task: TaskPtr) {
        // SAFETY: the caller's promise.
        let is_first = unsafe { self.ready.push(task) };
        if is_first && self.parked.get() {
            self.unpark();
        }
    }

    #[cold]
    fn unpark(&self) {
        self.parked.set(false);
        self.inbox.unpark();
    }

    /// Adds a newly allocated task.
    #[inline]
    pub(crate) fn admit(&self, task: TaskPtr) {
        // SAFETY: the task is new: it lives (EXECUTOR), is Waiting, and in no list.
        unsafe {
            self.live.push(task);
            self.counters.spawned.add(1);
            if self.clearing.get() {
                self.cancel(task);
            } else {
                task.schedule();
            }
        }
    }

    /// The next task to run; checks the inbox if the ready queue is empty.
    #[inline]
    pub(crate) fn next(&self) -> Option<TaskPtr> {
        self.ready.pop().or_else(|| {
            self.drain_inbox();
            self.ready.pop()
        })
    }

    /// Moves tasks that other threads woke to the ready queue.
    #[inline]
    pub(crate) fn drain_inbox(&self) {
        if !self.inbox.is_empty() {
            self.drain_full_inbox();
        }
    }

    #[cold]
    fn drain_full_inbox(&self) {
        for task in self.inbox.take() {
            self.counters.remote_wakes.add(1);
            // SAFETY: the entry's reference (M2), and we are at home (M1).
            unsafe {
                let header = task.header();
                // A complete task is never woken again: see `finish`.
                if !header.is(state::COMPLETE) {
                    // AcqRel, pairs with the swap in `schedule_remotely`. Release: `inbox_next` is free
                    // again. Acquire: the poll that follows sees the writes before the wakes.
                    // It must be a swap, and come before the poll: a later wake finds `queued` false,
                    // and pushes again.
                    header.queued.swap(false, Ordering::AcqRel);
                    if header.is_abort_requested() {
                        header.state.set(header.state.get() | state::ABORTED);
                    }
                    task.schedule();
                }
                task.release_at_home();
            }
        }
    }

    /// Runs a task: polls it once, or cancels it.
    ///
    /// # Safety
    /// Home thread; the task was just popped from the ready queue (M7).
    #[inline]
    pub(crate) unsafe fn run(&self, task: TaskPtr) {
        // SAFETY: M7, so it lives; M3: not Running before, Running until the poll is over.
        unsafe {
            let header = task.header();
            let before = header.state.get();
            debug_assert_eq!(
                before & (state::SCHEDULED | state::RUNNING | state::COMPLETE),
                state::SCHEDULED
            );
            if before & state::ABORTED != 0 {
                self.counters.unpolled.add(1);
                return self.cancel(task);
            }
            // It is SCHEDULED and not RUNNING: both change.
            header
                .state
                .set(before ^ (state::SCHEDULED | state::RUNNING));

            let polls = header.polls.get().wrapping_add(1);
            header.polls.set(polls);
            if polls == 0 {
                self.record_overflow(header.id);
            }
            let polled_at = self.now.get();
            header.link.set(LinkOrTime { polled_at });
            self.counters.begin(header.id, header.location());

            let waker = waker::lend(task);
            let outer = self.current.replace(Some(task));
            let is_complete = (header.vtable.poll)(task, &mut Context::from_waker(&waker));
            self.current.set(outer);
            if is_complete {
                self.counters.last_polls.add(1);
                self.live.remove(task);
                return self.finish(task);
            }

            let after = header.state.get() & !state::RUNNING;
            header.state.set(after);
            if after & state::ABORTED != 0 {
                self.counters.last_polls.add(1);
                self.cancel(task);
            } else if after & state::SCHEDULED != 0 {
                self.counters.repeated_polls.add(1);
                self.enqueue(task);
            } else {
                self.counters.last_polls.add(1);
            }
        }
    }

    /// Drops a task's future.
    ///
    /// # Safety
    /// Home thread; the task is live (M8), neither Running nor in the ready queue.
    #[cold]
    unsafe fn cancel(&self, task: TaskPtr) {
        // SAFETY: M8, so it lives; M3: Running until the future is gone.
        unsafe {
            self.live.remove(task);
            let header = task.header();
            // Running: wakes and aborts by the destructor only leave a mark.
            header.state.set(header.state.get() | state::RUNNING);
            let outer = self.current.replace(Some(task));
            let outer_counted = self.counters.save();
            self.counters.begin(header.id, header.location());
            (header.vtable.cancel)(task);
            self.current.set(outer);
            self.counters.restore(&outer_counted);
            self.finish(task);
        }
    }

    /// Ends a task whose output has replaced the future.
    ///
    /// # Safety
    /// Home thread; the task is Running, in no list, and its stage holds the output.
    #[inline]
    unsafe fn finish(&self, task: TaskPtr) {
        // SAFETY: it lives by EXECUTOR (M2), which is cleared last. M4: OUTPUT is set, unless there is
        // no handle to take it.
        unsafe {
            let header = task.header();
            let handle = header.state.get() & state::HANDLE;
            self.counters.finished.add(1);
            // From here on, remote wakes do nothing. Relaxed: a thread that finds it set relies on
            // no other write, because no poll follows.
            header.queued.store(true, Ordering::Relaxed);
            header.set_finished();

            if handle == 0 {
                header.state.set(state::COMPLETE | state::EXECUTOR);
                (header.vtable.drop_output)(task);
                return task.leave_home(state::EXECUTOR);
            }
            header
                .state
                .set(state::COMPLETE | state::OUTPUT | state::EXECUTOR | handle);
            let join_waker = header.join_waker.take();
            task.leave_home(state::EXECUTOR);
            if let Some(join_waker) = join_waker {
                // User code, even if the waker is one of this crate: it may belong to a task elsewhere,
                // and call the `unpark` of its executor. A panic must not keep other tasks from ending.
                caught(|| join_waker.wake());
            }
        }
    }

    /// Cancels all tasks, except the ones in a poll further up this stack: these end with their poll.
    pub(crate) fn clear(&self) {
        let clearing = self.clearing.replace(true);
        // All leave the ready queue, and because they stay SCHEDULED none returns.
        self.counters.unpolled.add(self.ready.clear());
        self.live.mark(state::SCHEDULED | state::ABORTED);
        while let Some(task) = self.live.first_idle() {
            // SAFETY: a member (M8), idle, and the ready queue holds none of the marked.
            unsafe { self.cancel(task) };
        }
        self.drain_inbox();
        self.clearing.set(clearing);
    }

    /// Cancels all tasks for good, and rejects later remote wakes.
    pub(crate) fn close(&self) {
        self.clearing.set(true);
        self.clear();
        for task in self.inbox.close() {
            // SAFETY: the entry's reference, at home. The task is Complete: `queued` stays set.
            unsafe { task.release_at_home() };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;
    use crate::Executor;

    #[test]
    fn polls_of_ended_tasks_are_forgotten() {
        let executor = Executor::new(Waker::noop().clone());
        let scheduler = executor.scheduler();
        for _ in 0..1000 {
            executor.spawn(poll_fn(|_| Poll::Ready(())));
            // One poll before the lower half overflows.
            for task in scheduler.live.iter() {
                // SAFETY: members live (M8).
                unsafe { task.header() }.polls.set(u16::MAX);
            }
            executor.tick(64);
        }
        assert_eq!(scheduler.task_count(), 0);
        assert!(scheduler.log.entries() <= 65, "{}", scheduler.log.entries());
    }
}
