//! Tests with many seeds.

use std::{
    future::pending,
    hash::{BuildHasher, RandomState},
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use compio::{
    fs,
    net::{TcpListener, TcpStream},
    sim::{self, ErrorKind, Simulation},
    time::sleep,
};

use super::{Log, run_child};

#[compio::test(sim, seeds = 5)]
fn function_adds_hosts_and_clients(simulation: &mut Simulation) {
    simulation.host("server", async || {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        while listener.accept().await.is_ok() {}
        Ok::<_, io::Error>(())
    });
    simulation.client("client", async {
        TcpStream::connect("server:80").await.map(drop)
    });
}

#[compio::test(sim)]
async fn async_function_is_a_client() -> io::Result<()> {
    assert_eq!(sim::host_name().as_deref(), Some("test"));
    sleep(Duration::from_secs(3600)).await;
    Ok(())
}

#[compio::test(sim, seeds = [3, 7])]
#[should_panic(expected = "seed 7, virtual time")]
fn first_seed_that_fails_ends_the_test(simulation: &mut Simulation) {
    let seed = simulation.seed();
    simulation.client("client", async move { assert_ne!(seed, 7) });
}

#[compio::test(sim, seeds = 0)]
#[should_panic(expected = "there are no seeds")]
fn no_seeds_are_an_error(simulation: &mut Simulation) {
    simulation.client("client", async {});
}

#[compio::test(sim)]
#[should_panic(expected = "the program has failed: on purpose")]
fn error_of_the_function_is_the_error_of_the_test(_: &mut Simulation) -> io::Result<()> {
    Err(io::Error::other("on purpose"))
}

#[test]
fn seeds_run_in_their_order() {
    let seen = Mutex::new(Vec::new());
    sim::run_seeds(5..9, |simulation| {
        seen.lock().unwrap().push(simulation.seed());
        simulation.client("client", async {});
    })
    .unwrap();
    let mut seen = seen.into_inner().unwrap();
    // With `COMPIO_SIM_TWICE`.
    seen.dedup();
    assert_eq!(seen, [5, 6, 7, 8]);
    let error = sim::run_seeds([], |_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSeeds), "{error}");
    assert_eq!(error.seed(), None);
    assert_eq!(error.to_string(), "there are no seeds");
}

#[test]
fn time_limit_is_set_by_the_function_that_builds() {
    let error = sim::run_seeds(0..20, |simulation| {
        let seconds = 60 - simulation.seed();
        simulation.set_time_limit(Duration::from_secs(seconds));
        simulation.client("client", async {
            sleep(Duration::from_millis(49_500)).await
        });
    });
    let error = error.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimeLimit(_)), "{error}");
    assert_eq!(
        (error.seed(), error.at()),
        (Some(11), Duration::from_secs(49))
    );
}

#[test]
fn latency_and_lines_are_set_by_the_function_that_builds() {
    let lines = Log::default();
    sim::run_seeds([0], |simulation| {
        let latency = Duration::from_secs(3);
        let lines = lines.clone();
        simulation.set_latency(latency..=latency);
        simulation.on_line(move |line| lines.add(line));
        simulation.host("server", async || pending::<()>().await);
        simulation.client("client", async {
            TcpStream::connect("server:80").await.unwrap_err();
            // There and back.
            assert_eq!(sim::elapsed(), Some(Duration::from_secs(6)));
        });
    })
    .unwrap();
    let refused = "6s packet RST for a connect at client";
    let lines = lines.entries();
    assert!(
        lines.iter().any(|line| line.starts_with(refused)),
        "{lines:#?}"
    );
}

#[test]
fn summary_has_the_sums_over_all_seeds() {
    let summary = sim::run_seeds(0..10, |simulation| {
        let seed = simulation.seed();
        simulation.client("client", async move {
            sleep(Duration::from_secs(1)).await;
            if seed < 5 {
                sim::assert_always(true, "early");
                sim::assert_sometimes(seed < 3, "very early");
                sim::assert_sometimes(seed < 3, "very early");
            }
        });
    });
    let summary = summary.unwrap();
    assert_eq!(summary.seeds(), 10);
    assert_eq!(summary.elapsed(), Duration::from_secs(10));
    let counts = |name| {
        let of_name = summary.assertion(name).unwrap();
        let counts = of_name.counts;
        let seeds = (of_name.evaluated_in, of_name.held_in);
        (counts.evaluated, counts.held, counts.is_sometimes, seeds)
    };
    assert_eq!(counts("early"), (5, 5, false, (5, 5)));
    assert_eq!(counts("very early"), (10, 6, true, (5, 3)));
    assert_eq!(summary.assertions().count(), 2);
    let expected = "seeds: 10, virtual time: 10s, steps: 20
always `early`: true 5 of 5 times, in 5 of 5 seeds
sometimes `very early`: true 6 of 10 times, in 3 of 5 seeds";
    assert_eq!(summary.to_string(), expected);
}

/// Run by the next test: it fails with seed 3.
#[compio::test(sim, seeds = 100)]
#[ignore = "fails on purpose, in a child process"]
fn child_fails_with_seed_3(simulation: &mut Simulation) {
    println!("seed {} runs", simulation.seed());
    let seed = simulation.seed();
    simulation.client("client", async move { assert_ne!(seed, 3) });
}

/// Runs a test in a child process, with this environment variable. Returns whether it has passed, and its output.
#[test]
fn message_of_a_failure_has_the_command_that_repeats_it() {
    let test = "seeds::child_fails_with_seed_3";
    let run = |seed| run_child(test, &[("COMPIO_SIM_SEED", seed)]);
    let (is_success, text) = run_child(test, &[]);
    assert!(!is_success, "{text}");
    let command = "COMPIO_SIM_SEED=3 cargo test seeds::child_fails_with_seed_3\n";
    assert!(text.contains(command), "{text}");
    assert!(
        text.contains("seed 0 runs") && !text.contains("seed 4 runs"),
        "{text}"
    );
    let (is_success, text) = run("3");
    assert!(!is_success && !text.contains("seed 0 runs"), "{text}");
    let (is_success, text) = run("4");
    assert!(is_success, "{text}");
    assert!(
        text.contains("seeds: 1, virtual time: 0ns, steps: 1"),
        "{text}"
    );
    let (is_success, text) = run("four");
    assert!(!is_success && text.contains("which is no seed"), "{text}");
}

/// A number that no seed determines.
fn chance() -> u64 {
    RandomState::new().hash_one(1)
}

#[compio::test(sim, seeds = [5])]
#[ignore = "a child of `course_that_no_seed_determines_is_found_by_two_runs`"]
async fn child_sleeps_for_a_time_of_chance() -> io::Result<()> {
    fs::write("/file", "content").await.0?;
    sleep(Duration::from_nanos(chance() >> 20)).await;
    fs::write("/file", "content").await.0
}

#[compio::test(sim, seeds = [5])]
#[ignore = "a child of `course_that_no_seed_determines_is_found_by_two_runs`"]
async fn child_writes_content_of_chance() -> io::Result<()> {
    fs::write("/file", chance().to_le_bytes()).await.0
}

#[compio::test(sim, seeds = [5])]
#[ignore = "a child of `course_that_no_seed_determines_is_found_by_two_runs`"]
async fn child_fails_by_chance() -> io::Result<()> {
    // Once in the runs of a process.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    match RUNS.fetch_add(1, Ordering::Relaxed) {
        1 => Err(io::Error::other("on purpose")),
        _ => Ok(()),
    }
}

#[test]
fn course_that_no_seed_determines_is_found_by_two_runs() {
    let run =
        |test: &str, twice| run_child(&format!("seeds::{test}"), &[("COMPIO_SIM_TWICE", twice)]);
    let message = |test| {
        let (is_success, text) = run(test, "0");
        assert!(is_success, "{text}");
        let (is_success, text) = run(test, "1");
        assert!(!is_success, "{text}");
        let command = format!("COMPIO_SIM_SEED=5 COMPIO_SIM_TWICE=1 cargo test seeds::{test}\n");
        assert!(text.contains(&command), "{text}");
        text
    };
    let text = message("child_sleeps_for_a_time_of_chance");
    let (_, lines) = text.split_once("took different courses:\n").unwrap();
    let lines: Vec<&str> = lines.lines().take(2).collect();
    // The first event after the sleep.
    let events = lines
        .iter()
        .map(|line| line.trim().split_once(' ').unwrap().1);
    assert!(events.eq(["test: open (524865)"; 2]), "{text}");
    assert_ne!(lines[0], lines[1]);
    let text = message("child_writes_content_of_chance");
    assert!(
        text.contains("differ in content at or before\n    0ns test: "),
        "{text}"
    );
    let text = message("child_fails_by_chance");
    assert!(
        text.contains("took different courses, and two more did not"),
        "{text}"
    );
    let (is_success, text) = run("async_function_is_a_client", "1");
    assert!(is_success, "{text}");
}
