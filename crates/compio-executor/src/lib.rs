//! The single-threaded task executor of compio. It runs tasks and knows no kernel: it neither waits nor
//! does I/O. Its owner does both between two [ticks](Executor::tick).
//!
//! - [`Executor`] runs tasks on the thread that made it. They need not be `Send`.
//! - [`JoinHandle`] waits for the end of a task; [`JoinError`] is the reason for a missing output.
//!   [`AbortOnDropHandle`] also aborts the task when it is dropped.
//! - [`MainWaker`] is for the loop's own future, which is no task. Its example is a whole `block_on`.
//! - [`Spawner`] spawns tasks from other threads; [`SendJoinHandle`] waits for one there. [`AbortHandle`]
//!   aborts a task from any thread.
//! - [`SendWrapper`] makes a value `Send`, checks the thread of each use, and drops it at home.
//! - [`yield_now()`] lets other tasks run first.
//!
//! Only wakers, abort handles, closures that make a future, and wrapped values cross threads. A future and its output are
//! polled, taken and dropped on the executor's thread, the *home thread*, even if wakers on other threads
//! outlive the executor. A local wake is a plain push to a queue. A remote wake is a push to a lock-free
//! inbox. It never blocks nor allocates, and wakes `unpark` if the inbox was empty.
//!
//! # Code map
//!
//! ```text
//! executor.rs, join.rs, join_error.rs, abort_handle.rs, abort_on_drop.rs, main_waker.rs, spawner.rs,
//! yield_now.rs      the public types
//! metrics.rs        counters for all threads, and records of tasks
//! meta.rs           number, name, and place of the spawn of a task
//! send_wrapper.rs   values that other threads may hold and drop
//! remote_join.rs    handle and result of a task that another thread has spawned
//! scheduler.rs      running a task, cancelling it, and its completion
//! task/             the task itself: states and memory rules (mod.rs), header, typed part, waker
//! task_log.rs       facts about tasks that have no room in their headers
//! queues.rs         ready queue and list of live tasks, for the home thread
//! inbox.rs          remote wakes
//! injector.rs       remote spawns
//! biased_count.rs   reference count without atomics on the home thread
//! thread_id.rs      ids of threads
//! panics.rs         containing panics of destructors
//! sync.rs           std's or loom's primitives
//! ```

mod abort_handle;
mod abort_on_drop;
mod biased_count;
mod executor;
mod inbox;
mod injector;
mod join;
mod join_error;
mod main_waker;
mod meta;
mod metrics;
mod panics;
mod queues;
mod remote_join;
mod scheduler;
mod send_wrapper;
mod spawner;
mod sync;
mod task;
mod task_log;
mod thread_id;
mod yield_now;

pub use self::{
    abort_handle::AbortHandle,
    abort_on_drop::AbortOnDropHandle,
    executor::{Executor, Tick},
    join::JoinHandle,
    join_error::JoinError,
    main_waker::MainWaker,
    meta::{TaskId, TaskMeta},
    metrics::{TaskMetrics, TaskRecord, TaskState},
    remote_join::SendJoinHandle,
    send_wrapper::SendWrapper,
    spawner::Spawner,
    thread_id::set_occupied,
    yield_now::{YieldNow, yield_now},
};

#[cfg(all(test, loom))]
mod loom_tests;
