//! Virtual time.

use std::time::{Duration, Instant};

use compio::{
    sim::{self, Simulation},
    task, time,
};

use super::{Log, run_one};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn sleep_takes_its_time_exactly() {
    let real = Instant::now();
    let report = run_one(async {
        let begin = time::now();
        time::sleep(HOUR).await;
        assert_eq!(time::now() - begin, HOUR);
        assert_eq!(sim::elapsed(), Some(HOUR));
        Ok(())
    });
    assert_eq!(report.elapsed(), HOUR);
    assert!(real.elapsed() < HOUR / 60);
}

#[test]
fn timers_of_all_hosts_fire_in_order() {
    let log = Log::default();
    let mut simulation = Simulation::builder().build();
    for (name, millis) in [("a", 30), ("b", 10), ("c", 25)] {
        let log = log.clone();
        simulation.client(name, async move {
            for _ in 0..2 {
                time::sleep(Duration::from_millis(millis)).await;
                log.add(name);
            }
        });
    }
    simulation.run().unwrap();
    assert_eq!(log.entries(), ["b", "b", "c", "a", "c", "a"]);
}

#[test]
fn timeout_and_interval_use_virtual_time() {
    run_one(async {
        let wait = time::timeout(HOUR, std::future::pending::<()>()).await;
        assert!(wait.is_err());
        let mut interval = time::interval(Duration::from_secs(60));
        let begin = time::now();
        for _ in 0..=60 {
            interval.tick().await;
        }
        assert_eq!(time::now() - begin, HOUR);
        Ok(())
    });
}

#[test]
fn clock_stands_still_while_tasks_are_ready() {
    run_one(async {
        let begin = time::now();
        for _ in 0..1000 {
            task::yield_now().await;
        }
        assert_eq!(time::now(), begin);
        Ok(())
    });
}
