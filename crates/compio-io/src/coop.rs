//! Cooperative scheduling: a budget of operations that complete without waiting.
//!
//! A task whose operations never wait would keep its thread from timers, I/O and other tasks. So a
//! runtime sets a [`Budget`] each time it polls tasks. An operation that is ready at once takes one
//! unit of it. When the budget is empty, the operation wakes its task and returns
//! [`Poll::Pending`]: the runtime gets its turn, and the task continues with a new budget.
//! Operations that wait for the kernel or for another task cost nothing.
//!
//! Without a budget the number of operations is unlimited. So it is under executors that set none,
//! and for futures of other crates that never ask for one: see [`consume_budget`].

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll},
};

/// The units of a [`Budget::full`].
const FULL: u32 = 256;

const UNLIMITED: u32 = u32::MAX;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(UNLIMITED) };
}

/// Sets the budget of this thread for as long as it lives. Dropping it restores the earlier one.
#[derive(Debug)]
#[must_use = "the budget ends when this is dropped"]
pub struct Budget {
    earlier: u32,
}

impl Budget {
    /// A new budget of 256 units, for the polls between two looks of a runtime at the kernel.
    pub fn full() -> Self {
        Self::set(FULL)
    }

    /// Makes this budget a full one again.
    pub fn refill(&self) {
        LEFT.set(FULL);
    }

    /// No limit, for code that must not be interrupted.
    pub fn unlimited() -> Self {
        Self::set(UNLIMITED)
    }

    fn set(units: u32) -> Self {
        Self {
            earlier: LEFT.replace(units),
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        LEFT.set(self.earlier);
    }
}

/// Takes one unit for an operation that is ready. Pending if there is none: the task is woken, and
/// the operation must try again in its next poll.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let left = LEFT.get();
    if left == 0 {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    if left != UNLIMITED {
        LEFT.set(left - 1);
    }
    Poll::Ready(())
}

/// Whether [`poll_proceed`] would succeed.
#[inline]
pub fn has_budget_remaining() -> bool {
    LEFT.get() != 0
}

/// Takes one unit, and waits for a new budget if there is none.
///
/// # Cancellation
///
/// Has no effect.
pub async fn consume_budget() {
    poll_fn(poll_proceed).await;
}
