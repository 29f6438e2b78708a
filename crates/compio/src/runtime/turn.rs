//! The loop: run what is ready, submit, wait, land what has come, wake.

use std::{
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{Inner, current::Entered};

/// How many tasks have their turn before the kernel is looked at again.
const TASKS_PER_TURN: usize = 64;

impl Inner {
    pub(crate) fn block_on<F: Future>(self: &Rc<Self>, future: F) -> F::Output {
        let _running = self.start();
        let _entered = Entered::new(self);
        let mut future = pin!(future);
        let mut context = Context::from_waker(self.main.waker());
        // The flag may be left from a future before this one: the first poll is due in any case.
        let mut due = true;
        loop {
            if self.main.take_woken() || due {
                due = false;
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
            }
            self.executor.tick(TASKS_PER_TURN);
            let idle = !self.main.is_woken() && !self.executor.has_ready();
            let timeout = if idle {
                self.time_to_next_timer()
            } else {
                Some(Duration::ZERO)
            };
            if let Err(error) = self.poll(timeout) {
                panic!("the kernel refuses to wait: {error}");
            }
        }
    }

    pub(super) fn run(self: &Rc<Self>) -> bool {
        let _running = self.start();
        let _entered = Entered::new(self);
        self.executor.tick(TASKS_PER_TURN).has_ready
    }

    pub(super) fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.driver.turn(timeout)?;
        self.expire_timers();
        Ok(())
    }

    pub(super) fn current_timeout(&self) -> Option<Duration> {
        if self.executor.has_ready() || !self.driver.prepare_to_sleep() {
            return Some(Duration::ZERO);
        }
        self.time_to_next_timer()
    }

    pub(super) fn shut_down(self: &Rc<Self>) {
        // Destructors of tasks find their own runtime, not a new one.
        let entered = Entered::new(self);
        self.executor.clear();
        drop(entered);
        let wakers = self.timers.borrow_mut().clear();
        drop(wakers);
        self.driver.shut_down();
    }

    fn time_to_next_timer(&self) -> Option<Duration> {
        let deadline = self.timers.borrow_mut().next()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    fn expire_timers(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = Instant::now();
        let mut due: Vec<Waker> = self.timers.borrow_mut().take_due(now);
        for waker in due.drain(..) {
            waker.wake();
        }
        self.timers.borrow_mut().give_back(due);
    }

    fn start(&self) -> Running<'_> {
        assert!(
            !self.running.replace(true),
            "a runtime cannot run inside itself: await instead of blocking"
        );
        Running(self)
    }
}

/// While this lives, the loop runs.
struct Running<'a>(&'a Inner);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
    }
}
