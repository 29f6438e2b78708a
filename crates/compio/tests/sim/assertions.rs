//! Assertions whose evaluations are counted.

use std::time::Duration;

use compio::{
    sim::{self, ErrorKind, Simulation, assert_always, assert_sometimes, run_seeds},
    time::sleep,
};

#[test]
fn evaluations_are_counted_over_all_hosts() {
    let mut simulation = Simulation::builder().build();
    simulation.host("host", async || {
        loop {
            assert_always(true, "all is well");
            assert_sometimes(false, "rare");
            sleep(Duration::from_secs(1)).await;
        }
    });
    simulation.client("client", async {
        assert_always(true, "all is well");
        sleep(Duration::from_millis(2500)).await;
        assert_sometimes(true, "rare");
    });
    let report = simulation.run().unwrap();
    let all = report.assertion("all is well").unwrap();
    assert_eq!((all.evaluated, all.held, all.is_sometimes), (4, 4, false));
    let rare = report.assertion("rare").unwrap();
    assert_eq!((rare.evaluated, rare.held, rare.is_sometimes), (4, 1, true));
    let names: Vec<_> = report
        .assertions()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(names, ["all is well", "rare"]);
    // The next run begins with none.
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {});
    assert_eq!(simulation.run().unwrap().assertions().count(), 0);
}

#[test]
fn false_assertion_fails_the_run_with_its_name() {
    let mut simulation = Simulation::builder().seed(5).build();
    simulation.client("client", async {
        sleep(Duration::from_secs(2)).await;
        assert_always(false, "no byte is lost");
    });
    let error = simulation.run().unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("seed 5, virtual time 2s, host `client`: "),
        "{text}"
    );
    assert!(text.contains("`no byte is lost` does not hold"), "{text}");
}

#[test]
fn required_assertion_without_an_evaluation_fails_the_run() {
    let mut simulation = Simulation::builder().build();
    simulation.must_reach("leader").must_reach("follower");
    simulation.client("client", async { assert_sometimes(false, "follower") });
    let error = simulation.run().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotReached(names) if names == &["leader"]),
        "{error}"
    );
    let text = "seed 0, virtual time 0ns: assertions were not evaluated: leader";
    assert_eq!(error.to_string(), text);
}

#[test]
fn state_that_no_seed_reaches_fails_all_seeds() {
    let run = |limit: u64| {
        run_seeds(0..20, move |simulation| {
            simulation.client("client", async move {
                assert_sometimes(sim::rng().below(4) < limit, "small");
            });
        })
    };
    run(2).unwrap();
    let error = run(0).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NeverHeld(names) if names == &["small"]),
        "{error}"
    );
    // No single seed repeats it.
    assert_eq!(error.seed(), None);
}

#[test]
#[should_panic(expected = "only possible in a program of a simulated host")]
fn assertion_outside_of_a_host_panics() {
    assert_always(true, "outside");
}
