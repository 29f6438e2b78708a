//! The number of task polls between two turns.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

use compio_driver::os_calls::clock;

use super::POLLS_PER_TURN;
use crate::runtime::Runtime;

#[derive(Default)]
struct Fired(AtomicBool);

impl Wake for Fired {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn jobs_that_arrive_before_each_wait_delay_no_timer() {
    let runtime = Runtime::new().unwrap();
    let (inner, handle) = (runtime.inner(), runtime.handle());
    let fired = Arc::new(Fired::default());
    let now = clock::now();
    // Due already: it fires in the first turn.
    inner.set_timer(now, now, Waker::from(Arc::clone(&fired)));
    let mut jobs = 0;
    inner.run_while(|work| {
        if fired.0.load(Relaxed) || jobs > 100 * POLLS_PER_TURN {
            return ControlFlow::Break(());
        }
        if !work.has_ready {
            // As another thread that is always a little faster than the wait of the loop.
            jobs += 1;
            drop(handle.spawn(async {}));
        }
        ControlFlow::Continue(None)
    });
    assert!(jobs <= POLLS_PER_TURN + 1, "{jobs} jobs before the timer");
}
