//! The event loop: run ready tasks, submit, wait, complete operations, wake.

use std::{
    io,
    ops::ControlFlow,
    panic,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

#[cfg(feature = "sim")]
use compio_driver::os_calls::task_order;
use compio_executor::Tick;
use compio_io::coop::{self, Budget};
use compio_io::panics::{discard, wake_all};

#[cfg(feature = "time")]
use super::entered_for;
use super::{Inner, current::Entered};
#[cfg(feature = "tracing")]
use crate::trace::{self, TaskTrace};

/// The maximum of task polls between two turns, which check timers and completions. The documentation of
/// [`task`](crate::task#fairness) states it.
const POLLS_PER_TURN: usize = 64;

/// The work of a runtime before a step of [`Inner::run_while`].
pub(crate) struct Work {
    /// The number of tasks that have not ended.
    pub(crate) tasks: usize,
    /// Whether tasks are ready, or other threads have sent some.
    pub(crate) has_ready: bool,
}

impl Inner {
    #[cfg_attr(feature = "tracing", track_caller)]
    pub(crate) fn block_on<F: Future>(self: &Rc<Self>, future: F) -> F::Output {
        #[cfg(feature = "tracing")]
        if trace::is_enabled() {
            let trace = TaskTrace::block_on(size_of::<F>());
            return self.run_until_ready(trace.around(future));
        }
        self.run_until_ready(future)
    }

    fn run_until_ready<F: Future>(self: &Rc<Self>, future: F) -> F::Output {
        // Dropped when the loop has ended.
        let _entered = Entered::new(self);
        let _running = self.start();
        let _left = Left(self);
        let mut future = pin!(future);
        let mut context = Context::from_waker(self.main.waker());
        // The flag may be set from an earlier future; the first poll is due in any case.
        let mut due = true;
        let mut polls_left = POLLS_PER_TURN;
        loop {
            if self.main.take_woken() || due {
                due = false;
                polls_left -= 1;
                coop::refill();
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
            }
            let tick = self.tick(polls_left);
            polls_left -= tick.polled;
            let is_idle = !self.main.is_woken() && !tick.has_ready;
            if !is_idle && polls_left > 0 && self.driver.is_idle() {
                continue;
            }
            polls_left = POLLS_PER_TURN;
            let is_idle = is_idle && !self.skip_idle_time(|| self.main.is_woken());
            let timeout = if is_idle {
                self.time_to_next_timer()
            } else {
                Some(Duration::ZERO)
            };
            if let Err(error) = self.turn(timeout) {
                panic!("waiting for kernel events failed: {error}");
            }
        }
    }

    /// Runs tasks until `plan` breaks. It is called before each step, and limits the wait of a step without
    /// ready tasks.
    pub(crate) fn run_while(
        self: &Rc<Self>,
        mut plan: impl FnMut(Work) -> ControlFlow<(), Option<Duration>>,
    ) {
        let _entered = Entered::new(self);
        let _running = self.start();
        let _left = Left(self);
        let mut polls_left = POLLS_PER_TURN;
        loop {
            let work = Work {
                tasks: self.executor.task_count(),
                has_ready: self.executor.has_ready(),
            };
            let has_ready = work.has_ready;
            let ControlFlow::Continue(limit) = plan(work) else {
                return;
            };
            let timeout = if has_ready {
                let tick = self.tick(polls_left);
                // A step without a poll counts, too: other threads may send aborted tasks without end.
                polls_left = polls_left.saturating_sub(tick.polled.max(1));
                if !tick.has_ready && polls_left > 0 {
                    // The plan decides about the wait, which also submits.
                    continue;
                }
                Some(Duration::ZERO)
            } else if self.executor.has_ready() {
                // Woken by the plan, or sent since: the plan decides again.
                continue;
            } else if self.skip_idle_time(|| false) {
                Some(Duration::ZERO)
            } else {
                let timer = self.time_to_next_timer();
                match (timer, limit) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                }
            };
            polls_left = POLLS_PER_TURN;
            if let Err(error) = self.turn(timeout) {
                panic!("waiting for kernel events failed: {error}");
            }
        }
    }

    pub(super) fn run(self: &Rc<Self>) -> bool {
        self.set_embedded();
        let _entered = Entered::new(self);
        let _running = self.start();
        self.tick(POLLS_PER_TURN).has_ready
    }

    pub(super) fn poll(self: &Rc<Self>, timeout: Option<Duration>) -> io::Result<()> {
        self.set_embedded();
        // Wakers and destructors that run here find their own runtime.
        let _entered = Entered::new(self);
        self.set_announced(false);
        if self.skip_idle_time(|| false) {
            return self.turn(Some(Duration::ZERO));
        }
        self.turn(timeout)
    }

    pub(super) fn poll_with(self: &Rc<Self>, cx: &mut Context<'_>) -> io::Result<Option<Duration>> {
        self.set_embedded();
        let entered = Entered::new(self);
        let running = self.start();
        let polls_left = POLLS_PER_TURN - self.tick(POLLS_PER_TURN).polled;
        // The turn and the returned time are the same in both cases.
        self.skip_idle_time(|| false);
        self.turn(Some(Duration::ZERO))?;
        self.tick(polls_left);
        drop(running);
        drop(entered);
        // Cloning runs user code (the waker's vtable) first: it may wake a task.
        self.driver.set_outer_waker(Some(cx.waker().clone()));
        let timeout = self.current_timeout();
        if timeout == Some(Duration::ZERO) {
            cx.waker().wake_by_ref();
        }
        Ok(timeout)
    }

    /// As [`poll_with`](Self::poll_with), for a host of a simulation. Its time stands still meanwhile, so completions come first,
    /// and one pass over the tasks is enough.
    #[cfg(feature = "sim")]
    #[allow(dead_code, reason = "its caller, the module `sim`, is on Linux only")]
    pub(crate) fn poll_simulated(self: &Rc<Self>, waker: &Waker) -> io::Result<Option<Duration>> {
        // There is none yet, or a notification has taken it.
        if !self.is_embedded.get() || self.driver.is_notified() {
            self.driver.set_outer_waker(Some(waker.clone()));
        }
        self.set_embedded();
        let entered = Entered::new(self);
        let running = self.start();
        self.turn(Some(Duration::ZERO))?;
        self.tick(POLLS_PER_TURN);
        self.skip_idle_time(|| false);
        drop(running);
        drop(entered);
        Ok(self.current_timeout())
    }

    pub(super) fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.parking {
            Some(parking) if timeout != Some(Duration::ZERO) => {
                parking.around(|| self.driver.turn(timeout))?;
            }
            _ => self.driver.turn(timeout)?,
        }
        let now = self.expire_timers();
        if now.is_some()
            || timeout != Some(Duration::ZERO)
            || self.clock.is_due()
            || self.is_recording()
        {
            self.set_now(self.time_of_records(now));
        }
        #[cfg(feature = "histograms")]
        self.recorder.after_turn(&self.driver, &self.metrics);
        Ok(())
    }

    /// Whether histograms are recorded.
    #[inline]
    fn is_recording(&self) -> bool {
        #[cfg(feature = "histograms")]
        let is_recording = self.recorder.is_recording();
        #[cfg(not(feature = "histograms"))]
        let is_recording = false;
        is_recording
    }

    /// Runs ready tasks.
    #[inline]
    fn tick(&self, budget: usize) -> Tick {
        #[cfg(feature = "sim")]
        if self.driver.is_simulated() {
            return self.tick_shuffled(budget);
        }
        self.tick_in_order(budget)
    }

    /// Runs ready tasks in the order of the simulation: all that are ready together, and then those that have become ready since.
    #[cfg(feature = "sim")]
    fn tick_shuffled(&self, budget: usize) -> Tick {
        let mut left = budget;
        while let Some(random) = task_order()
            && let count @ 1.. = self.executor.shuffle_ready(left, random)
        {
            left -= self.tick_in_order(count).polled;
        }
        let tick = self.tick_in_order(left);
        Tick {
            polled: budget - left + tick.polled,
            ..tick
        }
    }

    #[inline]
    fn tick_in_order(&self, budget: usize) -> Tick {
        #[cfg(feature = "histograms")]
        if self.recorder.is_recording() {
            return self.recorder.tick(&self.executor, budget);
        }
        self.executor.tick(budget)
    }

    pub(super) fn current_timeout(&self) -> Option<Duration> {
        self.set_embedded();
        if self.executor.has_ready() || !self.driver.prepare_to_sleep() {
            return Some(Duration::ZERO);
        }
        self.set_announced(true);
        self.time_to_next_timer()
    }

    /// Sets whether this is the thread's current runtime. A runtime that is not current still counts
    /// as driven if it has an outer loop, unless that loop is blocked in a call of this runtime.
    pub(super) fn set_current(&self, is_current: bool) {
        let is_attended = is_current || self.is_embedded.get() && !self.running.get();
        if self.is_attended.replace(is_attended) == is_attended {
            return;
        }
        self.driver.set_attended(is_attended);
        self.executor.set_attended(is_attended);
    }

    /// Records that an outer loop drives it.
    fn set_embedded(&self) {
        if !self.is_embedded.replace(true) && !self.running.get() {
            self.set_current(true);
        }
    }

    /// Panics if waiting for a timer of this runtime would never end.
    #[cfg(feature = "time")]
    pub(crate) fn check_attended(&self) {
        if !self.is_attended.get() {
            entered_for("timers");
        }
    }

    /// Sets whether an outer loop may sleep for this runtime.
    fn set_announced(&self, is_announced: bool) {
        self.is_announced.set(is_announced);
        self.executor.set_parked(is_announced);
    }

    /// Ends the sleep of the outer loop: the time returned to it is no longer valid.
    pub(super) fn wake_outer(&self) {
        if self.is_announced.get() {
            self.driver.wake_outer();
        }
    }

    pub(super) fn shut_down(self: &Rc<Self>) {
        // Destructors that run here find their own runtime, not a new one.
        let _entered = Entered::new(self);
        self.executor.close_spawners();
        self.begin_last_writes();
        self.driver.begin_shut_down();
        self.executor.clear();
        self.finish_last_writes();
        // Not fired, but removed: woken tasks check the clock.
        let wakers = self.timers.borrow_mut().clear();
        if let Some(panic) = wake_all(wakers.chain(self.end_advances())) {
            // The panic hook has reported it, and a destructor must not panic.
            discard(panic);
        }
        self.driver.shut_down();
        self.driver.set_outer_waker(None);
        // Drops tasks that wakers and destructors have spawned: they may hold a handle of this
        // runtime.
        self.executor.clear();
    }

    fn time_to_next_timer(&self) -> Option<Duration> {
        if let Some(wait) = self.paused_wait() {
            return wait;
        }
        // Virtual time stops at each deadline exactly.
        #[cfg(feature = "sim")]
        if self.driver.is_simulated() {
            let deadline = self.timers.borrow().first_deadline()?;
            return Some(deadline.saturating_duration_since(self.now()));
        }
        let deadline = self.timers.borrow_mut().next()?;
        Some(deadline.saturating_duration_since(self.now()))
    }

    /// Sets the time of the records of tasks and operations.
    fn set_now(&self, now: Instant) {
        let time = self.clock.set(now);
        // They do not wrap around within half a million years.
        let micros = (time.as_secs() * 1_000_000).wrapping_add(time.subsec_micros().into());
        let millis = (time.as_secs() * 1000).wrapping_add(time.subsec_millis().into());
        self.driver.set_now(micros);
        self.metrics.set_now(millis);
        self.executor.set_now(millis);
    }

    /// Returns the time, if there are timers.
    fn expire_timers(&self) -> Option<Instant> {
        let publish = || {
            let timers = self.timers.borrow().len();
            self.metrics.set_timers(timers);
            timers
        };
        if publish() == 0 {
            return None;
        }
        let now = self.now();
        // The clock of a simulation stops at each deadline, and most polls of a host are between two of them.
        #[cfg(feature = "sim")]
        if self.driver.is_simulated() && self.timers.borrow().first_deadline() > Some(now) {
            return Some(now);
        }
        let mut due: Vec<Waker> = self.timers.borrow_mut().take_due(now);
        if !due.is_empty() {
            publish();
        }
        let panicked = wake_all(due.drain(..));
        self.timers.borrow_mut().give_back(due);
        if let Some(panic) = panicked {
            panic::resume_unwind(panic);
        }
        Some(now)
    }

    /// Starts polling tasks, each with a full budget.
    fn start(&self) -> Running<'_> {
        assert!(
            !self.running.replace(true),
            "a runtime cannot run inside itself: await instead of blocking"
        );
        self.set_announced(false);
        self.driver.end_sleep();
        Running {
            runtime: self,
            _budget: Budget::full(),
        }
    }
}

/// Marks the loop as running while it exists.
struct Running<'a> {
    runtime: &'a Inner,
    /// Restores the budget of a task that runs this loop.
    _budget: Budget,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.runtime.running.set(false);
    }
}

/// On drop, ends the loop for now: the most recent cancel requests are submitted.
struct Left<'a>(&'a Inner);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.driver.settle_orphans();
    }
}

#[cfg(test)]
mod tests;
