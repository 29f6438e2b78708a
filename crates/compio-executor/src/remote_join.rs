//! Tasks that are spawned and awaited from other threads: the result goes through a cell with a lock.
//!
//! The task is built, polled and dropped on its home thread. Only its output crosses threads.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use crate::{
    abort_handle::{AbortHandle, RemoteTask},
    executor::Executor,
    injector::Job,
    join_error::{Failure, JoinError},
    meta::{TaskId, TaskMeta},
    panics::{caught, drop_caught},
    sync::Mutex,
    task::typed::report,
};

/// Waits for the end of a task, on any thread, and yields its output.
///
/// Made by handles of an executor that are for other threads. As with [`JoinHandle`](crate::JoinHandle), a drop
/// detaches the task, which continues.
///
/// # Cancellation
///
/// Awaiting `&mut handle` and dropping that future loses nothing. After it has yielded the output,
/// another poll panics.
pub struct SendJoinHandle<T> {
    packet: Arc<Packet<T>>,
}

/// The state that a handle and its task share.
struct Packet<T> {
    meta: TaskMeta,
    state: Mutex<State<T>>,
}

struct State<T> {
    progress: Progress<T>,
    waker: Option<Waker>,
    is_detached: bool,
}

enum Progress<T> {
    /// The job has not reached the home thread.
    Queued {
        is_aborted: bool,
    },
    Started(AbortHandle),
    Finished(Result<T, Failure>),
    /// The handle has yielded the output.
    Taken,
}

impl<T: Send + 'static> SendJoinHandle<T> {
    /// A handle, and the job that spawns its task.
    pub(crate) fn new<M, F>(meta: TaskMeta, make: M) -> (Self, Box<dyn Job>)
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let packet = Arc::new(Packet {
            meta,
            state: Mutex::new(State {
                progress: Progress::Queued { is_aborted: false },
                waker: None,
                is_detached: false,
            }),
        });
        let job = SpawnJob {
            make,
            promise: Promise(Some(packet.clone())),
        };
        (Self { packet }, Box::new(job))
    }

    /// Requests the end of the task, as [`JoinHandle::abort`](crate::JoinHandle::abort).
    pub fn abort(&self) {
        self.packet.abort();
    }

    /// A handle that aborts the task, and does not wait for it.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::of_remote(self.packet.clone())
    }
}

impl<T> SendJoinHandle<T> {
    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.packet.meta.id()
    }

    /// The number, name, and place of the spawn of the task.
    #[must_use]
    pub fn meta(&self) -> TaskMeta {
        self.packet.meta.clone()
    }

    /// Whether the task has ended, by completion, panic or cancellation.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.packet.has_ended()
    }

    /// Drops the handle. The task continues, and its output is dropped at its end.
    pub fn detach(self) {}
}

/// Spawns the task on its home thread.
struct SpawnJob<M, T> {
    // Dropped in this order: the closure is gone when the handle is ready.
    make: M,
    promise: Promise<T>,
}

impl<M, F> Job for SpawnJob<M, F::Output>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send,
{
    fn run(self: Box<Self>, executor: &Executor) {
        let Some(packet) = self.promise.0.clone() else {
            return;
        };
        if packet.is_aborted() {
            return;
        }
        let Self { make, promise } = *self;
        let delivery = Delivery {
            future: Some(async move { make().await }),
            promise: Some(promise),
        };
        let task = executor.spawn_as(packet.meta.clone(), delivery);
        packet.start(task.abort_handle());
    }
}

impl<T> Packet<T> {
    /// Runs no user code under the lock.
    fn with_state<R>(&self, code: impl FnOnce(&mut State<T>) -> R) -> R {
        code(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_ended(&self) -> bool {
        self.with_state(|state| matches!(state.progress, Progress::Finished(_) | Progress::Taken))
    }

    fn is_aborted(&self) -> bool {
        self.with_state(|state| matches!(state.progress, Progress::Queued { is_aborted: true }))
    }

    /// The task exists now. It may have been aborted in the meantime.
    fn start(&self, task: AbortHandle) {
        let aborted = self.with_state(|state| match state.progress {
            Progress::Queued { is_aborted } => {
                state.progress = Progress::Started(task.clone());
                is_aborted
            }
            // The executor is clearing its tasks, and has cancelled it.
            Progress::Started(_) | Progress::Finished(_) | Progress::Taken => false,
        });
        if aborted {
            task.abort();
        }
    }

    fn request_abort(&self) {
        let task = self.with_state(|state| match &mut state.progress {
            Progress::Queued { is_aborted } => {
                *is_aborted = true;
                None
            }
            Progress::Started(task) => Some(task.clone()),
            Progress::Finished(_) | Progress::Taken => None,
        });
        if let Some(task) = task {
            task.abort();
        }
    }

    fn finish(&self, output: Result<T, Failure>) {
        let (unwanted, waker) = self.with_state(|state| {
            let new = if state.is_detached {
                (Progress::Taken, Some(output))
            } else {
                (Progress::Finished(output), None)
            };
            let before = mem::replace(&mut state.progress, new.0);
            ((before, new.1), state.waker.take())
        });
        drop_caught(unwanted);
        if let Some(waker) = waker {
            caught(|| waker.wake());
        }
    }
}

impl<T: Send> RemoteTask for Packet<T> {
    fn abort(&self) {
        self.request_abort();
    }

    fn is_finished(&self) -> bool {
        self.has_ended()
    }

    fn id(&self) -> TaskId {
        self.meta.id()
    }
}

impl<T> Future for SendJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before, and dropped after the lock is held: both run user code.
        let waker = cx.waker().clone();
        let (polled, _old) = self.packet.with_state(|state| {
            if !matches!(state.progress, Progress::Finished(_) | Progress::Taken) {
                return (None, state.waker.replace(waker));
            }
            match mem::replace(&mut state.progress, Progress::Taken) {
                Progress::Finished(output) => (Some(Some(output)), Some(waker)),
                Progress::Queued { .. } | Progress::Started(_) | Progress::Taken => {
                    (Some(None), Some(waker))
                }
            }
        });
        match polled {
            None => Poll::Pending,
            Some(Some(output)) => Poll::Ready(
                output.map_err(|failure| JoinError::new(failure, self.packet.meta.clone())),
            ),
            Some(None) => panic!("a `SendJoinHandle` was polled after it was ready"),
        }
    }
}

impl<T> Drop for SendJoinHandle<T> {
    fn drop(&mut self) {
        let untaken = self.packet.with_state(|state| {
            state.is_detached = true;
            let output = match state.progress {
                Progress::Finished(_) => Some(mem::replace(&mut state.progress, Progress::Taken)),
                Progress::Queued { .. } | Progress::Started(_) | Progress::Taken => None,
            };
            (output, state.waker.take())
        });
        drop_caught(untaken);
    }
}

impl<T> fmt::Debug for SendJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendJoinHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// The duty to finish a packet. Its drop reports that the task was cancelled.
struct Promise<T>(Option<Arc<Packet<T>>>);

impl<T> Promise<T> {
    fn keep(mut self, output: Result<T, Failure>) {
        if let Some(packet) = self.0.take() {
            packet.finish(output);
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(packet) = self.0.take() {
            packet.finish(Err(Failure::Cancelled));
        }
    }
}

pin_project! {
    /// The future of the task at home, which finishes the packet after its own future is gone.
    struct Delivery<F: Future> {
        #[pin]
        future: Option<F>,
        promise: Option<Promise<F::Output>>,
    }

    impl<F: Future> PinnedDrop for Delivery<F> {
        fn drop(this: Pin<&mut Self>) {
            // Only if the task was cancelled.
            this.finish(Err(Failure::Cancelled));
        }
    }
}

impl<F: Future> Delivery<F> {
    /// Drops the future, and then delivers the output. If the destructor panics, this panic is the
    /// output, unless the poll had panicked before.
    fn finish(self: Pin<&mut Self>, mut output: Result<F::Output, Failure>) {
        let mut this = self.project();
        let Some(promise) = this.promise.take() else {
            return;
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        if let Err(payload) = dropped {
            output = report(output, payload);
        }
        promise.keep(output);
    }
}

impl<F: Future> Future for Delivery<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = self.as_mut().project().future.as_pin_mut() else {
            return Poll::Ready(());
        };
        let output = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(Failure::Panic(payload)),
        };
        self.finish(output);
        Poll::Ready(())
    }
}
