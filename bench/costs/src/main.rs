//! Runs compio's everyday operations a given number of times: for `cargo xtask bench-check`, which counts
//! the cost of one operation.
//!
//! ```text
//! costs                  the cases, each with a count that is enough, and the backends that matter
//! costs CASE COUNT       does it, and prints: allocations, enters
//! ```
//!
//! Both counts cover the whole process. Start-up, shutdown and growth cost the same for every count. So
//! the difference of two runs is the cost of the operations. There is no warm-up. The same holds for
//! counts by other tools, such as instructions.

mod cases;
mod count;

use std::{env, error::Error, process::ExitCode};

use cases::{CASES, Case};
use compio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => {
            list();
            Ok(())
        }
        [name, count] => run(name, count),
        _ => Err("usage: costs [CASE COUNT]".into()),
    };
    if let Err(error) = done {
        eprintln!("costs: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn list() {
    for Case {
        name,
        count,
        backends,
        ..
    } in CASES
    {
        println!("{name} {count} {}", backends.join(" "));
    }
}

fn run(name: &str, count: &str) -> Result<(), Box<dyn Error>> {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| format!("there is no case `{name}`"))?;
    let count: usize = count.parse()?;
    if !count.is_multiple_of(case.at_once) {
        return Err(format!("the count must be a multiple of {}", case.at_once).into());
    }
    let runtime = Runtime::new()?;
    runtime.block_on((case.run)(case.at_once, count / case.at_once))?;
    let enters = runtime.enters();
    drop(runtime);
    println!("{} {enters}", count::allocations());
    Ok(())
}
