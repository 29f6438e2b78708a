//! Restarts by a policy, and the calm phase.

use std::{cell::Cell, future::pending, io, ops::RangeInclusive, rc::Rc, time::Duration};

use compio::{
    fs,
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sim::{
        self, ClockFaults, Disk, DiskFaults, ErrorKind, NetworkFaults, Report, Restart, Simulation,
        assert_always,
    },
    time::{self, sleep, timeout},
};

use super::{Log, echo};

const SECOND: Duration = Duration::from_secs(1);

fn after() -> RangeInclusive<Duration> {
    Duration::from_millis(100)..=Duration::from_millis(300)
}

fn on_failure() -> Restart {
    Restart::OnFailure { after: after() }
}

fn seconds() -> f64 {
    sim::elapsed().unwrap().as_secs_f64()
}

/// Logs its starts, and ends one second later by `end`. A client waits for 10 seconds.
fn starts<F, O>(seed: u64, policy: Restart, end: F) -> (Result<Report, sim::Error>, Vec<f64>)
where
    F: Fn() -> O + Copy + 'static,
    O: sim::Outcome,
{
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().seed(seed).build();
    simulation.host("server", move || {
        seen.add(seconds().to_string());
        async move {
            sleep(SECOND).await;
            end()
        }
    });
    simulation.restart_policy("server", policy);
    simulation.client("client", async { sleep(10 * SECOND).await });
    let result = simulation.run();
    let entries = log.entries();
    let starts = entries.iter().map(|entry| entry.parse().unwrap());
    (result, starts.collect())
}

fn fail() -> io::Result<()> {
    Err(io::Error::other("on purpose"))
}

#[test]
fn failed_program_starts_again_after_a_time_of_the_range() {
    let (result, times) = starts(3, on_failure(), fail);
    assert_eq!(result.unwrap().restarts() + 1, times.len() as u64);
    let delays: Vec<f64> = times
        .windows(2)
        .map(|pair| pair[1] - pair[0] - 1.0)
        .collect();
    assert!(delays.len() >= 7, "{delays:?}");
    let is_in_range = |delay: &f64| (0.0999..0.3001).contains(delay);
    assert!(delays.iter().all(is_in_range), "{delays:?}");
    assert!(delays[0] != delays[1], "{delays:?}");
    assert_eq!(starts(3, on_failure(), fail).1, times);
    assert_ne!(starts(4, on_failure(), fail).1, times);
}

#[test]
fn program_that_panics_starts_again() {
    let (result, times) = starts(3, on_failure(), || {
        if sim::elapsed().is_some() {
            panic!("on purpose");
        }
    });
    assert!(result.unwrap().restarts() >= 7, "{times:?}");
}

#[test]
fn program_that_succeeds_starts_again_only_by_always() {
    let (result, times) = starts(3, on_failure(), || ());
    assert_eq!((result.unwrap().restarts(), times.len()), (0, 1));
    let (result, times) = starts(3, Restart::Always { after: after() }, || ());
    assert!(result.unwrap().restarts() >= 7, "{times:?}");
}

#[test]
fn false_assertion_fails_the_run_in_spite_of_the_policy() {
    let (result, times) = starts(3, on_failure(), || assert_always(false, "it is safe"));
    let error = result.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Violated { name, .. } if name == "it is safe"),
        "{error}"
    );
    assert_eq!(times.len(), 1);
}

#[test]
fn policy_restarts_no_client() {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async { fail() });
    simulation.restart_policy("client", on_failure());
    let error = simulation.run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Failed(_)), "{error}");
}

#[test]
fn policy_of_no_host_is_an_error() {
    let mut simulation = Simulation::builder().build();
    simulation.restart_policy("nowhere", on_failure());
    simulation.client("client", async {});
    let error = simulation.run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnknownHost), "{error}");
    assert_eq!(error.host(), Some("nowhere"));
}

#[test]
#[should_panic(expected = "no time above zero")]
fn restart_without_a_delay_panics() {
    let after = Duration::ZERO..=Duration::ZERO;
    let mut simulation = Simulation::builder().build();
    simulation.restart_policy("server", Restart::Always { after });
}

/// Fails at the first second after its start, and restarts 5 seconds later. `operate` runs in the meantime.
fn starts_with(
    operate: impl Future<Output = Result<(), sim::Error>> + 'static,
) -> (u64, Vec<String>) {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().build();
    simulation.host("server", move || {
        seen.add(seconds().to_string());
        async {
            sleep(SECOND).await;
            fail()
        }
    });
    let after = 5 * SECOND..=5 * SECOND;
    simulation.restart_policy("server", Restart::OnFailure { after });
    simulation.client("operator", async {
        operate.await?;
        sleep(4 * SECOND).await;
        Ok::<_, sim::Error>(())
    });
    (simulation.run().unwrap().restarts(), log.entries())
}

#[test]
fn planned_restart_ends_with_another_start_or_a_loss_of_power() {
    let restarted = starts_with(async {
        sleep(3 * SECOND).await;
        sim::restart("server")
    });
    // Not at 6 seconds, but not before 9.
    assert_eq!(restarted, (0, vec!["0".to_owned(), "3".to_owned()]));
    let lost = starts_with(async {
        sleep(3 * SECOND).await;
        sim::power_loss("server")
    });
    assert_eq!(lost, (0, vec!["0".to_owned()]));
    // A program that does not run cannot crash.
    let crashed = starts_with(async {
        sleep(3 * SECOND).await;
        sim::crash("server")
    });
    assert_eq!(crashed, (1, vec!["0".to_owned(), "6".to_owned()]));
    let killed = starts_with(async {
        sleep(SECOND / 2).await;
        sim::crash("server")?;
        sleep(6 * SECOND).await;
        Ok(())
    });
    assert_eq!(killed, (0, vec!["0".to_owned()]));
}

#[test]
fn connections_of_a_program_that_fails_are_closed() {
    let mut simulation = Simulation::builder().build();
    simulation.host("server", async || {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut stream, _) = listener.accept().await?;
        let starts = fs::read("/starts").await.map_or(0, |bytes| bytes[0]) + 1;
        fs::write("/starts", [starts]).await.0?;
        stream.write_all([starts]).await.0?;
        fail()
    });
    simulation.restart_policy("server", on_failure());
    simulation.client("client", async {
        for start in [1, 2] {
            let mut stream = TcpStream::connect("server:80").await?;
            let (read, bytes) = stream.read_to_end(Vec::new()).await;
            read?;
            assert_eq!(bytes, [start]);
            TcpStream::connect("server:80").await.unwrap_err();
            sleep(SECOND).await;
        }
        io::Result::Ok(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

/// Sends and receives once.
async fn use_echo(server: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(&format!("{server}:7")).await?;
    stream.write_all([1; 4]).await.0?;
    stream.read_exact([0; 4]).await.0.map(drop)
}

const BEGIN: Duration = Duration::from_secs(10);

fn all_faults(disk: &Disk) {
    disk.set(DiskFaults {
        write_error: 1.0,
        capacity: Some(0),
        latency: SECOND / 100..=SECOND / 50,
        ..DiskFaults::default()
    });
}

/// Sets faults, and sets them again in the calm phase, in which they have no effect.
async fn inject_faults_without_end() -> Result<(), sim::Error> {
    loop {
        let network = sim::network()?;
        network.set(NetworkFaults {
            loss: 1.0,
            ..NetworkFaults::default()
        });
        sim::link("client", "one")?.set(NetworkFaults {
            reset: 1.0,
            clog: 1.0,
            ..NetworkFaults::default()
        });
        sim::partition("client", "two")?;
        sim::hold("client", "three")?;
        all_faults(&sim::disk("client")?);
        sim::crash("one")?;
        sim::power_loss("two")?;
        sleep(SECOND).await;
    }
}

#[test]
fn calm_phase_ends_all_faults() {
    let mut simulation = Simulation::builder().build();
    for name in ["one", "two", "three"] {
        simulation.host(name, echo::<4>);
    }
    simulation.host("operator", inject_faults_without_end);
    simulation.calm_after(BEGIN, 5 * SECOND);
    simulation.client("client", async {
        assert!(!sim::is_calm());
        sleep(BEGIN - SECOND / 2).await;
        for name in ["one", "two", "three"] {
            let used = timeout(SECOND / 10, use_echo(name)).await;
            assert!(!matches!(used, Ok(Ok(()))), "{name} {used:?}");
        }
        fs::write("/file", "content").await.0.unwrap_err();
        while !sim::is_calm() {
            sleep(SECOND / 10).await;
        }
        let now = sim::elapsed().unwrap();
        assert!(now < BEGIN + SECOND / 5, "{now:?}");
        for _ in 0..3 {
            for name in ["one", "two", "three"] {
                use_echo(name).await?;
            }
            let before = time::now();
            fs::write("/file", "content").await.0?;
            assert_eq!(time::now(), before);
            sleep(SECOND).await;
        }
        assert_eq!(sim::disk("client").unwrap().faults(), DiskFaults::default());
        let network = sim::network().unwrap();
        assert_eq!(network.faults(), NetworkFaults::default());
        let link = sim::link("client", "one").unwrap();
        assert_eq!(link.faults(), NetworkFaults::default());
        io::Result::Ok(())
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let recovery = report.recovery().unwrap();
    assert_eq!(recovery, report.elapsed() - BEGIN);
    assert!(recovery > 3 * SECOND, "{recovery:?}");
    assert!(!sim::is_calm());
}

#[test]
fn calm_phase_without_recovery_is_an_error() {
    let run = |time_limit| {
        let mut simulation = Simulation::builder().seed(4).build();
        simulation.set_time_limit(time_limit);
        simulation.calm_after(BEGIN, 5 * SECOND);
        simulation.client("fast", async { sleep(SECOND).await });
        simulation.client("slow", async { sleep(60 * SECOND).await });
        simulation.client("later", async { sleep(BEGIN + 6 * SECOND).await });
        simulation.run().unwrap_err()
    };
    let error = run(Duration::MAX);
    let text = "seed 4, virtual time 15s: no recovery: all faults have ended, but these clients have not: slow, later";
    assert_eq!(error.to_string(), text);
    assert!(matches!(error.kind(), ErrorKind::NoRecovery(names) if names == &["slow", "later"]));
    // A shorter limit of time is the first one.
    for limit in [5, 12] {
        let error = run(limit * SECOND);
        assert!(matches!(error.kind(), ErrorKind::TimeLimit(_)), "{error}");
        assert_eq!(error.at(), limit * SECOND);
    }
}

#[test]
fn client_may_end_before_the_calm_phase() {
    let mut simulation = Simulation::builder().build();
    simulation.calm_after(BEGIN, SECOND);
    simulation.client("client", async { sleep(SECOND).await });
    let report = simulation.run().unwrap();
    assert_eq!((report.recovery(), report.elapsed()), (None, SECOND));
}

#[test]
fn calm_phase_ends_a_wait_without_other_events() {
    let mut simulation = Simulation::builder().build();
    simulation.host("server", echo::<4>);
    simulation.calm_after(BEGIN, SECOND);
    simulation.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        sim::power_loss("server").unwrap();
        sleep(SECOND).await;
        // The packets are lost, and nothing else is to come.
        timeout(SECOND, stream.read_exact([0; 4]))
            .await
            .unwrap_err();
        drop(stream);
        io::Result::Ok(())
    });
    simulation.client("waiting", async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        listener.accept().await.map(drop)
    });
    let calls = Rc::new(Cell::new(0));
    let made = Rc::clone(&calls);
    simulation.host("caller", move || {
        made.set(made.get() + 1);
        let start = made.get();
        async move {
            if start == 1 {
                sim::crash("caller").unwrap();
                return pending().await;
            }
            TcpStream::connect("waiting:80").await.map(drop)
        }
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(calls.get(), 2);
    assert!(report.recovery().unwrap() < SECOND);
}

#[test]
fn deadlock_in_the_calm_phase_is_an_error_at_once() {
    let mut simulation = Simulation::builder().build();
    simulation.calm_after(BEGIN, 60 * SECOND);
    simulation.client("client", pending::<()>());
    let error = simulation.run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Deadlock(_)), "{error}");
    assert_eq!(error.at(), BEGIN);
}

#[test]
fn restart_in_the_calm_phase_starts_programs_that_have_ended() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().build();
    simulation.host("short", move || {
        let log = log.clone();
        async move {
            log.add(format!("begin {}", seconds()));
            sleep(SECOND).await;
            log.add(format!("end {}", seconds()));
        }
    });
    simulation.calm_after(SECOND * 2, 10 * SECOND);
    simulation.client("client", async {
        sleep(4 * SECOND).await;
        sim::restart("short")?;
        sleep(SECOND / 2).await;
        // It runs.
        sim::restart("short")?;
        sim::crash("short")?;
        sleep(SECOND).await;
        // It does not run.
        sim::power_loss("short")?;
        sim::restart("short")?;
        sleep(SECOND / 2).await;
        Ok::<_, sim::Error>(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let expected = ["begin 0", "end 1", "begin 4", "end 5", "begin 5.5"];
    assert_eq!(seen.entries(), expected);
}

/// A client that needs the server of this name after the begin of the calm phase.
fn with_core(needed: &'static str) -> Result<Report, sim::Error> {
    let mut simulation = Simulation::builder().build();
    for name in ["one", "two", "three"] {
        simulation.host(name, echo::<4>);
    }
    simulation.calm_core_after(BEGIN, 20 * SECOND, ["one", "two"]);
    simulation.client("client", async move {
        for name in ["one", "three"] {
            sim::crash(name)?;
            all_faults(&sim::disk(name)?);
        }
        sleep(BEGIN + SECOND).await;
        // Neither has an effect.
        sim::restart("three")?;
        sim::network()?.calm();
        assert_eq!(sim::disk("one")?.faults(), DiskFaults::default());
        assert_ne!(sim::disk("three")?.faults(), DiskFaults::default());
        while timeout(SECOND, use_echo(needed)).await.is_err() {}
        Ok::<_, sim::Error>(())
    });
    simulation.run()
}

#[test]
fn hosts_outside_of_the_core_are_cut_off() {
    for name in ["one", "two"] {
        let report = with_core(name).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.recovery().unwrap() < 2 * SECOND);
    }
    let error = with_core("three").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoRecovery(_)), "{error}");
}

#[test]
fn summary_counts_restarts_and_calm_phases() {
    let summary = sim::run_seeds(0..4, |simulation| {
        let seconds = simulation.seed() as u32;
        simulation.host("server", async || {
            sleep(SECOND).await;
            fail()
        });
        let after = SECOND..=SECOND;
        simulation.restart_policy("server", Restart::OnFailure { after });
        simulation.calm_after(SECOND * 3 / 2, BEGIN);
        simulation.client("client", async move {
            sleep(seconds * SECOND + SECOND / 4).await
        });
    });
    let summary = summary.unwrap();
    assert_eq!(summary.restarts(), 2);
    assert_eq!(summary.calm_in(), 2);
    assert_eq!(summary.longest_recovery(), SECOND * 7 / 4);
    let text = summary.to_string();
    let expected = "\nrestarts: 2\ncalm phases: 2, longest recovery: 1.75s";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn clocks_do_not_change_in_the_calm_phase() {
    let mut simulation = Simulation::builder().build();
    simulation.calm_after(SECOND, 60 * SECOND);
    simulation.client("client", async {
        let clock = sim::clock("client")?;
        let faults = ClockFaults {
            skew_millis: 500,
            drift_ppm: 0,
        };
        clock.set(faults.clone());
        sleep(2 * SECOND).await;
        let before = sim::system_time();
        clock.set(clock.draw());
        clock.step(-30_000);
        assert_eq!((sim::system_time(), clock.faults()), (before, faults));
        Ok::<_, sim::Error>(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}
