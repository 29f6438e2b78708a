//! Random programs on a [kernel in memory](crate::sys::sim): operations of all kinds, begun, polled,
//! cancelled, dropped and forgotten at random moments, while that kernel does what it likes.
//!
//! A program is its seed's: see `dice.rs` how to repeat one.
//!
//! `table.rs` is where the players of a program sit, and what all of it must come to; `players.rs`
//! what they do, `things.rs` the buffers and wakers that watch.

mod players;
mod table;
mod things;

use std::{
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use self::table::{End, Manners, Table};
use crate::sys::sim::{Dice, seeds};

/// How many programs there are of each kind, unless the environment says otherwise.
const PROGRAMS: u64 = 300;

/// Each program may have a few hundred descriptors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run_programs(manners: Manners, end: End) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in seeds(PROGRAMS) {
        run_program(seed, manners, end);
    }
}

/// Returns what has happened.
fn run_program(seed: u64, manners: Manners, end: End) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let steps = dice.pick(&[20, 100, 300]);
    let table = Table::new(dice, manners);
    for _ in 0..steps {
        table.step();
    }
    let trace = table.end(end);
    assert_eq!(Rc::strong_count(&table), 1, "somebody sits there still");
    let sim = table.sim.clone();
    drop(table);
    sim.kernel().check_end();
    trace
}

#[test]
fn whoever_waits_loses_nothing() {
    run_programs(Manners::Patient, End::Await);
}

#[test]
fn whoever_waits_loses_nothing_by_a_shutdown() {
    run_programs(Manners::Patient, End::ShutDown);
}

#[test]
fn what_is_dropped_is_over_soon() {
    run_programs(Manners::Careless, End::Drop);
}

#[test]
fn others_get_theirs_beside_the_careless() {
    run_programs(Manners::Careless, End::Await);
}

#[test]
fn a_shutdown_ends_what_the_careless_have_left() {
    run_programs(Manners::Careless, End::ShutDown);
}

#[test]
fn a_seed_tells_all() {
    for seed in 0..20 {
        let run = || run_program(seed, Manners::Careless, End::Await);
        assert_eq!(run(), run());
    }
}
