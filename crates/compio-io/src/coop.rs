//! Cooperative scheduling: a budget of operations that complete without waiting.
//!
//! A task whose operations never wait would keep its thread from timers, I/O and other tasks. So a
//! runtime sets a [`Budget`] for each poll of a task. An operation that is ready at once takes one
//! unit of it. When the budget is empty, the operation wakes its task and returns
//! [`Poll::Pending`]: the runtime gets its turn, and the task continues with a new budget.
//! Operations that wait for the kernel or for another task cost nothing.
//!
//! A loop that polls again within the same poll of its task gets no new budget, such as the
//! `block_on` of another crate inside a task. After 1,024 refusals operations proceed.
//!
//! Without a budget the number of operations is unlimited. This is so under executors that set none,
//! and for futures of other crates that never ask for one: see [`consume_budget`].

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll},
};

/// The units of a [`Budget::full`].
const FULL: i32 = 256;

/// The number of refusals after which operations proceed.
const REFUSALS_MAX: i32 = 1024;

const UNLIMITED: i32 = i32::MAX;

thread_local! {
    /// The units that are left. Below zero, it counts refusals.
    static LEFT: Cell<i32> = const { Cell::new(UNLIMITED) };
}

/// Sets the budget of this thread for as long as it lives. Dropping it restores the earlier one.
#[derive(Debug)]
#[must_use = "the budget ends when this is dropped"]
pub struct Budget {
    earlier: i32,
}

impl Budget {
    /// A new budget of 256 units, for one poll of a task.
    #[inline]
    pub fn full() -> Self {
        Self::set(FULL)
    }

    /// No limit, for code that must not be interrupted.
    #[inline]
    pub fn unlimited() -> Self {
        Self::set(UNLIMITED)
    }

    #[inline]
    fn set(units: i32) -> Self {
        Self {
            earlier: LEFT.replace(units),
        }
    }
}

impl Drop for Budget {
    #[inline]
    fn drop(&mut self) {
        LEFT.set(self.earlier);
    }
}

/// Fills the budget of this thread, for the next poll of a task.
///
/// For an executor that holds a [`Budget`] around the polls of many tasks. It costs one store, where a
/// budget of its own for each poll costs eight instructions.
#[inline]
pub fn refill() {
    LEFT.set(FULL);
}

/// Takes one unit for an operation that is ready. Pending if there is none: the task is woken, and
/// the operation must try again in its next poll.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let left = LEFT.get();
    if left > 0 {
        if left != UNLIMITED {
            LEFT.set(left - 1);
        }
        return Poll::Ready(());
    }
    refuse(left, cx)
}

#[cold]
fn refuse(left: i32, cx: &mut Context<'_>) -> Poll<()> {
    if left <= -REFUSALS_MAX {
        return Poll::Ready(());
    }
    LEFT.set(left - 1);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Whether [`poll_proceed`] would succeed.
#[inline]
pub fn has_budget_remaining() -> bool {
    let left = LEFT.get();
    left > 0 || left <= -REFUSALS_MAX
}

/// Takes one unit, and waits for a new budget if there is none.
///
/// # Cancellation
///
/// Has no effect.
pub async fn consume_budget() {
    poll_fn(poll_proceed).await;
}
