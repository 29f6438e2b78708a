//! Random programs on a [kernel in memory](crate::sys::sim): operations of all kinds, begun, polled,
//! cancelled, dropped and forgotten at random moments, while that kernel does what it likes.
//!
//! A program is its seed's: see `rng.rs` how to repeat one.
//!
//! `harness.rs` is where the actors of a program sit, and what all of it must come to; `actors.rs`
//! what they do, `probes.rs` the buffers and wakers that watch.

mod actors;
mod harness;
mod probes;

use std::{
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use self::harness::{DropPolicy, End, Harness};
use crate::sys::sim::{Rng, seeds};

/// How many programs there are of each kind, unless the environment says otherwise.
const PROGRAMS: u64 = 300;

/// Each program may have a few hundred descriptors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run_programs(manners: DropPolicy, end: End) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in seeds(PROGRAMS) {
        run_program(seed, manners, end);
    }
}

/// Returns what has happened.
fn run_program(seed: u64, manners: DropPolicy, end: End) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let steps = rng.pick(&[20, 100, 300]);
    let harness = Harness::new(rng, manners);
    for _ in 0..steps {
        harness.step();
    }
    let trace = harness.end(end);
    assert_eq!(Rc::strong_count(&harness), 1, "somebody sits there still");
    let sim = harness.sim.clone();
    drop(harness);
    sim.kernel().check_end();
    trace
}

#[test]
fn whoever_waits_loses_nothing() {
    run_programs(DropPolicy::Patient, End::Await);
}

#[test]
fn whoever_waits_loses_nothing_by_a_shutdown() {
    run_programs(DropPolicy::Patient, End::ShutDown);
}

#[test]
fn what_is_dropped_is_over_soon() {
    run_programs(DropPolicy::Careless, End::Drop);
}

#[test]
fn others_get_theirs_beside_the_careless() {
    run_programs(DropPolicy::Careless, End::Await);
}

#[test]
fn a_shutdown_ends_what_the_careless_have_left() {
    run_programs(DropPolicy::Careless, End::ShutDown);
}

#[test]
fn a_seed_tells_all() {
    for seed in 0..20 {
        let run = || run_program(seed, DropPolicy::Careless, End::Await);
        assert_eq!(run(), run());
    }
}
