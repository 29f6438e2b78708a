//! Writes whose writer was dropped after their bytes were acknowledged: the runtime finishes them, or
//! lets them reset their connection.

use std::{
    cell::{Cell, RefCell},
    mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use compio_io::io::{Detached, DetachedRunner};
use compio_io::panics::discard;

use super::{Inner, TimerKey, current, timer_clock};

/// The number of turns that a dropped runtime spends on the remaining writes. In the first ones the
/// kernel takes all bytes that it has room for.
const LAST_TURNS: usize = 50;

/// The longest of these turns: in that time, a peer that reads makes room.
const LAST_TURN: Duration = Duration::from_millis(1);

/// The writes of a runtime that is being dropped. Before that, each one is a task.
#[derive(Default)]
pub(super) struct LastWrites {
    is_closing: Cell<bool>,
    left: RefCell<Vec<Detached>>,
}

/// The time limit of a write after its writer was dropped. Without it, a peer that neither reads nor
/// closes would keep its connection.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Finds the runtime of an operation that starts: see
/// [`set_detached_runner`](compio_io::io::set_detached_runner).
pub(super) fn find() -> Option<Weak<dyn DetachedRunner>> {
    let runtime = current::existing()?;
    let runtime: Rc<dyn DetachedRunner> = runtime;
    Some(Rc::downgrade(&runtime))
}

impl DetachedRunner for Inner {
    fn run(self: Rc<Self>, operation: Detached) {
        self.detach(operation);
    }
}

impl Inner {
    fn detach(self: &Rc<Self>, operation: Detached) {
        if self.driver.is_shut_down() {
            return drop(operation);
        }
        if self.last_writes.is_closing.get() {
            return self.last_writes.left.borrow_mut().push(operation);
        }
        let task = Task {
            operation: Some(operation),
            runtime: Rc::downgrade(self),
            deadline: self.now() + TIME_MAX,
            timer: None,
        };
        drop(self.spawn(task));
    }

    /// Collects the writes that remain when all tasks are dropped, and those detached from now on.
    pub(super) fn begin_last_writes(&self) {
        self.last_writes.is_closing.set(true);
    }

    /// Finishes the writes for which the kernel has room soon. The others are dropped.
    pub(super) fn finish_last_writes(&self) {
        let LastWrites { left, .. } = &self.last_writes;
        for turn in 0..LAST_TURNS {
            let mut polled = Vec::new();
            for mut operation in left.take() {
                let mut cx = Context::from_waker(Waker::noop());
                let poll = || operation.as_mut().poll(&mut cx);
                match panic::catch_unwind(AssertUnwindSafe(poll)) {
                    Ok(Poll::Pending) => polled.push(operation),
                    Ok(Poll::Ready(())) => drop_caught(operation),
                    // The panic hook has reported it; the operation cannot continue.
                    Err(panic) => {
                        discard(panic);
                        drop_caught(operation);
                    }
                }
            }
            polled.append(&mut left.borrow_mut());
            if polled.is_empty() {
                break;
            }
            left.replace(polled);
            let timeout = if turn == 0 { Duration::ZERO } else { LAST_TURN };
            let turn = || self.driver.turn(Some(timeout));
            if !matches!(panic::catch_unwind(AssertUnwindSafe(turn)), Ok(Ok(()))) {
                break;
            }
        }
        for operation in left.take() {
            drop_caught(operation);
        }
    }
}

/// Drops a write. The destructor of its writer may panic: the panic hook has reported it.
fn drop_caught(operation: Detached) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(operation))) {
        discard(panic);
    }
}

/// A write as a task. If it is dropped with its runtime, it becomes one of the last writes.
struct Task {
    operation: Option<Detached>,
    runtime: Weak<Inner>,
    deadline: Instant,
    timer: Option<TimerKey>,
}

impl Task {
    fn take_timer(&mut self) {
        if let Some(timer) = self.timer.take()
            && let Some(runtime) = self.runtime.upgrade()
        {
            drop(runtime.take_timer(timer));
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(operation) = &mut self.operation else {
            return Poll::Ready(());
        };
        let now = timer_clock::now();
        if operation.as_mut().poll(cx).is_ready() || self.deadline <= now {
            // A drop before its completion resets its connection.
            self.operation = None;
            self.take_timer();
            return Poll::Ready(());
        }
        if self.timer.is_none()
            && let Some(runtime) = self.runtime.upgrade()
        {
            // The waker of a task stays the same.
            let timer = runtime.set_timer(self.deadline, now, cx.waker().clone());
            self.timer = Some(timer);
        }
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.take_timer();
        if let Some(operation) = mem::take(&mut self.operation)
            && let Some(runtime) = self.runtime.upgrade()
            && runtime.last_writes.is_closing.get()
        {
            runtime.last_writes.left.borrow_mut().push(operation);
        }
    }
}
