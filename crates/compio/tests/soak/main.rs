//! Waves of connections that open, cancel, half-close, reset and keep silent; and after each wave the
//! process has what it had before: descriptors, threads, children, memory, operations in flight.
//!
//! Servers on runtimes of several threads (`server`), peers that are none of ours (`client`), runtimes
//! that end in the middle of it (`shortlived`), and what is counted (`measure`). It is a process of its
//! own, since it counts what a process has. It ends by itself.
//!
//! Two variables change it: `COMPIO_SOAK_SECONDS`, for how long it goes on (without it, some waves);
//! and `COMPIO_SOAK_SEED`, which makes it draw again what it drew then.
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

use compio::{driver::Pool, runtime::Runtime};
use rustix::process::{Resource, getrlimit, setrlimit};

use client::Tally;
use measure::Measure;
use random::Random;
use server::{Bell, Server};

/// Threads with a runtime that serves.
const SERVERS: usize = 2;

/// Threads of foreign peers.
const CLIENTS: usize = 3;

/// How many connections each of them makes in a wave.
const VISITS: usize = 100;

/// How many waves there are at least; and in how many of them everything has been used once, so that
/// what is kept for later is there.
const WAVES_MIN: usize = 8;
const WAVES_TO_WARM_UP: usize = 3;

/// How many threads for blocking work there are.
const POOL: usize = 4;

/// By how much memory may differ between two waves: what keeps its size for later may be larger. A
/// leak of one cell for each wave's connections would be more.
const SLACK_OF_A_WAVE: isize = 64 * 1024;

/// By how much it may differ when the servers are gone: what the process itself keeps, such as the room
/// of the pool's queue, which is as long as the machine was busy.
const SLACK_OF_ALL: isize = 32 * 1024;

/// By how much the process's resident memory may grow in a long soak.
const RESIDENT_SLACK: isize = 32 * 1024 * 1024;

/// Long enough for anything that is going to happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(60);

#[test]
fn nothing_is_left_of_thousands_of_connections() {
    let seed = variable("COMPIO_SOAK_SEED").unwrap_or_else(seed_of_the_moment);
    let seconds: Option<u64> = variable("COMPIO_SOAK_SECONDS");
    let backend = Runtime::new().expect("a runtime").backend();
    println!("COMPIO_SOAK_SEED={seed}, on {backend}");

    may_have_descriptors();
    let pool = Pool::new(POOL);
    let bell = Bell::new();
    let first = Measure::settled(&pool);
    // Threads that come and go leave something in the process, the first time.
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
    // On a busy machine impatient servers have gone by the time that they are asked.
    assert!(whole.answered > whole.asked / 2, "{whole:?}");
}

/// Lets servers live through waves, at least for the given time; without one, to get used to it.
fn soak(pool: &Pool, bell: &Bell, mut random: Random, time: Option<Duration>) -> Tally {
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

/// One wave, from opened listeners to nothing in flight.
fn surge(servers: &[Server], pool: &Pool, random: &mut Random) -> Tally {
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
        tally += client.join().expect("a client that is content");
    }
    brief.join().expect("a runtime that ends well");
    stop.store(true, Relaxed);
    for wave in waves {
        wave.end();
    }
    tally
}

/// The servers make room for more than many a process may have without asking.
fn may_have_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit that is allowed");
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
