//! The single-threaded task executor of compio. It knows tasks, and no kernel: it neither waits nor does
//! I/O. Whoever owns it does that between two [ticks](Executor::tick).
//!
//! - [`Executor`] runs tasks on the thread that made it. They need not be `Send`.
//! - [`JoinHandle`] waits for a task's end; [`JoinError`] says why there was no output.
//! - [`MainWaker`] is for the loop's own future, which is no task. Its example is a whole `block_on`.
//! - [`yield_now()`] lets other tasks go first.
//!
//! What threads have to do with it: only wakers cross them. A future and its output are polled, taken and
//! dropped at home, on the executor's thread, whatever happens to wakers elsewhere, and however long they
//! outlive the executor. A wake at home is a plain push on a queue. A wake from elsewhere is a push on an
//! inbox without locks, which never blocks nor allocates, and calls `unpark` if the inbox was empty.
//!
//! # Code map
//!
//! ```text
//! executor.rs, join.rs, join_error.rs, main_waker.rs, yield_now.rs   what users see
//! core.rs      a task's way from its turn to its end
//! task/        the task itself: states and memory rules (mod.rs), header, typed part, waker
//! queues.rs    ready queue and list of live tasks, for the home thread
//! inbox.rs     what other threads push to
//! count.rs     references, counted without atomics at home
//! thread.rs    which thread is home;  panics.rs: destructors that panic;  sync.rs: std or loom
//! ```

mod core;
mod count;
mod executor;
mod inbox;
mod join;
mod join_error;
mod main_waker;
mod panics;
mod queues;
mod sync;
mod task;
mod thread;
mod yield_now;

pub use self::{
    executor::{Executor, Tick},
    join::JoinHandle,
    join_error::JoinError,
    main_waker::MainWaker,
    thread::set_occupied,
    yield_now::{YieldNow, yield_now},
};

#[cfg(all(test, loom))]
mod model;
