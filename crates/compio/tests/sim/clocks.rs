//! Skew and drift of the clocks of hosts.

use std::{
    io,
    time::{Duration, SystemTime},
};

use compio::{
    fs, runtime,
    sim::{self, ClockFaults, Simulation},
    task, time,
};

use super::{Log, run_one};

const SECOND: Duration = Duration::from_secs(1);

fn elapsed() -> Duration {
    sim::elapsed().unwrap()
}

fn drift(drift_ppm: i32) -> ClockFaults {
    ClockFaults {
        drift_ppm,
        ..ClockFaults::default()
    }
}

fn skew(skew_millis: i64) -> ClockFaults {
    ClockFaults {
        skew_millis,
        ..ClockFaults::default()
    }
}

/// The milliseconds by which the wall clock of the current host is ahead of the true time.
fn error_of_wall_clock() -> i128 {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    let shown = match sim::system_time().unwrap().duration_since(epoch) {
        Ok(since) => since.as_millis() as i128,
        Err(error) => -(error.duration().as_millis() as i128),
    };
    shown - elapsed().as_millis() as i128
}

/// Runs a client with these faults of its clocks.
#[track_caller]
fn run_with<C>(faults: ClockFaults, client: C)
where
    C: Future<Output = io::Result<()>> + 'static,
{
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.client("client", client).clock("client", faults);
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn sleep_on_a_fast_clock_is_short() {
    run_with(drift(100), async {
        let begin = time::now();
        time::sleep(SECOND).await;
        assert_eq!(time::now() - begin, SECOND);
        // 1 / 1.0001 seconds, rounded up.
        assert_eq!(elapsed(), Duration::from_nanos(999_900_010));
        Ok(())
    });
}

#[test]
fn sleep_on_a_slow_clock_is_long() {
    run_with(drift(-100), async {
        time::sleep(SECOND).await;
        assert_eq!(elapsed(), Duration::from_nanos(1_000_100_011));
        Ok(())
    });
}

#[test]
fn timers_of_a_drifting_host_need_one_turn_each() {
    const SLEEPS: u64 = 1000;
    for ppm in [0, 1, -1, 77, -333, 500_000, -500_000] {
        run_with(drift(ppm), async {
            let turns = || runtime::Handle::current().metrics().turn_count();
            let before = turns();
            for _ in 0..SLEEPS {
                let begin = time::now();
                let wait = Duration::from_nanos(1 + sim::rng().below(1 << 36));
                time::sleep(wait).await;
                let late = time::now() - begin - wait;
                // The true time has no parts of nanoseconds.
                assert!(late <= Duration::from_nanos(1), "{late:?}");
            }
            assert!(turns() - before <= 2 * SLEEPS + 2, "{}", turns() - before);
            Ok(())
        });
    }
}

#[test]
fn interval_of_a_drifting_host_ticks_once_per_period() {
    run_with(drift(500), async {
        let mut interval = time::interval(SECOND);
        for _ in 0..=3600 {
            interval.tick().await;
        }
        // 3600 / 1.0005 seconds.
        assert_eq!(elapsed().as_millis(), 3_598_200);
        Ok(())
    });
}

#[test]
fn change_of_the_drift_moves_a_pending_timer() {
    let mut simulation = Simulation::builder().build();
    simulation.client("sleeper", async {
        let begin = time::now();
        time::sleep(100 * SECOND).await;
        assert_eq!(time::now() - begin, 100 * SECOND);
        // 50 seconds at the true rate, 50 at half of it, and the clock never went back.
        assert_eq!(elapsed(), 150 * SECOND);
    });
    simulation.client("operator", async {
        time::sleep(50 * SECOND).await;
        sim::clock("sleeper").unwrap().set(drift(-500_000));
    });
    simulation.run().unwrap();
}

#[test]
fn monotonic_clock_never_goes_back() {
    run_one(async {
        let clock = sim::clock("client").unwrap();
        let mut last = time::now();
        for _ in 0..1000 {
            time::sleep(Duration::from_millis(sim::rng().below(1000))).await;
            clock.set(clock.draw());
            clock.step(-1_000_000);
            assert!(time::now() >= last);
            last = time::now();
        }
        Ok(())
    });
}

#[test]
fn wall_clock_has_skew_drift_and_steps() {
    let faults = ClockFaults {
        skew_millis: -500,
        drift_ppm: 100,
    };
    run_with(faults, async {
        assert_eq!(error_of_wall_clock(), -500);
        time::sleep(Duration::from_secs(86_400)).await;
        let gained = error_of_wall_clock() + 500;
        assert!((8639..=8640).contains(&gained), "{gained}");
        let clock = sim::clock("client").unwrap();
        let before = time::now();
        clock.step(2000);
        assert_eq!(error_of_wall_clock(), gained + 1500);
        // Without the error of the earlier drift.
        clock.set(skew(7));
        assert_eq!(error_of_wall_clock(), 7);
        assert_eq!(time::now(), before);
        time::sleep(SECOND).await;
        assert_eq!(error_of_wall_clock(), 7);
        Ok(())
    });
}

#[test]
fn files_have_the_times_of_the_wall_clock() {
    run_with(skew(-3_600_000), async {
        time::sleep(SECOND).await;
        fs::write("/file", "content").await.0?;
        let modified = fs::metadata("/file").await?.modified()?;
        assert_eq!(Some(modified), sim::system_time());
        sim::clock("client").unwrap().step(-1000);
        fs::write("/file", "other").await.0?;
        let again = fs::metadata("/file").await?.modified()?;
        assert_eq!(modified, again + SECOND);
        Ok(())
    });
}

#[test]
fn skew_and_drift_survive_restarts() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().build();
    simulation.host("server", move || {
        let log = log.clone();
        async move {
            log.add(error_of_wall_clock().to_string());
            std::future::pending::<()>().await;
        }
    });
    let faults = ClockFaults {
        skew_millis: 250,
        drift_ppm: 1000,
    };
    simulation.clock("server", faults);
    simulation.client("operator", async {
        time::sleep(100 * SECOND).await;
        sim::restart("server")?;
        time::sleep(100 * SECOND).await;
        sim::power_loss("server")?;
        time::sleep(100 * SECOND).await;
        sim::restart("server")?;
        time::sleep(SECOND).await;
        Ok::<_, sim::Error>(())
    });
    simulation.run().unwrap();
    assert_eq!(seen.entries(), ["250", "350", "550"]);
}

#[test]
fn clocks_of_other_hosts_are_true() {
    let mut simulation = Simulation::builder().build();
    simulation.client("wrong", async { assert_eq!(error_of_wall_clock(), 60_000) });
    simulation.client("right", async { assert_eq!(error_of_wall_clock(), 0) });
    simulation.clock("wrong", skew(60_000));
    simulation.run().unwrap();
}

#[cfg(feature = "test-util")]
#[test]
fn paused_clock_of_a_drifting_host_stands_still() {
    run_with(drift(-500_000), async {
        time::pause();
        let begin = time::now();
        time::sleep(100 * SECOND).await;
        assert_eq!(time::now() - begin, 100 * SECOND);
        time::advance(SECOND).await;
        assert_eq!(time::now() - begin, 101 * SECOND);
        assert_eq!(elapsed(), Duration::ZERO);
        time::resume();
        time::sleep(SECOND).await;
        assert_eq!(time::now() - begin, 102 * SECOND);
        assert_eq!(elapsed(), 2 * SECOND);
        Ok(())
    });
}

#[test]
fn draws_switch_each_fault_off_in_half_of_the_seeds() {
    let mut on = [0; 2];
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.client("client", async move {
            let faults = sim::clock("client").unwrap().draw();
            log.add(if faults.skew_millis == 0 { "" } else { "skew" });
            log.add(if faults.drift_ppm == 0 { "" } else { "drift" });
        });
        simulation.run().unwrap();
        for (count, entry) in on.iter_mut().zip(seen.entries()) {
            *count += usize::from(!entry.is_empty());
        }
    }
    assert!(on.iter().all(|count| (25..=75).contains(count)), "{on:?}");
}

#[test]
fn clock_of_no_host_is_an_error() {
    run_one(async {
        let error = sim::clock("other").unwrap_err();
        assert!(matches!(error.kind(), sim::ErrorKind::UnknownHost));
        Ok(())
    });
    assert_eq!(sim::system_time(), None);
}

#[test]
#[should_panic = "a drift of 500001 ppm is not in -500,000..=500,000"]
fn drift_out_of_range_is_refused() {
    let mut simulation = Simulation::builder().build();
    simulation
        .client("client", async {})
        .clock("client", drift(500_001));
}

#[test]
fn timers_of_many_tasks_share_a_drifting_clock() {
    run_with(drift(333), async {
        let mut tasks = task::JoinSet::new();
        for number in 1..=100 {
            tasks.spawn(async move {
                let begin = time::now();
                for _ in 0..10 {
                    time::sleep(Duration::from_micros(number * 37)).await;
                }
                let late = time::now() - begin - Duration::from_micros(number * 370);
                assert!(late <= Duration::from_nanos(10), "{late:?}");
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        Ok(())
    });
}
