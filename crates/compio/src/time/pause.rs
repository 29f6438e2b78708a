//! Time that a test pauses and moves. The clock itself is in `runtime/timer_clock`.

use super::Duration;
use crate::runtime::{Advance, entered_for};

/// Pauses the time of the entered runtime.
///
/// From now on [`now`](super::now) stands still while a task is ready. When none is, the clock jumps to the next deadline:
/// a sleep of hours takes microseconds. [`advance`] moves the clock, and [`resume`] ends the pause.
/// [`RuntimeBuilder::start_paused`](crate::runtime::RuntimeBuilder::start_paused) and
/// `#[compio::test(start_paused)]` pause the time before the first task runs.
///
/// Only this runtime is affected. [`Instant::now`](super::Instant::now) continues to read the system's clock, as in every
/// program: a test takes its times from [`now`](super::now).
///
/// # Jumps
///
/// The clock jumps from deadline to deadline, exactly to each, and timers fire in the order of their deadlines. Between two
/// jumps, all woken tasks run until they wait. Before a jump the runtime takes the completions that the kernel has already.
/// Then operations in flight decide:
///
/// - Operations without a peer hold the clock until they are complete: blocking work, name resolution, operations on
///   files and paths, reads and writes of regular files, splices between ends that are ready, and cancelled operations. An open of a FIFO holds it, too, until
///   the other end is opened.
/// - Operations that may wait for a peer do not hold it: on sockets and pipes, waits for readiness, for children and for
///   signals. Otherwise a server that waits for its next connection would stop its own clock.
///
/// So two tasks of one runtime can talk over a loopback socket in paused time. A peer outside of the runtime has no
/// time to answer: a `timeout` around a read from another thread or process passes at once. [`resume`] the time for it, or
/// hold the clock by a [`spawn_blocking`](crate::task::spawn_blocking) that ends with the answer. Other waits for
/// another thread, as for a channel or a worker, do not hold the clock either.
///
/// A duration is added to the clock of the runtime in which the sleep, timeout or interval is made: make it inside of
/// `block_on` or a task, as `runtime.block_on(async { sleep(duration).await })`.
///
/// A sleep of more than 15 years, as [`Duration::MAX`], has no end, and the clock does not jump to it.
///
/// In an outer event loop the clock jumps in [`Runtime::poll`](crate::runtime::Runtime::poll) and
/// [`poll_with`](crate::runtime::Runtime::poll_with). Tasks of the outer executor do not hold it.
///
/// # Panics
///
/// If no runtime runs on this thread or has been entered, or if its time is paused already.
///
/// ```
/// use std::time::Duration;
///
/// use compio::time;
///
/// compio::task::block_on(async {
///     time::pause();
///     let begin = time::now();
///     time::sleep(Duration::from_secs(24 * 3600)).await;
///     assert_eq!(time::now() - begin, Duration::from_secs(24 * 3600));
///     time::resume();
/// });
/// ```
#[track_caller]
pub fn pause() {
    entered_for("`compio::time::pause`").pause_clock();
}

/// Ends the pause of the entered runtime's time, which continues from its present.
///
/// # Panics
///
/// If no runtime runs on this thread or has been entered, or if its time is not paused.
#[track_caller]
pub fn resume() {
    entered_for("`compio::time::resume`").resume_clock();
}

/// Moves the paused time forward by `duration`, counted from the first poll.
///
/// It first lets all ready tasks run until they wait. Then it moves the clock to each deadline on its way, one after the
/// other, and lets the woken tasks run in between. When it returns, all timers up to the new time have fired, also new
/// ones of these tasks, and no other task is ready. A duration of zero runs the ready tasks only.
///
/// It does not wait for blocking work, which may wait for the caller. It does wait for the other operations that hold
/// the clock: see [`pause`]. Without an end to the work of other tasks, as with a task that yields in a loop, it does not
/// return. Calls in several tasks overlap, as sleeps do: the clock moves to the latest of their ends.
///
/// # Differences from Tokio
///
/// Tokio's function makes one jump and returns before the woken tasks have run. A task that sleeps twice needs two calls
/// there, and sees the time of the end in both. Here `advance` is like a [`sleep`](super::sleep()) that blocking work does not
/// delay, and that also runs the tasks of the final moment.
///
/// # Cancellation
///
/// The clock stays where it is.
///
/// # Panics
///
/// If no runtime runs on this thread or has been entered; if its time is not paused; if the new time has no
/// representation, as after 500 years; if a task calls [`resume`] before the end; or if the runtime is dropped or does not
/// run, while a task of another one waits for the advance.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{task::spawn, time};
///
/// compio::task::block_on(async {
///     time::pause();
///     let task = spawn(async {
///         for _ in 0..2 {
///             time::sleep(Duration::from_secs(1)).await;
///         }
///     });
///     time::advance(Duration::from_millis(1999)).await;
///     assert!(!task.is_finished());
///     time::advance(Duration::from_millis(1)).await;
///     assert!(task.is_finished());
/// });
/// ```
pub async fn advance(duration: Duration) {
    let runtime = entered_for("`compio::time::advance`");
    Advance::new(runtime, duration).await;
}
