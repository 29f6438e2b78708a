//! A clock that a test can pause: it stands still while a task is ready, and jumps to the next timer when none is.
//!
//! ```text
//! Real ---pause---> Paused <---pause--- Resumed
//!                     |                    ^
//!                     +-------resume-------+
//! ```
//!
//! A jump is a step of the event loop in the place of a wait, see [`Inner::skip_idle_time`]. Some operations in flight
//! prevent it, see [`holds`].

use std::{
    cell::{Cell, RefCell},
    mem, panic,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use compio_driver::{
    OpKind, OpRecord,
    os_calls::{clock, describe},
};
use compio_io::panics::wake_all;

use crate::runtime::{self, Inner};

/// The number of turns that look for completions before a jump. The first one may only find that an operation has to be
/// tried again.
const SETTLING_TURNS: usize = 3;

/// A timer with a longer wait is never due: `Duration::MAX` becomes 30 years.
const NEVER: Duration = Duration::from_secs(86_400 * 365 * 15);

/// The time for deadlines of the entered runtime. Without one, the system's.
pub(crate) fn now() -> Instant {
    runtime::current::with_entered(Inner::now).unwrap_or_else(clock::now)
}

#[derive(Debug)]
pub(crate) struct TimerClock {
    state: Cell<State>,
    /// The pending calls of `advance`.
    advances: RefCell<Vec<Pending>>,
    /// The number of the next one.
    next_number: Cell<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Real,
    Paused(Instant),
    /// It read `from` when the system's clock read `at`.
    Resumed {
        from: Instant,
        at: Instant,
    },
}

#[derive(Debug)]
struct Pending {
    number: u64,
    target: Instant,
    waker: Waker,
}

impl TimerClock {
    pub(in crate::runtime) fn new() -> Self {
        Self {
            state: Cell::new(State::Real),
            advances: RefCell::default(),
            next_number: Cell::new(0),
        }
    }

    fn now(&self) -> Instant {
        match self.state.get() {
            State::Real => clock::now(),
            State::Paused(now) => now,
            State::Resumed { from, at } => from + clock::now().saturating_duration_since(at),
        }
    }

    fn is_paused(&self) -> bool {
        matches!(self.state.get(), State::Paused(_))
    }

    /// Moves a paused clock. It never goes back.
    fn move_to(&self, moment: Instant) {
        self.state.set(State::Paused(self.now().max(moment)));
    }

    /// The earliest end of a pending advance.
    fn first_target(&self) -> Option<Instant> {
        let advances = self.advances.borrow();
        advances.iter().map(|pending| pending.target).min()
    }

    /// Removes the advances that end by `limit`, or all. Returns their wakers.
    fn take_advances(&self, limit: Option<Instant>) -> impl Iterator<Item = Waker> + use<> {
        let is_over = |pending: &mut Pending| limit.is_none_or(|limit| pending.target <= limit);
        // Woken with nothing borrowed: wakers run user code.
        let over: Vec<_> = self.advances.borrow_mut().extract_if(.., is_over).collect();
        over.into_iter().map(|pending| pending.waker)
    }

    /// Wakes the advances that end by `limit`, or all.
    fn wake_advances(&self, limit: Option<Instant>) {
        if let Some(panic) = wake_all(self.take_advances(limit)) {
            panic::resume_unwind(panic);
        }
    }
}

/// A step of a paused clock.
enum Step {
    /// To the deadline of a timer.
    Timer(Instant),
    /// To the end of an advance.
    Advance(Instant),
}

impl Inner {
    /// The time for deadlines.
    pub(crate) fn now(&self) -> Instant {
        self.timer_clock.now()
    }

    /// The time for the records of tasks and operations: the system's, as in the watchdog.
    pub(in crate::runtime) fn time_of_records(&self, _now: Option<Instant>) -> Instant {
        clock::now()
    }

    /// Whether the clock is paused and the loop has no reason to wait: a task is ready, or the clock has jumped and the
    /// next turn expires timers. `is_woken` tells about the future of `block_on`.
    pub(in crate::runtime) fn skip_idle_time(&self, is_woken: impl Fn() -> bool) -> bool {
        self.timer_clock.is_paused() && self.skip_paused_time(is_woken)
    }

    #[cold]
    fn skip_paused_time(&self, is_woken: impl Fn() -> bool) -> bool {
        let is_ready = || is_woken() || self.executor.has_ready();
        for _ in 0..SETTLING_TURNS {
            if is_ready() {
                return true;
            }
            if self.driver.is_idle() {
                break;
            }
            if self.turn(Some(Duration::ZERO)).is_err() {
                // The caller's turn meets the same error.
                return false;
            }
        }
        if is_ready() {
            return true;
        }
        match self.next_step() {
            None => false,
            Some(Step::Timer(moment)) => {
                self.timer_clock.move_to(moment);
                true
            }
            Some(Step::Advance(moment)) => {
                self.timer_clock.move_to(moment);
                self.timer_clock.wake_advances(Some(moment));
                true
            }
        }
    }

    /// The next step of the paused clock, if it may move. No task is ready.
    fn next_step(&self) -> Option<Step> {
        let target = self.timer_clock.first_target();
        let is_advancing = target.is_some();
        if self.driver.in_flight() > 0
            && (self.driver.records().iter()).any(|operation| holds(operation, is_advancing))
        {
            return None;
        }
        let never = self.now().checked_add(NEVER);
        let ends = |timer: &Instant| never.is_none_or(|never| *timer < never);
        let timer = self.timers.borrow().first_deadline();
        match (timer, target) {
            (Some(timer), Some(target)) if timer <= target => Some(Step::Timer(timer)),
            (_, Some(target)) => Some(Step::Advance(target)),
            (Some(timer), None) if ends(&timer) => Some(Step::Timer(timer)),
            (_, None) => None,
        }
    }

    /// The longest wait of the loop while the clock is paused; otherwise nothing.
    pub(in crate::runtime) fn paused_wait(&self) -> Option<Option<Duration>> {
        let is_paused = self.timer_clock.is_paused();
        is_paused.then(|| self.next_step().map(|_| Duration::ZERO))
    }

    /// # Panics
    ///
    /// If the clock is paused.
    #[track_caller]
    pub(crate) fn pause_clock(&self) {
        assert!(
            !self.timer_clock.is_paused(),
            "the time of this runtime is paused already"
        );
        self.timer_clock.state.set(State::Paused(self.now()));
        // Its time limit is a real one.
        self.wake_outer();
    }

    /// # Panics
    ///
    /// If the clock is not paused.
    #[track_caller]
    pub(crate) fn resume_clock(&self) {
        self.check_paused("resume");
        self.timer_clock.state.set(State::Resumed {
            from: self.now(),
            at: clock::now(),
        });
        self.wake_outer();
        self.timer_clock.wake_advances(None);
    }

    /// Removes all advances, which panic at their next polls unless they are over. Returns their wakers.
    pub(in crate::runtime) fn end_advances(&self) -> impl Iterator<Item = Waker> + use<> {
        self.timer_clock.take_advances(None)
    }

    /// Panics if no loop moves the clock, in which case a wait for it would never end.
    fn check_clock_moves(&self) {
        assert!(
            self.is_attended.get() && !self.driver.is_shut_down(),
            "the runtime of this `compio::time::advance` is not running on this thread: await it in the `block_on` or a task \
             of that runtime, or drive that runtime by `Runtime::poll_with`"
        );
    }

    #[track_caller]
    fn check_paused(&self, user: &str) {
        assert!(
            self.timer_clock.is_paused(),
            "the time of this runtime is not paused: call `compio::time::pause` before `compio::time::{user}`"
        );
    }
}

/// Whether a paused clock stands still while the operation is in flight, because the operation ends without any peer. `is_advancing`: an
/// `advance` moves the clock, which does not wait for blocking code. That code may wait for the caller of `advance`.
fn holds(operation: &OpRecord, is_advancing: bool) -> bool {
    let kind = operation.kind;
    if kind == OpKind::Blocking {
        return !is_advancing;
    }
    if operation.is_cancel_requested || !kind.may_wait_for_peer() {
        return true;
    }
    if kind == OpKind::Splice {
        // Otherwise it waits until both ends are ready.
        return operation.is_splicing || operation.is_in_thread_pool;
    }
    // A pipe or a terminal waits for its peer.
    matches!(kind, OpKind::Read | OpKind::Write)
        && operation.fd.is_some_and(|fd| {
            // SAFETY: the operation is in flight, and keeps its descriptor open. Nothing has turned the driver since its
            // record was made.
            unsafe { describe::is_file(fd) }
        })
}

/// The future of `advance`.
pub(crate) struct Advance {
    runtime: Rc<Inner>,
    target: Instant,
    /// Its number, while it is in the list.
    number: Option<u64>,
}

impl Advance {
    /// # Panics
    ///
    /// If the clock is not paused, or if the sum has no representation.
    #[track_caller]
    pub(crate) fn new(runtime: Rc<Inner>, duration: Duration) -> Self {
        runtime.check_paused("advance");
        let target = runtime.now().checked_add(duration);
        let Some(target) = target.filter(|target| runtime.timers.borrow().can_represent(*target))
        else {
            panic!("the clock cannot represent the time after an advance by {duration:?}");
        };
        Self {
            runtime,
            target,
            number: None,
        }
    }

    /// The place of this advance in the list, which a step of the loop has not taken.
    fn place(&self) -> Option<usize> {
        let advances = self.runtime.timer_clock.advances.borrow();
        let number = self.number?;
        advances.iter().position(|known| known.number == number)
    }
}

impl Future for Advance {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let place = self.place();
        if self.number.is_some() && place.is_none() {
            assert!(
                self.target <= self.runtime.now(),
                "`compio::time::resume` was called during `compio::time::advance`, or its runtime was dropped"
            );
            return Poll::Ready(());
        }
        self.runtime.check_clock_moves();
        // Cloned with nothing borrowed: it runs user code.
        let waker = cx.waker().clone();
        let clock = &self.runtime.timer_clock;
        let (number, before) = match place {
            Some(place) => {
                let known = &mut clock.advances.borrow_mut()[place];
                (known.number, Some(mem::replace(&mut known.waker, waker)))
            }
            None => {
                let number = clock.next_number.get();
                clock.next_number.set(number + 1);
                clock.advances.borrow_mut().push(Pending {
                    number,
                    target: self.target,
                    waker,
                });
                (number, None)
            }
        };
        drop(before);
        self.number = Some(number);
        self.runtime.wake_outer();
        Poll::Pending
    }
}

impl Drop for Advance {
    fn drop(&mut self) {
        if let Some(place) = self.place() {
            let removed = self.runtime.timer_clock.advances.borrow_mut().remove(place);
            drop(removed);
        }
    }
}
