//! Leak check: waves of connections that open, cancel, half-close, reset and keep silent. After each
//! wave the process has as many descriptors, threads, children, bytes and operations in flight as before.
//!
//! Servers on runtimes of several threads (`server`), foreign peers (`client`), runtimes that end with
//! operations in flight (`shortlived`), and the counts (`measure`). The test is a separate process, since
//! it counts the resources of the process. It ends by itself.
//!
//! Two variables configure it: `COMPIO_SOAK_SECONDS`, the duration (without it, a few waves); and
//! `COMPIO_SOAK_SEED`, which repeats the random choices of an earlier run.
#![cfg(target_os = "linux")]

mod client;
mod measure;
mod random;
mod server;
mod shortlived;

use std::{
    env,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use compio::{driver::ThreadPool, runtime::Runtime};
use rustix::process::{Resource, getrlimit, setrlimit};

use client::Tally;
use measure::Measure;
use random::Random;
use server::{Bell, Server};

/// Threads with a runtime that serves.
const SERVERS: usize = 2;

/// Threads of foreign peers.
const CLIENTS: usize = 3;

/// Connections of each client in a wave.
const VISITS: usize = 100;

/// The minimum of waves, and the waves after which all reusable memory is allocated.
const WAVES_MIN: usize = 8;
const WAVES_TO_WARM_UP: usize = 3;

/// Threads of the thread pool.
const POOL: usize = 4;

/// The bytes by which memory may grow between two waves: buffers that are kept for reuse may grow. A leak
/// of one cell for each connection of a wave would exceed it.
const SLACK_OF_A_WAVE: isize = 64 * 1024;

/// The bytes by which memory may grow after the servers have ended: the process itself keeps, for
/// instance, the pool's queue, whose length depends on the load of the machine.
const SLACK_OF_ALL: isize = 32 * 1024;

/// The bytes by which resident memory may grow in a long soak.
const RESIDENT_SLACK: isize = 32 * 1024 * 1024;

/// A limit that only a hang exceeds.
pub(crate) const LONG: Duration = Duration::from_secs(60);

#[test]
fn thousands_of_connections_leak_nothing() {
    let seed = variable("COMPIO_SOAK_SEED").unwrap_or_else(seed_of_the_moment);
    let seconds: Option<u64> = variable("COMPIO_SOAK_SECONDS");
    let backend = Runtime::new().expect("a runtime").backend();
    println!("COMPIO_SOAK_SEED={seed}, on {backend}");

    may_have_descriptors();
    let pool = ThreadPool::new(POOL);
    let bell = Bell::new();
    let first = Measure::settled(&pool);
    // The first threads that end leave some memory in the process.
    soak(&pool, &bell, Random::new(seed).fork(), None);
    let before = Measure::settled(&pool).with_threads_at_most_of(&first);
    let whole = soak(
        &pool,
        &bell,
        Random::new(seed),
        Some(Duration::from_secs(seconds.unwrap_or(0))),
    );
    let after = Measure::back_to(&before, SLACK_OF_ALL, &pool);
    println!("before: {before}\nafter:  {after}\n{whole:?}");
    if seconds.is_some() {
        let grown = after.resident - before.resident;
        assert!(grown < RESIDENT_SLACK, "{grown} bytes more are resident");
    }
    assert!(whole.connections > WAVES_MIN * VISITS, "{whole:?}");
    // On a busy machine servers with a short timeout close before the request arrives.
    assert!(whole.answered > whole.asked / 2, "{whole:?}");
}

/// Runs servers through waves, for the given time at least; without a time, to warm up.
fn soak(pool: &ThreadPool, bell: &Bell, mut random: Random, time: Option<Duration>) -> Tally {
    let began = Instant::now();
    let servers: Vec<_> = (0..SERVERS).map(|_| Server::start(pool, bell)).collect();
    let mut whole = Tally::default();
    let mut usual = None;
    for wave in 1.. {
        whole += surge(&servers, pool, &mut random);
        usual = match usual {
            Some(usual) if wave > WAVES_TO_WARM_UP => {
                Measure::back_to(&usual, SLACK_OF_A_WAVE, pool);
                Some(usual)
            }
            Some(last) => Some(Measure::settled(pool).with_threads_at_most_of(&last)),
            None => Some(Measure::settled(pool)),
        };
        let is_enough = match time {
            Some(time) => wave >= WAVES_MIN && began.elapsed() >= time,
            None => wave >= WAVES_TO_WARM_UP,
        };
        if is_enough {
            break;
        }
    }
    servers.into_iter().for_each(Server::end);
    whole
}

/// One wave, from the opening of listeners until no operation is in flight.
fn surge(servers: &[Server], pool: &ThreadPool, random: &mut Random) -> Tally {
    let stop = Arc::new(AtomicBool::new(false));
    let waves: Vec<_> = servers
        .iter()
        .map(|server| server.begin(random.fork(), &stop))
        .collect();
    let places: Arc<[_]> = waves.iter().flat_map(|wave| wave.places()).collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (random, places) = (random.fork(), Arc::clone(&places));
            thread::spawn(move || client::visit(random, &places, VISITS))
        })
        .collect();
    let brief = {
        let (random, pool) = (random.fork(), pool.clone());
        thread::spawn(move || shortlived::live(random, &pool))
    };
    let mut tally = Tally::default();
    for client in clients {
        tally += client.join().expect("a client without a panic");
    }
    brief.join().expect("a runtime without a panic");
    stop.store(true, Relaxed);
    for wave in waves {
        wave.end();
    }
    tally
}

/// Raises the soft limit of descriptors, which is too low for the servers.
fn may_have_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a permitted limit");
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
