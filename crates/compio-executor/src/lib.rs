//! The single-threaded task executor of compio. It runs tasks and knows no kernel: it neither waits nor
//! does I/O. Its owner does both between two [ticks](Executor::tick).
//!
//! - [`Executor`] runs tasks on the thread that made it. They need not be `Send`.
//! - [`JoinHandle`] waits for the end of a task; [`JoinError`] is the reason for a missing output.
//!   [`AbortOnDropHandle`] also aborts the task when it is dropped.
//! - [`MainWaker`] is for the loop's own future, which is no task. Its example is a whole `block_on`.
//! - [`yield_now()`] lets other tasks run first.
//!
//! Only wakers cross threads. A future and its output are polled, taken and dropped on the executor's
//! thread, the *home thread*, even if wakers on other threads outlive the executor. A local wake is a
//! plain push to a queue. A remote wake is a push to a lock-free inbox. It never blocks nor allocates, and
//! wakes `unpark` if the inbox was empty.
//!
//! # Code map
//!
//! ```text
//! executor.rs, join.rs, join_error.rs, abort_on_drop.rs, main_waker.rs, yield_now.rs   the public types
//! scheduler.rs      running a task, cancelling it, and its completion
//! task/             the task itself: states and memory rules (mod.rs), header, typed part, waker
//! queues.rs         ready queue and list of live tasks, for the home thread
//! inbox.rs          remote wakes
//! biased_count.rs   reference count without atomics on the home thread
//! thread_id.rs      ids of threads
//! panics.rs         containing panics of destructors
//! sync.rs           std's or loom's primitives
//! ```

mod abort_on_drop;
mod biased_count;
mod executor;
mod inbox;
mod join;
mod join_error;
mod main_waker;
mod panics;
mod queues;
mod scheduler;
mod sync;
mod task;
mod thread_id;
mod yield_now;

pub use self::{
    abort_on_drop::AbortOnDropHandle,
    executor::{Executor, Tick},
    join::JoinHandle,
    join_error::JoinError,
    main_waker::MainWaker,
    thread_id::set_occupied,
    yield_now::{YieldNow, yield_now},
};

#[cfg(all(test, loom))]
mod loom_tests;
