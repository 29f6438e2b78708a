//! Channels, locks, semaphores and cancellation of other crates, between compio tasks. None needs a runtime
//! of its own, and the wakers work from any thread.
//!
//! Each pair of tasks runs twice: both on one core, and on two workers of a `Dispatcher`.
//!
//! ```console
//! $ cargo run --release --example sync
//! 12 pairs of tasks, on one core and between cores
//! ```

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use compio::{
    cores::Dispatcher,
    task::{spawn, yield_now},
    time::timeout,
};
use futures_channel::{mpsc as futures_mpsc, oneshot as futures_oneshot};
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of messages, more than any channel here has room for.
const COUNT: usize = 100;

const SUM: usize = COUNT * (COUNT - 1) / 2;

struct Pairs {
    workers: Dispatcher,
    count: usize,
}

impl Pairs {
    /// Runs two tasks on this core, and two more on two workers.
    async fn run<A, B, FA, FB>(&mut self, pair: impl Fn() -> (A, B))
    where
        A: FnOnce() -> FA + Send + 'static,
        B: FnOnce() -> FB + Send + 'static,
        FA: Future<Output = ()> + 'static,
        FB: Future<Output = ()> + 'static,
    {
        let (one, other) = pair();
        let tasks = (spawn(one()), spawn(other()));
        tasks.0.await.expect("no panic");
        tasks.1.await.expect("no panic");
        let (one, other) = pair();
        let one = self.workers.dispatch_to(0, one);
        let other = self.workers.dispatch_to(1, other);
        one.await.expect("no panic");
        other.await.expect("no panic");
        self.count += 1;
    }
}

async fn tokio_channels(pairs: &mut Pairs) {
    let oneshot = || {
        let (sender, receiver) = oneshot::channel();
        (
            || async { sender.send(42).expect("a receiver") },
            || async { assert_eq!(receiver.await, Ok(42)) },
        )
    };
    pairs.run(oneshot).await;
    let mpsc = || {
        let (sender, mut receiver) = mpsc::channel(4);
        let send = move || async move {
            for number in 0..COUNT {
                sender.send(number).await.expect("a receiver");
            }
        };
        let receive = move || async move {
            let mut sum = 0;
            while let Some(number) = receiver.recv().await {
                sum += number;
            }
            assert_eq!(sum, SUM);
        };
        (send, receive)
    };
    pairs.run(mpsc).await;
    let broadcast = || {
        let (sender, mut receiver) = broadcast::channel(COUNT);
        let mut second = sender.subscribe();
        let send = move || async move {
            for number in 0..COUNT {
                sender.send(number).expect("a receiver");
            }
        };
        let receive = move || async move {
            for number in 0..COUNT {
                assert_eq!(receiver.recv().await, Ok(number));
                assert_eq!(second.recv().await, Ok(number));
            }
        };
        (send, receive)
    };
    pairs.run(broadcast).await;
    let watch = || {
        let (sender, mut receiver) = watch::channel(0);
        let send = move || async move {
            for number in 1..=COUNT {
                sender.send(number).expect("a receiver");
                yield_now().await;
            }
            // Until the receiver has seen the last value.
            sender.closed().await;
        };
        let receive = move || async move {
            let last = receiver.wait_for(|number| *number == COUNT).await;
            assert_eq!(*last.expect("a sender"), COUNT);
        };
        (send, receive)
    };
    pairs.run(watch).await;
}

async fn tokio_locks(pairs: &mut Pairs) {
    let notify = || {
        let ping = Arc::new((Notify::new(), Notify::new()));
        let pong = Arc::clone(&ping);
        let one = move || async move {
            for _ in 0..COUNT {
                ping.0.notify_one();
                ping.1.notified().await;
            }
        };
        let other = move || async move {
            for _ in 0..COUNT {
                pong.0.notified().await;
                pong.1.notify_one();
            }
        };
        (one, other)
    };
    pairs.run(notify).await;
    let semaphore = || {
        let state = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
        let user = |state: Arc<(Semaphore, AtomicUsize)>| {
            move || async move {
                for _ in 0..COUNT {
                    let _permit = state.0.acquire().await.expect("it is not closed");
                    assert_eq!(state.1.fetch_add(1, SeqCst), 0, "one permit, two users");
                    yield_now().await;
                    state.1.fetch_sub(1, SeqCst);
                }
            }
        };
        (user(Arc::clone(&state)), user(state))
    };
    pairs.run(semaphore).await;
    let mutex = || {
        let number = Arc::new(Mutex::new(0));
        let user = |number: Arc<Mutex<usize>>| {
            move || async move {
                for _ in 0..COUNT {
                    let mut number = number.lock().await;
                    let before = *number;
                    // A lock of std must not be held here.
                    yield_now().await;
                    *number = before + 1;
                }
                while *number.lock().await < 2 * COUNT {
                    yield_now().await;
                }
            }
        };
        (user(Arc::clone(&number)), user(number))
    };
    pairs.run(mutex).await;
}

async fn cancellation(pairs: &mut Pairs) {
    let token = || {
        let (root, started) = (CancellationToken::new(), Arc::new(Notify::new()));
        let (child, start) = (root.child_token(), Arc::clone(&started));
        let cancel = move || async move {
            started.notified().await;
            root.cancel();
        };
        let work = move || async move {
            start.notify_one();
            // The future of the operations is dropped at the cancel.
            let work = std::future::pending::<()>();
            assert_eq!(child.run_until_cancelled(work).await, None);
        };
        (cancel, work)
    };
    pairs.run(token).await;
    let tracker = || {
        let (tracker, done) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
        let (tracked, count) = (tracker.clone(), Arc::clone(&done));
        let work = move || async move {
            for _ in 0..COUNT {
                let count = Arc::clone(&count);
                // `TaskTracker::spawn` would need tokio's runtime.
                drop(spawn(tracked.track_future(async move {
                    yield_now().await;
                    count.fetch_add(1, SeqCst);
                })));
            }
            tracked.close();
        };
        let wait = move || async move {
            tracker.wait().await;
            assert_eq!(done.load(SeqCst), COUNT);
        };
        (work, wait)
    };
    pairs.run(tracker).await;
}

async fn other_channels(pairs: &mut Pairs) {
    let async_channel = || {
        let (sender, receiver) = async_channel::bounded(4);
        let send = move || async move {
            for number in 0..COUNT {
                sender.send(number).await.expect("a receiver");
            }
        };
        let receive = move || async move {
            let mut sum = 0;
            while let Ok(number) = receiver.recv().await {
                sum += number;
            }
            assert_eq!(sum, SUM);
        };
        (send, receive)
    };
    pairs.run(async_channel).await;
    let flume = || {
        let (sender, receiver) = flume::bounded(4);
        let send = move || async move {
            for number in 0..COUNT {
                sender.send_async(number).await.expect("a receiver");
            }
        };
        let receive = move || async move {
            let mut sum = 0;
            while let Ok(number) = receiver.recv_async().await {
                sum += number;
            }
            assert_eq!(sum, SUM);
        };
        (send, receive)
    };
    pairs.run(flume).await;
    let futures = || {
        let (sender, mut receiver) = futures_mpsc::unbounded();
        let (answer, answered) = futures_oneshot::channel();
        let send = move || async move {
            for number in 0..COUNT {
                sender.unbounded_send(number).expect("a receiver");
            }
            drop(sender);
            assert_eq!(answered.await, Ok(SUM));
        };
        let receive = move || async move {
            let mut sum = 0;
            while let Ok(number) = receiver.recv().await {
                sum += number;
            }
            answer.send(sum).expect("a receiver");
        };
        (send, receive)
    };
    pairs.run(futures).await;
}

#[compio::main]
async fn main() -> io::Result<()> {
    let mut pairs = Pairs {
        workers: Dispatcher::builder().workers(2).build()?,
        count: 0,
    };
    let all = async {
        tokio_channels(&mut pairs).await;
        tokio_locks(&mut pairs).await;
        cancellation(&mut pairs).await;
        other_channels(&mut pairs).await;
    };
    timeout(PATIENCE, all).await?;
    println!(
        "{} pairs of tasks, on one core and between cores",
        pairs.count
    );
    assert_eq!(pairs.count, 12);
    pairs.workers.shutdown().await
}
