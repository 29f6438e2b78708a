//! The end of a process without an exit event: one thread waits for all children.
//!
//! Linux has pidfd_open(2) since 5.3, and a seccomp filter can refuse it. The thread pool is no
//! place for such a wait, which can take as long as the process lives: other blocking work would
//! find no thread.

use std::{
    future::Future,
    io, mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use compio_driver::{PerProcess, start_thread};
use rustix::{
    io::{Errno, retry_on_intr},
    process::{Pid, WaitId, WaitIdOptions, waitid},
};
use slab::Slab;

use super::process::sweep;

/// Waits for the end of a child, and leaves its status to wait(2). A drop cancels the wait.
///
/// # Errors
///
/// ECHILD if the status of the child has been taken. It is reported when the next child ends, or no
/// child is left. EAGAIN if the thread cannot be started.
pub(super) fn ended(pid: Pid) -> impl Future<Output = io::Result<()>> + Unpin {
    Ended { pid, place: None }
}

/// See [`ended`].
struct Ended {
    pid: Pid,
    /// The key in [`State::waiting`], for the generation in which it was given.
    place: Option<(usize, u64)>,
}

/// The thread and the tasks that it wakes.
#[derive(Default)]
struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Slab<Waiting>,
    /// Distinguishes two tasks that get one key, one after the other.
    generation: u64,
    has_thread: bool,
}

struct Waiting {
    pid: Pid,
    generation: u64,
    waker: Waker,
}

static WATCH: PerProcess<Watch> = PerProcess::new();

/// The pauses of the thread while a zombie is left that no task waits for.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

fn watch() -> &'static Watch {
    WATCH.get_or_make(Watch::default)
}

/// Whether the status of the child can be taken.
fn has_ended(pid: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let status = retry_on_intr(|| waitid(WaitId::Pid(pid), options))?;
    Ok(status.is_some())
}

impl Future for Ended {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watch = watch();
        // Register first, then check the child: an end between the two wakes the task.
        watch.place(&mut self, cx.waker())?;
        match has_ended(self.pid) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let (Some(place), Some(watch)) = (self.place, WATCH.get()) {
            watch.remove(place);
        }
    }
}

impl Watch {
    /// The state is valid at each point where a panic can occur.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the task woken when the child ends. No foreign waker is cloned or dropped under the lock.
    fn place(&'static self, ended: &mut Ended, waker: &Waker) -> io::Result<()> {
        let mut waker = waker.clone();
        let mut state = self.lock();
        let known = ended.place.and_then(|place| state.get_mut(place));
        if let Some(known) = known {
            mem::swap(&mut known.waker, &mut waker);
            drop(state);
            return Ok(());
        }
        if !state.has_thread {
            start_thread("compio-children", || self.run())?;
            state.has_thread = true;
        }
        state.generation += 1;
        let generation = state.generation;
        let key = state.waiting.insert(Waiting {
            pid: ended.pid,
            generation,
            waker,
        });
        ended.place = Some((key, generation));
        Ok(())
    }

    fn remove(&self, place: (usize, u64)) {
        let mut state = self.lock();
        let removed = state
            .get_mut(place)
            .is_some()
            .then(|| state.waiting.remove(place.0));
        drop(state);
        drop(removed);
    }

    /// The thread: ends when no task waits.
    fn run(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            // Any child: waitid(2) takes no list of them. The status stays. ECHILD: no child is left,
            // which the tasks report.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let waited = retry_on_intr(|| waitid(WaitId::All, options));
            debug_assert!(matches!(waited, Ok(_) | Err(Errno::CHILD)), "{waited:?}");
            let Some(woken) = self.take_ended() else {
                return;
            };
            if !woken.is_empty() {
                pause = FIRST_PAUSE;
                woken.into_iter().for_each(Waker::wake);
                continue;
            }
            // The zombie belongs to a dropped `Child`, to a task that has not taken the status yet,
            // or to other code. As long as it is there, waitid(2) does not block.
            sweep();
            thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Removes the tasks whose child has ended. `None` if no task waits: the thread ends.
    fn take_ended(&self) -> Option<Vec<Waker>> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            state.has_thread = false;
            return None;
        }
        let has_ended = |waiting: &Waiting| !matches!(has_ended(waiting.pid), Ok(false));
        let keys: Vec<_> = state
            .waiting
            .iter()
            .filter_map(|(key, waiting)| has_ended(waiting).then_some(key))
            .collect();
        let ended = keys.into_iter().map(|key| state.waiting.remove(key).waker);
        Some(ended.collect())
    }
}

impl State {
    fn get_mut(&mut self, (key, generation): (usize, u64)) -> Option<&mut Waiting> {
        let waiting = self.waiting.get_mut(key)?;
        (waiting.generation == generation).then_some(waiting)
    }
}
