//! Workers under load from many threads: dispatch, aborts and awaits of handles elsewhere, hand-off of
//! connections, and shutdowns and drops in the middle. Each round checks that every task and every
//! descriptor has gone, and that every handle reports an end.
//!
//! `COMPIO_SOAK_SECONDS` sets the duration; without it, there are a few rounds. `COMPIO_SOAK_SEED` repeats
//! the random choices of an earlier run. The test is a separate process, since it counts descriptors.

use std::{
    env,
    future::pending,
    io::{Read, Write},
    net::{SocketAddr, TcpStream as StdStream},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use compio::{
    cores::{self, Dispatcher, Server, Workers},
    io::{AsyncRead, AsyncWriteExt},
    net::TcpStream,
    task::{AbortHandle, SendJoinHandle, block_on, spawn, spawn_blocking, yield_now},
    time::{sleep, timeout},
};
use compio_testkit::{LONG, random::Dice};

/// Threads that dispatch or connect, beside the workers.
const CALLERS: usize = 4;

/// Dispatches or connections of each caller in a round.
const CALLS: usize = 60;

/// Connections that a caller keeps open. A server with a limit has room for one more of each caller: with
/// less, a caller could wait for the others without end.
const HELD_MAX: usize = 5;

/// The minimum of rounds.
const ROUNDS_MIN: usize = 6;

/// The futures of dispatched tasks that live.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts a living future.
struct Guard;

impl Guard {
    fn new() -> Self {
        LIVE.fetch_add(1, SeqCst);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, SeqCst);
    }
}

/// The outcomes of all tasks.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicUsize,
    cancelled: AtomicUsize,
    panicked: AtomicUsize,
    served: AtomicUsize,
}

impl Tally {
    fn count(&self, end: Result<usize, compio::task::JoinError>) {
        let counter = match end {
            Ok(number) => {
                assert!(number <= CALLS, "an output of another task");
                &self.done
            }
            Err(error) if error.is_cancelled() => &self.cancelled,
            Err(_) => &self.panicked,
        };
        counter.fetch_add(1, SeqCst);
    }
}

/// Work of one of several kinds, which yields `number` unless it is cancelled.
async fn work(kind: usize, number: usize) -> usize {
    let _guard = Guard::new();
    match kind {
        0 => {}
        1 => yield_now().await,
        2 => sleep(Duration::from_micros(200)).await,
        3 => {
            let inner = spawn(async {
                let _guard = Guard::new();
                yield_now().await;
            });
            inner.await.expect("no panic");
        }
        4 => {
            // To another worker, and back. The other one may have ended already.
            let workers = cores::current().expect("a worker");
            let target = number % workers.len();
            let back = workers.dispatch_to(target, move || async move {
                let _guard = Guard::new();
                yield_now().await;
                number
            });
            let _ = back.await;
        }
        5 => spawn_blocking(|| drop(Guard::new()))
            .await
            .expect("the pool takes it"),
        // Until it is aborted, or the workers end.
        6 => pending().await,
        _ => std::panic::resume_unwind(Box::new("an intended panic")),
    }
    number
}

/// Dispatches in random ways. Awaits, aborts, drops the handles, or sends them to the other threads.
fn call(
    workers: &Workers,
    mut dice: Dice,
    aborts: &mpsc::Sender<AbortHandle>,
    others: &mpsc::Sender<SendJoinHandle<usize>>,
    tally: &Tally,
) {
    for number in 0..CALLS {
        let kind = dice.roll(8);
        let make = move || work(kind, number);
        let handle = match dice.roll(3) {
            0 => workers.dispatch(make),
            1 => workers.dispatch_to(dice.roll(workers.len()), make),
            _ => workers
                .dispatch_to_each(move |_| work(kind, number))
                .pop()
                .expect("a worker"),
        };
        match dice.roll(5) {
            // Here. Endless work would last until the end of the workers.
            0 if kind != 6 => tally.count(in_time(handle)),
            1 => {
                handle.abort();
                tally.count(in_time(handle));
            }
            2 => {
                aborts.send(handle.abort_handle()).expect("a receiver");
                others.send(handle).expect("a receiver");
            }
            3 => others.send(handle).expect("a receiver"),
            _ => drop(handle),
        }
    }
}

fn in_time<T>(handle: SendJoinHandle<T>) -> Result<T, compio::task::JoinError> {
    block_on(timeout(LONG, handle)).expect("a task that ends")
}

/// One round of dispatches: the workers end while the callers continue, or after them.
fn dispatch(dice: &mut Dice, tally: &Tally) {
    let workers = 1 + dice.roll(4);
    let dispatcher = Dispatcher::builder().workers(workers).build().unwrap();
    let (aborts, to_abort) = mpsc::channel::<AbortHandle>();
    let (others, to_await) = mpsc::channel();
    let ends_early = dice.roll(2) == 0;
    let way = dice.roll(3);
    let after = Duration::from_micros(dice.roll(3000) as u64);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (aborts, others) = (aborts.clone(), others.clone());
                let workers = Workers::clone(&dispatcher);
                let dice = Dice(1 + dice.roll(usize::MAX) as u64);
                scope.spawn(move || call(&workers, dice, &aborts, &others, tally))
            })
            .collect();
        drop((aborts, others));
        scope.spawn(move || to_abort.into_iter().for_each(|handle| handle.abort()));
        scope.spawn(move || {
            for handle in to_await {
                tally.count(in_time(handle));
            }
        });
        if ends_early {
            thread::sleep(after);
        } else {
            for caller in callers {
                caller.join().expect("no panic");
            }
        }
        end(way, dispatcher);
    });
    assert_eq!(LIVE.load(SeqCst), 0, "futures outlive their workers");
}

/// Ends workers that may have endless tasks, in one of three ways.
fn end(way: usize, dispatcher: Dispatcher) {
    let brief = Duration::from_millis(2);
    match way {
        // Cancels all tasks at once.
        0 => drop(dispatcher),
        1 => {
            // The drop cancels the rest in the middle of the shutdown.
            let _ = block_on(timeout(brief, dispatcher.shutdown()));
            drop(dispatcher);
        }
        _ => {
            let ended = block_on(timeout(LONG, dispatcher.shutdown_timeout(brief)));
            let ended = ended.expect("a shutdown with a limit ends");
            if let Err(error) = ended {
                assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
            }
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let _guard = Guard::new();
    let mut buffer = vec![0; 64];
    loop {
        let (read, mut received) = stream.read(buffer).await;
        let Ok(len @ 1..) = read else {
            return;
        };
        received.truncate(len);
        let (written, mut sent) = stream.write_all(received).await;
        if written.is_err() {
            return;
        }
        sent.resize(64, 0);
        buffer = sent;
    }
}

/// Connects, and holds some connections, so that others are handed off. After the end of the server every
/// call may fail.
fn connect(address: SocketAddr, mut dice: Dice, tally: &Tally) {
    let mut held = Vec::new();
    for _ in 0..CALLS {
        let Ok(mut stream) = StdStream::connect_timeout(&address, LONG) else {
            continue;
        };
        stream.set_read_timeout(Some(LONG)).unwrap();
        match dice.roll(4) {
            0 => drop(stream),
            1 => held.push(stream),
            _ => {
                let mut byte = [0];
                if stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() {
                    assert_eq!(&byte, b"x");
                    tally.served.fetch_add(1, SeqCst);
                }
                if dice.roll(2) == 0 {
                    held.push(stream);
                }
            }
        }
        if held.len() > HELD_MAX {
            held.swap_remove(dice.roll(HELD_MAX));
        }
    }
}

/// One round of connections: the server ends while clients connect, or after them.
fn serve(dice: &mut Dice, tally: &Tally) {
    let server = block_on(Server::bind("127.0.0.1:0")).unwrap();
    let server = match dice.roll(3) {
        0 => server.connections_max(CALLERS * (HELD_MAX + 1)),
        _ => server,
    };
    let server = server.workers(1 + dice.roll(4)).start(echo).unwrap();
    let address = server.local_addr();
    let ends_early = dice.roll(2) == 0;
    let after = Duration::from_micros(dice.roll(20_000) as u64);
    let way = dice.roll(2);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CALLERS)
            .map(|_| {
                let dice = Dice(1 + dice.roll(usize::MAX) as u64);
                scope.spawn(move || connect(address, dice, tally))
            })
            .collect();
        if ends_early {
            thread::sleep(after);
        } else {
            for client in clients {
                client.join().expect("no panic");
            }
        }
        if way == 0 {
            let brief = Duration::from_millis(2);
            let ended = block_on(timeout(LONG, server.shutdown_timeout(brief)));
            if let Err(error) = ended.expect("a shutdown with a limit ends") {
                assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
            }
            assert_eq!(server.connections().iter().sum::<usize>(), 0);
        }
        drop(server);
    });
    assert_eq!(LIVE.load(SeqCst), 0, "handlers outlive their server");
}

fn round(dice: &mut Dice, tally: &Tally) {
    dispatch(dice, tally);
    serve(dice, tally);
}

#[test]
fn workers_under_load_leave_no_task_and_no_descriptor() {
    let seed = variable("COMPIO_SOAK_SEED").unwrap_or_else(seed_of_the_moment);
    let seconds: u64 = variable("COMPIO_SOAK_SECONDS").unwrap_or(0);
    println!("COMPIO_SOAK_SEED={seed}");
    let mut dice = Dice(seed.max(1));
    let tally = Arc::new(Tally::default());
    // The first round allocates the resources that the process keeps.
    round(&mut dice, &tally);
    let descriptors = descriptors();
    let began = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || began.elapsed() < Duration::from_secs(seconds) {
        round(&mut dice, &tally);
        rounds += 1;
    }
    println!("{rounds} rounds: {tally:?}");
    assert_eq!(self::descriptors(), descriptors);
    assert!(tally.done.load(SeqCst) > rounds);
    assert!(tally.cancelled.load(SeqCst) > rounds);
    assert!(tally.panicked.load(SeqCst) > 0);
    assert!(tally.served.load(SeqCst) > rounds);
}

/// The open descriptors of the process, where the system lists them.
fn descriptors() -> Option<usize> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    Some(
        std::fs::read_dir("/proc/self/fd")
            .expect("the list")
            .count(),
    )
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    let parsed = value.parse().ok();
    assert!(parsed.is_some(), "{name} must be a number, not {value}");
    parsed
}

fn seed_of_the_moment() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_nanos() as u64)
}
