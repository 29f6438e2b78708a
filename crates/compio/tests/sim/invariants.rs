//! Invariants after each step, and false assertions in any task.

use std::{cell::Cell, error::Error as _, io, rc::Rc, time::Duration};

use compio::{
    sim::{self, ErrorKind, Simulation, assert_always},
    task,
    time::sleep,
};

/// Two hosts that count in one cell, one second after the other, up to 6 seconds.
fn counters(seed: u64) -> (Simulation, Rc<Cell<u64>>) {
    let mut simulation = Simulation::builder().seed(seed).build();
    let sum = Rc::new(Cell::new(0));
    for (name, first) in [("even", 2), ("odd", 1)] {
        let sum = Rc::clone(&sum);
        simulation.client(name, async move {
            sleep(Duration::from_secs(first)).await;
            for _ in 0..3 {
                sum.set(sum.get() + 1);
                sleep(Duration::from_secs(2)).await;
            }
        });
    }
    (simulation, sum)
}

#[test]
fn invariant_is_counted_after_each_step() {
    let (mut simulation, sum) = counters(0);
    let (seen, last) = (Rc::<Cell<u64>>::default(), Rc::clone(&sum));
    let of_test = Rc::clone(&seen);
    simulation.invariant("no step is missed", move || {
        assert_eq!(sim::elapsed().unwrap().as_secs().min(6), sum.get());
        seen.set(seen.get() + 1);
    });
    simulation.must_reach("no step is missed");
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let counts = report.assertion("no step is missed").unwrap();
    assert_eq!(counts.evaluated, report.steps());
    assert_eq!(counts.held, report.steps());
    assert_eq!(of_test.get(), report.steps());
    assert_eq!(last.get(), 6);
}

#[test]
fn violation_names_invariant_seed_time_and_host() {
    let (mut simulation, sum) = counters(9);
    simulation.invariant("the sum is small", move || match sum.get() {
        ..5 => Ok(()),
        sum => Err(format!("the sum is {sum}")),
    });
    let error = simulation.run().unwrap_err();
    let text =
        "seed 9, virtual time 5s, host `odd`: `the sum is small` does not hold: the sum is 5";
    assert_eq!(error.to_string(), text);
    assert!(
        matches!(error.kind(), ErrorKind::Violated { name, .. } if name == "the sum is small"),
        "{error:?}"
    );
    assert_eq!(error.source().unwrap().to_string(), "the sum is 5");
}

#[test]
fn panic_of_an_invariant_is_a_violation() {
    let (mut simulation, sum) = counters(9);
    simulation.invariant("the sum is small", move || assert!(sum.get() < 4, "large"));
    let error = simulation.run().unwrap_err();
    let text = "seed 9, virtual time 4s, host `even`: `the sum is small` does not hold: large";
    assert_eq!(error.to_string(), text);
}

/// Is true while it lives.
struct IsAlive(Rc<Cell<bool>>);

impl Drop for IsAlive {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[test]
fn invariant_sees_a_crash_of_the_same_step() {
    let is_alive = Rc::<Cell<bool>>::default();
    let mut simulation = Simulation::builder().build();
    let alive = Rc::clone(&is_alive);
    simulation.host("host", move || {
        let alive = Rc::clone(&alive);
        async move {
            alive.set(true);
            let _alive = IsAlive(alive);
            std::future::pending::<()>().await
        }
    });
    simulation.client("client", async {
        sleep(Duration::from_secs(1)).await;
        sim::crash("host")?;
        sleep(Duration::from_secs(1)).await;
        Ok::<_, sim::Error>(())
    });
    simulation.invariant("the host is alive", move || {
        assert!(sim::host_name().is_some());
        if is_alive.get() {
            Ok(())
        } else {
            Err("it has crashed")
        }
    });
    let error = simulation.run().unwrap_err();
    let text =
        "seed 0, virtual time 1s, host `client`: `the host is alive` does not hold: it has crashed";
    assert_eq!(error.to_string(), text);
}

#[test]
fn false_assertion_of_a_detached_task_fails_the_run() {
    let mut simulation = Simulation::builder().seed(5).build();
    simulation.host("server", async || {
        task::spawn(async {
            sleep(Duration::from_secs(1)).await;
            assert_always(false, "no byte is lost");
        })
        .detach();
        std::future::pending::<()>().await
    });
    simulation.client("client", async { sleep(Duration::from_secs(2)).await });
    let error = simulation.run().unwrap_err();
    let text = "seed 5, virtual time 1s, host `server`: `no byte is lost` does not hold";
    assert_eq!(error.to_string(), text);
    // The next run is not concerned.
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {});
    simulation.run().unwrap();
}

#[test]
fn false_assertion_is_the_cause_of_another_error() {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {
        let task = task::spawn(async { assert_always(false, "no byte is lost") });
        task.await
            .map_err(|_| io::Error::other("the task has ended"))
    });
    let error = simulation.run().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Violated { name, reason: None } if name == "no byte is lost"),
        "{error}"
    );
}
