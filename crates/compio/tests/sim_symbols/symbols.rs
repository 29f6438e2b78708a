//! Symbols of the C library in a binary with `override_libc`: time, random numbers and threads of std and other crates.

use std::{
    collections::{HashMap, HashSet},
    mem, ptr,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use compio::{
    sim::{self, ErrorKind, Report, Simulation, run_seeds},
    task,
    time::{self, sleep},
};
use compio_testkit::process::this_test;

/// The begin of the virtual wall clock, in seconds since 1970.
const EPOCH: i64 = 946_684_800;

const HOUR: Duration = Duration::from_secs(3600);

/// Runs one client, and returns a value of it.
fn run_one<T: 'static, C: Future<Output = T> + 'static>(client: C) -> (Report, T) {
    let (sender, receiver) = mpsc::channel();
    let mut simulation = Simulation::builder().seed(7).build();
    simulation.client("client", async move { sender.send(client.await) });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    (report, receiver.recv().unwrap())
}

/// 12 bytes, which are no multiple of a word.
fn random_bytes() -> [u8; 12] {
    let mut bytes = [0; 12];
    // SAFETY: a pointer to local memory of this length.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(filled, 12);
    bytes
}

/// As [`random_bytes`], past the symbol.
fn random_bytes_by_system_call() -> [u8; 12] {
    let mut bytes = [0; 12];
    // SAFETY: a pointer to local memory of this length.
    let filled = unsafe { libc::syscall(libc::SYS_getrandom, &mut bytes, 12, 0) };
    assert_eq!(filled, 12);
    bytes
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    // SAFETY: zeros are a valid time.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: a pointer to local memory.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// As [`read_clock`], past the symbol.
fn read_clock_by_system_call(clock: libc::clockid_t) -> Duration {
    // SAFETY: zeros are a valid time.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: a pointer to local memory.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn clocks_of_std_are_virtual_in_a_host() {
    run_one(async {
        let (start, wall) = (Instant::now(), SystemTime::now());
        assert_eq!(start, time::now());
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        assert_eq!(Instant::now(), time::now());
        assert_eq!(wall.elapsed().unwrap(), HOUR);
        let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(since_epoch, Duration::from_secs(EPOCH as u64));
        // Blocking work is a part of the host.
        let elapsed = task::spawn_blocking(move || start.elapsed()).await;
        assert_eq!(elapsed.unwrap(), HOUR);
    });
}

#[test]
fn clocks_of_the_c_library_are_virtual_in_a_host() {
    run_one(async {
        sleep(Duration::from_micros(2_000_007)).await;
        let now = Duration::from_micros(EPOCH as u64 * 1_000_000 + 2_000_007);
        for clock in [
            libc::CLOCK_REALTIME,
            libc::CLOCK_REALTIME_COARSE,
            libc::CLOCK_MONOTONIC,
            libc::CLOCK_MONOTONIC_RAW,
            libc::CLOCK_MONOTONIC_COARSE,
            libc::CLOCK_BOOTTIME,
        ] {
            assert_eq!(read_clock(clock), now, "clock {clock}");
        }
        let mut seconds = 0;
        let mut time = libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        // SAFETY: each pointer is null, or a pointer to local memory.
        unsafe {
            assert_eq!(libc::time(ptr::null_mut()), EPOCH + 2);
            assert_eq!(libc::time(&mut seconds), EPOCH + 2);
            assert_eq!(libc::gettimeofday(&mut time, ptr::null_mut()), 0);
        }
        assert_eq!(seconds, EPOCH + 2);
        assert_eq!((time.tv_sec, time.tv_usec), (EPOCH + 2, 7));
    });
}

/// Checks that this thread has the functions of the system.
fn check_reality() {
    for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
        let before = read_clock_by_system_call(clock);
        let now = read_clock(clock);
        assert!((before..=read_clock_by_system_call(clock)).contains(&now));
    }
    let before = read_clock_by_system_call(libc::CLOCK_REALTIME);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!((before..=read_clock_by_system_call(libc::CLOCK_REALTIME)).contains(&now));
    assert_ne!(random_bytes(), random_bytes());
    assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
}

#[test]
fn code_outside_of_a_host_has_the_real_functions() {
    check_reality();
    let mut simulation = Simulation::builder().build();
    // A thread that was there before, while a host runs.
    let (start, starts) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let other = thread::spawn(move || {
        starts.recv().unwrap();
        check_reality();
        end.send(()).unwrap();
    });
    simulation.client("client", async move {
        start.send(()).unwrap();
        ends.recv()
    });
    check_reality();
    simulation.run().unwrap();
    other.join().unwrap();
    check_reality();
    let mut time = Duration::ZERO;
    // SAFETY: a clock that does not exist has no time to write.
    let result = unsafe { libc::clock_gettime(1000, (&raw mut time).cast()) };
    assert_eq!((result, time), (-1, Duration::ZERO));
}

#[test]
fn random_bytes_depend_on_seed_and_host_alone() {
    let bytes = |seed, others: usize| {
        let mut simulation = Simulation::builder().seed(seed).build();
        let (sender, receiver) = mpsc::channel();
        for other in 0..others {
            simulation.client(&format!("other-{other}"), async {
                random_bytes();
            });
        }
        simulation.client("client", async move {
            sim::rng().next_u64();
            let numbers = (random_bytes(), random_bytes(), sim::rng().next_u64());
            sender.send(numbers)
        });
        simulation.run().unwrap();
        receiver.recv().unwrap()
    };
    let (one, other, _) = bytes(1, 0);
    assert_ne!(one, other);
    assert_eq!(bytes(1, 0), bytes(1, 3));
    assert_ne!(bytes(1, 0).0, bytes(2, 0).0);
}

#[test]
fn reads_of_clocks_and_of_no_bytes_change_no_course() {
    let run = |reads: usize| {
        run_one(async move {
            for _ in 0..reads {
                let _ = (Instant::now(), SystemTime::now());
                // SAFETY: no byte is written.
                let filled = unsafe { libc::getrandom(ptr::null_mut(), 0, 0) };
                assert_eq!(filled, 0);
            }
            sleep(HOUR).await;
            random_bytes()
        })
    };
    assert_eq!(run(0), run(1000));
}

/// The order of two maps, one of which is made outside of the host, for each of three seeds.
fn orders() -> Vec<Vec<u32>> {
    let orders = Mutex::new(Vec::<mpsc::Receiver<_>>::new());
    run_seeds(0..3, |simulation| {
        let outside: HashSet<u32> = (100..200).collect();
        let (sender, receiver) = mpsc::channel();
        orders.lock().unwrap().push(receiver);
        simulation.client("client", async move {
            let inside: HashMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
            sender.send(outside.into_iter().chain(inside.into_keys()).collect())
        });
    })
    .unwrap();
    let orders = orders.into_inner().unwrap();
    let mut orders: Vec<_> = orders.iter().map(|order| order.recv().unwrap()).collect();
    // With `COMPIO_SIM_TWICE`.
    orders.dedup();
    orders
}

#[test]
#[ignore = "a child of `hash_map_has_the_same_order_in_each_run`"]
fn child_prints_orders() {
    println!("orders {:?}", orders());
}

#[test]
fn hash_map_has_the_same_order_in_each_run() {
    let first = orders();
    assert_eq!(first, orders());
    assert_ne!(first[0], first[1]);
    let output = this_test("symbols::child_prints_orders").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("orders {first:?}\n")), "{text}");
}

#[test]
#[cfg(target_env = "gnu")]
fn thread_in_a_host_fails_the_run() {
    for ignores in [true, false] {
        let mut simulation = Simulation::builder().seed(7).build();
        simulation.client("client", async { sleep(2 * HOUR).await });
        simulation.host("server", move || async move {
            sleep(HOUR).await;
            let error = thread::Builder::new().spawn(|| ()).unwrap_err();
            assert!(ignores, "{error}");
        });
        let error = simulation.run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Thread), "{error}");
        let text =
            "seed 7, virtual time 3600s, host `server`: the program has tried to start a thread";
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn system_calls_escape() {
    let (_, (clock, bytes, others)) = run_one(async {
        let bytes = [(); 2].map(|()| random_bytes_by_system_call());
        let clock = read_clock_by_system_call(libc::CLOCK_REALTIME);
        (clock, bytes[0], bytes[1])
    });
    assert!(clock > Duration::from_secs(EPOCH as u64) * 3 / 2);
    assert_ne!(bytes, others);
}
