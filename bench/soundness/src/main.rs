//! Runs soundness scenarios on compio and on other runtimes, and reports each outcome.
//!
//! Each scenario runs on each contender in a process of its own, which this program starts, monitors
//! and ends: a hang and a crash are results like any other.
//!
//! | file | content |
//! |---|---|
//! | `main` | the command line, and the order of the runs |
//! | `attempt` | one scenario on one contender, in its process |
//! | `table` | the result as Markdown |
//! | `scenarios/` | the scenarios |
//! | `contenders/` | an adapter for each runtime, after its documentation |
//! | `common` | shared code of the scenarios |
//! | `watch` | an allocator that detects writes to freed memory |

mod attempt;
mod common;
mod contender;
mod contenders;
mod scenarios;
mod table;
mod watch;

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lexopt::prelude::{Long, Short, Value, ValueExt};

use scenarios::{CONTENDERS, SCENARIOS};

#[global_allocator]
static ALLOCATOR: watch::Watch = watch::Watch;

const HELP: &str = "\
soundness [--only SCENARIO]... [--out FILE]

Tries each scenario on each runtime, prints a table, and writes it to results/soundness.md.
--only runs the scenarios whose names begin so, and writes only if --out is given.";

fn main() -> Result<(), lexopt::Error> {
    let mut only = Vec::<String>::new();
    let mut out = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => only.push(parser.value()?.parse()?),
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("descriptors") => {
                println!("{}", common::descriptors());
                return Ok(());
            }
            Long("attempt") => {
                let scenario: usize = parser.value()?.parse()?;
                let contender: usize = parser.value()?.parse()?;
                (SCENARIOS[scenario].run)(contender);
                return Ok(());
            }
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Value(_) | Long(_) | Short(_) => return Err(argument.unexpected()),
        }
    }
    if out.is_none() && only.is_empty() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        out = Some(here.join("../results/soundness.md"));
    }
    let chosen: Vec<usize> = (0..SCENARIOS.len())
        .filter(|&index| {
            let name = SCENARIOS[index].name;
            only.is_empty() || only.iter().any(|begin| name.starts_with(begin.as_str()))
        })
        .collect();
    let seen = run(&chosen);
    let table = table::write(&chosen, &seen);
    println!("{table}");
    if let Some(out) = out {
        save(&out, &table).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Runs all attempts, two at a time, and returns the observations in the order of rows, then
/// columns.
fn run(chosen: &[usize]) -> Vec<Vec<String>> {
    let columns = CONTENDERS.len();
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(vec![vec![String::new(); columns]; chosen.len()]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (row, column) = (index / columns, index % columns);
                    let Some(&scenario) = chosen.get(row) else {
                        return;
                    };
                    let told = attempt::attempt(scenario, column);
                    let name = SCENARIOS[scenario].name;
                    eprintln!("{name}, {}: {told}", CONTENDERS[column]);
                    seen.lock().expect("not poisoned")[row][column] = told;
                }
            });
        }
    });
    seen.into_inner().expect("not poisoned")
}

fn save(out: &std::path::Path, table: &str) -> io::Result<()> {
    if let Some(dir) = out.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(out, table)
}
