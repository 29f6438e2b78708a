//! The cost of each operation in user space, compared with the committed figures. A regression
//! fails. Costs are counted, not timed, so that a busy machine gives the same result. The cases are
//! in `bench/costs`; this module runs, divides and compares them.

mod figures;

use std::{env, fs, path::PathBuf, time::Duration};

use serde_json::Value;

use self::figures::{Changes, Costs, FILE, Figures, Row, number};
use super::debian;
use crate::run::{Line, Outcome, Printed, Run};

/// Writes new figures instead, if set to `write`.
const WISH: &str = "COMPIO_COSTS";
const HOW_TO_WRITE: &str = "`COMPIO_COSTS=write cargo xtask bench-check` writes new figures";

/// The long run has this many times the count of the short one. Their difference is the cost of
/// the operations alone.
const LONGER: usize = 3;

/// The time limit of one run. Under valgrind most need a second.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn run(run: &mut Run) -> Outcome {
    if !valgrind(run)? {
        return Ok(());
    }
    let bench = Bench {
        program: build(run)?,
        profiles: run.scratch("costs")?,
    };
    let now = Figures {
        tools: tools(run),
        rows: bench.measure(run)?,
    };
    let path = run.workspace().root().join(FILE);
    let failed = |error| format!("{FILE}: {error}");
    if env::var(WISH).is_ok_and(|wish| wish == "write") {
        fs::write(&path, now.print()).map_err(failed)?;
        println!("{FILE} is written:\n{}", now.print());
        return Ok(());
    }
    let then = Figures::parse(&fs::read_to_string(&path).map_err(failed)?)?;
    println!("{}", now.table(&then));
    let same_tools = then.are_by(&now.tools);
    if !same_tools {
        let why = format!(
            "figures by {}, but this is {}; {HOW_TO_WRITE}",
            then.tools, now.tools
        );
        run.skip("bench-check: instructions are not judged", &why);
    }
    let Changes {
        losses,
        gains,
        unknown,
    } = now.changes(&then, same_tools);
    if !gains.is_empty() {
        println!("an operation costs less than it did:\n{gains}{HOW_TO_WRITE}");
    }
    if !losses.is_empty() {
        return Err(format!(
            "an operation costs more than it did:\n{losses}\
             `callgrind_annotate {}/CASE.BACKEND` shows where; if it is worth it, {HOW_TO_WRITE}",
            bench.profiles.display(),
        ));
    }
    if !unknown.is_empty() {
        return Err(format!(
            "{FILE} has no figures for:\n{unknown}{HOW_TO_WRITE}"
        ));
    }
    Ok(())
}

/// Whether valgrind is installed, or can be.
fn valgrind(run: &mut Run) -> Outcome<bool> {
    let there = |run: &Run| version(run, "valgrind --version").is_some();
    if !there(run) {
        debian::install(run, "valgrind");
    }
    let there = there(run);
    run.require(
        there,
        "bench-check",
        "no valgrind: `apt-get install valgrind`",
    )
}

/// The tools that determine the number of instructions.
fn tools(run: &Run) -> String {
    let questions = [
        "rustc --version",
        "valgrind --version",
        "getconf GNU_LIBC_VERSION",
    ];
    let answers = questions.map(|line| version(run, line).unwrap_or("?".into()));
    format!(
        "{}, {} {}",
        answers.join(", "),
        env::consts::ARCH,
        processor()
    )
}

/// Family and model of the processor: the C library chooses its memory copy by them. Several
/// processors with the same figures may stand in the file, separated by `+`.
fn processor() -> String {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name| {
        let mut lines = told.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.trim() == name);
        found.map_or("?", |(_, value)| value.trim())
    };
    format!("{}/{}", value("cpu family"), value("model"))
}

fn version(run: &Run, line: &str) -> Option<String> {
    let (program, words) = line.split_once(' ')?;
    run.program(program).words(words).quiet()
}

/// Builds the program like the rest of `bench/`, and gets its path from cargo.
fn build(run: &Run) -> Outcome<PathBuf> {
    let messages = run
        .cargo("build --release -p costs --message-format json-render-diagnostics")
        .folder("bench")
        .stdout()?;
    let built = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "costs";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    built.ok_or("cargo does not print the path of `costs`".into())
}

/// The program, and the directory for the profiles of its runs.
struct Bench {
    program: PathBuf,
    profiles: PathBuf,
}

impl Bench {
    /// Runs every case on every available backend of its list.
    fn measure(&self, run: &mut Run) -> Outcome<Vec<Row>> {
        let listed = run.program(&self.program).stdout()?;
        let mut absent = Vec::new();
        for backend in ["io-uring", "poll"] {
            let try_it = self.work(run, "nop", 64, backend);
            if !run.require(
                try_it.quiet().is_some(),
                &format!("bench-check: {backend}"),
                "the kernel does not allow it",
            )? {
                absent.push(backend);
            }
        }
        let mut rows = Vec::new();
        for line in listed.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [case, count, backends @ ..] = &words[..] else {
                return Err(format!("`costs` lists something unknown: {line}"));
            };
            let count = number(count)?;
            for backend in backends.iter().filter(|name| !absent.contains(name)) {
                rows.push(Row {
                    case: (*case).into(),
                    backend: (*backend).into(),
                    costs: self.costs(run, case, count, backend)?,
                });
            }
        }
        Ok(rows)
    }

    fn costs(&self, run: &Run, case: &str, count: usize, backend: &str) -> Outcome<Costs> {
        let counted = |count| {
            let work = self.work(run, case, count, backend);
            let [allocations, enters] = own_counts(work)?;
            let instructions = self.instructions(run, case, count, backend)?;
            Ok::<_, String>([instructions, allocations, enters])
        };
        let (short, long) = (counted(count)?, counted(LONGER * count)?);
        let operations = ((LONGER - 1) * count) as f64;
        let each = |index: usize| (long[index] - short[index]) / operations;
        Ok(Costs {
            instructions: each(0),
            allocations: each(1),
            enters: each(2),
        })
    }

    /// The instructions of a whole run. Keeps the profile of the case's last run.
    fn instructions(&self, run: &Run, case: &str, count: usize, backend: &str) -> Outcome<f64> {
        let profile = self.profiles.join(format!("{case}.{backend}"));
        let line = run
            .program("valgrind")
            .words("--tool=callgrind")
            .arguments([format!("--callgrind-out-file={}", profile.display())])
            .path(&self.program)
            .arguments([case, &count.to_string()])
            .variable("COMPIO_BACKEND", backend);
        let said = printed(line)?.stderr;
        let collected = said.lines().find_map(|line| line.split_once("Collected :"));
        let (_, instructions) = collected.ok_or(format!("callgrind counted nothing:\n{said}"))?;
        number(instructions)
    }

    fn work(&self, run: &Run, case: &str, count: usize, backend: &str) -> Line {
        run.program(&self.program)
            .arguments([case, &count.to_string()])
            .variable("COMPIO_BACKEND", backend)
    }
}

/// The allocations and enters that the program prints.
fn own_counts(work: Line) -> Outcome<[f64; 2]> {
    let text = printed(work)?.stdout;
    let (allocations, enters) = text
        .split_once(' ')
        .ok_or(format!("`costs` prints something unknown: {text}"))?;
    Ok([number(allocations)?, number(enters)?])
}

fn printed(line: Line) -> Outcome<Printed> {
    let printed = line.print_within(LIMIT)?;
    if printed.status.success() {
        return Ok(printed);
    }
    Err(format!("{}\n{}", printed.status, printed.stderr))
}
