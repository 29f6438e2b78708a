//! The command line of the binaries, and the table of results.

use std::{env, fmt, process::ExitCode};

use crate::{
    End, Scenario, System,
    programs::{self, Kind, Program},
};

const USAGE: &str = "usage: [--check] [--seeds COUNT] [PROGRAM...]";

/// Runs all programs, or those of the command line, and prints a row for each. With `--check`, fails unless a seed finds each fault,
/// except those of `missed`, and unless no run fails without a fault.
pub fn report<S: System>(missed: &[&str]) -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Arguments {
        check,
        seeds,
        names,
    } = arguments;
    println!(
        "{}: runs that fail, of {seeds} seeds; in the last columns without the fault\n",
        S::NAME
    );
    println!("| program | failures | first seed | without the fault | first seed |");
    println!("|---|---|---|---|---|");
    let mut is_as_expected = true;
    for program in programs::all::<S>() {
        if names.is_empty() && program.kind == Kind::Load
            || !names.is_empty() && !names.iter().any(|name| name == program.name)
        {
            continue;
        }
        let row = row::<S>(&program, seeds);
        println!("{}", row.text);
        is_as_expected &= (row.is_found || missed.contains(&program.name)) && !row.has_failed;
    }
    if check && !is_as_expected {
        eprintln!("these are not the faults that {} finds", S::NAME);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Arguments {
    check: bool,
    seeds: u64,
    names: Vec<String>,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments {
        check: false,
        seeds: 1000,
        names: Vec::new(),
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => parsed.check = true,
            "--seeds" => parsed.seeds = words.next()?.parse().ok()?,
            word if word.starts_with('-') => return None,
            _ => parsed.names.push(word),
        }
    }
    Some(parsed)
}

struct Row {
    text: String,
    is_found: bool,
    /// Without a fault.
    has_failed: bool,
}

fn row<S: System>(program: &Program, seeds: u64) -> Row {
    let name = program.name;
    match program.kind {
        Kind::Fault => {
            let found = failures::<S>(program, seeds, true);
            let failed = failures::<S>(program, seeds, false);
            Row {
                text: format!("| {name} | {found} | {failed} |"),
                is_found: found.count > 0,
                has_failed: failed.count > 0,
            }
        }
        Kind::NoFault | Kind::Load => {
            let failed = failures::<S>(program, seeds, false);
            Row {
                text: format!("| {name} | | | {failed} |"),
                is_found: true,
                has_failed: failed.count > 0,
            }
        }
        Kind::Chance => {
            let records = |seed| {
                let scenario = build(program, seed, false);
                S::run(&scenario);
                scenario.observer.records()
            };
            let differ = (0..seeds)
                .filter(|seed| records(*seed) != records(*seed))
                .count();
            Row {
                text: format!("| {name} | | | {differ} seeds have two outcomes | |"),
                is_found: differ == 0,
                has_failed: false,
            }
        }
    }
}

fn build(program: &Program, seed: u64, faulty: bool) -> Scenario {
    let mut scenario = Scenario::new(seed);
    (program.build)(&mut scenario, faulty);
    scenario.faults.sort_by_key(|(at, _)| *at);
    scenario
}

/// The runs that failed.
#[derive(Default)]
struct Failures {
    count: u64,
    /// The first seed, and the promise that does not hold.
    first: Option<(u64, String)>,
    not_modelled: Option<String>,
}

fn failures<S: System>(program: &Program, seeds: u64, faulty: bool) -> Failures {
    let mut failures = Failures::default();
    for seed in 0..seeds {
        let scenario = build(program, seed, faulty);
        S::run(&scenario);
        let promise = match scenario.observer.end() {
            Some(End::Held) => continue,
            Some(End::NotModelled(function)) => {
                failures.not_modelled = Some(function);
                break;
            }
            Some(End::Violated(promise)) => promise,
            None => "it does not end".into(),
        };
        failures.count += 1;
        failures.first.get_or_insert((seed, promise));
    }
    failures
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            first,
            not_modelled,
        } = self;
        match (not_modelled, first) {
            (Some(function), _) => write!(f, "not modelled: {function} | –"),
            (None, Some((seed, promise))) => write!(f, "{count} | {seed}: {promise}"),
            (None, None) => write!(f, "{count} | –"),
        }
    }
}
