//! Random programs on a [simulated kernel](crate::sys::sim): they begin, poll, cancel, drop and leak
//! operations of all kinds at random moments, while that kernel behaves at random, too.
//!
//! The seed determines a program. See `rng.rs` for how to repeat one.
//!
//! `harness.rs` polls the actors of a program and checks its outcome, `actors.rs` has their code,
//! `probes.rs` the buffers and wakers that detect errors.

mod actors;
mod harness;
mod probes;

use std::{
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use self::harness::{DropPolicy, End, Harness};
use crate::sys::sim::{Rng, seeds};

/// The number of programs of each kind, unless the environment sets another.
const PROGRAMS: u64 = 300;

/// Serializes the programs, each of which may have a few hundred descriptors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run_programs(manners: DropPolicy, end: End) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in seeds(PROGRAMS) {
        run_program(seed, manners, end);
    }
}

/// Runs one program, and returns its trace.
fn run_program(seed: u64, manners: DropPolicy, end: End) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let steps = rng.pick(&[20, 100, 300]);
    let harness = Harness::new(rng, manners);
    for _ in 0..steps {
        harness.step();
    }
    let trace = harness.end(end);
    assert_eq!(Rc::strong_count(&harness), 1, "an actor is left");
    let sim = harness.sim.clone();
    drop(harness);
    sim.kernel().check_end();
    trace
}

#[test]
fn waiting_actors_lose_no_data() {
    run_programs(DropPolicy::Patient, End::Await);
}

#[test]
fn waiting_actors_lose_no_data_at_shutdown() {
    run_programs(DropPolicy::Patient, End::ShutDown);
}

#[test]
fn operations_of_dropped_actors_end() {
    run_programs(DropPolicy::Careless, End::Drop);
}

#[test]
fn remaining_actors_finish_after_random_drops() {
    run_programs(DropPolicy::Careless, End::Await);
}

#[test]
fn shutdown_ends_operations_of_dropped_actors() {
    run_programs(DropPolicy::Careless, End::ShutDown);
}

#[test]
fn a_seed_determines_the_trace() {
    for seed in 0..20 {
        let run = || run_program(seed, DropPolicy::Careless, End::Await);
        assert_eq!(run(), run());
    }
}
