//! Writes whose writer was dropped after their bytes were acknowledged: the runtime finishes them, or
//! lets them reset their connection.

use std::{
    cell::{Cell, RefCell},
    mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio_io::io::Detached;

use super::{Inner, current};

/// How many turns a runtime that is dropped gives the writes that are left. In the first ones the
/// kernel takes all bytes that it has room for.
const LAST_TURNS: usize = 50;

/// The longest of these turns: a peer that reads makes room meanwhile.
const LAST_TURN: Duration = Duration::from_millis(1);

/// The writes of a runtime that is being dropped. Before that, each one is a task.
#[derive(Default)]
pub(super) struct LastWrites {
    is_closing: Cell<bool>,
    left: RefCell<Vec<Detached>>,
}

/// The runner of [`set_detached_runner`](compio_io::io::set_detached_runner): the thread's runtime takes
/// the operation, if there is one.
pub(super) fn run(operation: Detached) {
    if let Some(runtime) = current::existing() {
        runtime.detach(operation);
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
        };
        drop(self.spawn(task));
    }

    /// The writes that are left when all tasks are dropped, and those that are detached from now on.
    pub(super) fn begin_last_writes(&self) {
        self.last_writes.is_closing.set(true);
    }

    /// Finishes the writes for which the kernel has room soon. The others are dropped.
    pub(super) fn finish_last_writes(&self) {
        let LastWrites { left, .. } = &self.last_writes;
        for turn in 0..LAST_TURNS {
            let mut polled = left.take();
            polled.retain_mut(|operation| {
                let mut cx = Context::from_waker(Waker::noop());
                let poll = || operation.as_mut().poll(&mut cx);
                // The panic hook has reported a panic; the operation cannot go on.
                matches!(
                    panic::catch_unwind(AssertUnwindSafe(poll)),
                    Ok(Poll::Pending)
                )
            });
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
        drop(left.take());
    }
}

/// A write as a task. Dropped with its runtime, it is one of the last writes.
struct Task {
    operation: Option<Detached>,
    runtime: Weak<Inner>,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(operation) = &mut self.operation else {
            return Poll::Ready(());
        };
        let poll = operation.as_mut().poll(cx);
        if poll.is_ready() {
            self.operation = None;
        }
        poll
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(operation) = mem::take(&mut self.operation)
            && let Some(runtime) = self.runtime.upgrade()
            && runtime.last_writes.is_closing.get()
        {
            runtime.last_writes.left.borrow_mut().push(operation);
        }
    }
}
