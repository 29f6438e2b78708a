//! A task: one heap allocation that holds header, future and, later, the output.
//!
//! - [`header`]: the untyped part of a task, and the transitions of its state
//! - [`typed`]: the part that depends on the future's type, behind a vtable
//! - [`waker`]: the `Waker` that points to a task
//!
//! Callers: [`scheduler`](crate::scheduler) runs and ends tasks, [`join`](crate::join) takes their output.
//!
//! # States
//!
//! ```text
//!         spawn                                   Flags beside the state:
//!           |
//!           v       1            2                SCHEDULED  Ready; or Running, and to go back there
//!        Waiting ------> Ready ------> Running    ABORTED    the future is to be dropped, not polled
//!           ^              ^            | | |     EXECUTOR   the executor has not let go of it
//!           |              +---- 3a ----+ | |     HANDLE     a `JoinHandle` exists
//!           +------------------- 3b ------+ |     OUTPUT     an output waits to be taken
//!                                           4
//!                                           v
//!                                       Complete -- 5 --> freed
//! ```
//!
//! 1. wake or abort: push on the ready queue; spawning does so at once
//! 2. the executor pops it
//! 3. poll returned `Pending`; 3a if it was woken during the poll, 3b if not
//! 4. poll returned `Ready` or panicked; or the task was aborted, and the future is dropped instead
//!    of polled, or directly after the `Pending` if it was aborted while being polled. Clearing the
//!    executor takes Waiting and Ready tasks this way, too
//! 5. the executor, the handles, every waker and every inbox entry have released it
//!
//! Independent of the state, and set by any thread: `queued` means that the task is in the inbox. A
//! task may be in the inbox in any state.
//!
//! # Memory rules
//!
//! Every `SAFETY:` comment of this crate cites one.
//!
//! - **M1 home.** State, home's part of the reference count, links of the ready queue and of the list
//!   of live tasks, the join waker and the stage (future or output) are touched on the home thread only.
//!   `Executor` and `JoinHandle` are `!Send`; a waker checks `home` first. The answer "not at home" is
//!   always safe.
//! - **M2 life.** The memory lives while EXECUTOR or HANDLE is set, and while there is a reference: each
//!   waker, abort handle and inbox entry holds one. A waker that is lent to a poll holds none: EXECUTOR stays set
//!   until the poll is over. References are [counted](crate::biased_count) in two parts, without atomics at
//!   home; the home thread leaves the count with the second of the two bits.
//! - **M3 future.** The stage holds the future until Complete, and EXECUTOR is set until then. The
//!   future is polled and dropped only in Running, so never from within itself, and dropped at home.
//! - **M4 output.** The stage holds an output exactly while OUTPUT is set. The code that clears
//!   OUTPUT takes or drops it.
//! - **M5 scheduler.** `scheduler` may be dereferenced at home while the task is not Complete (the executor ends
//!   all tasks before it goes, or leaves the scheduler behind), and anywhere by the holder of a waker: the
//!   first waker cloned leases the scheduler until the task is freed; and that first clone comes from a
//!   waker lent to a poll, during which the executor lives. The first abort handle of a task that has not
//!   ended leases it, too. [`TaskMetrics`](crate::TaskMetrics) own a reference, and read only the counters.
//! - **M6 inbox link.** The thread that turns `queued` from false to true owns `inbox_next`, and passes
//!   it on with the entry. The home thread turns `queued` back after it has read the link.
//! - **M7 ready queue.** Members are SCHEDULED, each is there once, and none is Running or Complete.
//!   So an entry needs no reference: EXECUTOR is set (M2, M3).
//!   The `link` of a member is its successor. Otherwise `link` is the time of the last poll: it becomes a time when the
//!   task is popped and polled, and a successor when it is pushed. Tasks that leave the queue unpolled keep SCHEDULED or
//!   end: records read it of live tasks (M8) that are Running or not SCHEDULED.
//! - **M8 live tasks.** The list holds every task that is not Complete, except one whose future is
//!   just being dropped unpolled.
//! - **M9 requests.** Any holder of a reference may set `abort_requested` before it turns `queued` to true, which
//!   publishes the request. The home thread reads it after it has turned `queued` back, and sets ABORTED.
//!   It sets `finished` at the end of the task.
//!
//! If the last reference is released on a foreign thread, only memory is freed there, and the name with it: the
//! home thread has left. So by M3 the future is gone, by M4 (the handle drops an untaken output) the output, and with the
//! handle or at completion the join waker.

pub(crate) mod header;
pub(crate) mod typed;
pub(crate) mod waker;

pub(crate) use header::{Header, TaskPtr};
