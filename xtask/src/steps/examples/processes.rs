//! The examples that run until they are stopped: the supervisor with real commands, the tail of a
//! log that is rotated and truncated. Also the count, against `wc`.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Child,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use super::{LIMIT, example};
use crate::run::{Line, Outcome, Run};

/// The time limit of an expected line.
const LINE_LIMIT: Duration = Duration::from_secs(20);

/// The number of lines added at once, and of log rotations during that.
const LINES: usize = 20_000;
const ROTATIONS: usize = 20;

pub(crate) fn supervise(run: &mut Run) -> Outcome {
    let commands = ["seq 3", "false", "/no/such/program", "sleep 300"];
    let mut program = Program::start(example(run, "supervise").arguments(commands))?;
    let mut due = vec![
        "[1] 1",
        "[1] 2",
        "[1] 3",
        "[1] * exit status: 0",
        "[2] * exit status: 1",
        // It was started again, with a longer delay each time.
        "[2] * again in 200ms",
        "[3] * cannot be run: No such file or directory (os error 2)",
    ];
    while !due.is_empty() {
        let line = program.line()?;
        due.retain(|due| *due != line);
    }
    // Only to the supervisor, which must forward it.
    run.program("kill")
        .arguments(["-INT".to_owned(), program.child.id().to_string()])
        .run()?;
    program.to_line("[4] * signal: 15 (SIGTERM)")?;
    let status = program.child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("it ends with {status}"))
    }
}

pub(crate) fn tail(run: &mut Run) -> Outcome {
    if !run.require(
        cfg!(target_os = "linux"),
        "the example tail",
        "this is not Linux",
    )? {
        return Ok(());
    }
    let folder = run.scratch("tail")?;
    let log = folder.join("log");
    let old = |round: usize| folder.join(format!("log.{round}"));
    let failed = |error: std::io::Error| format!("{}: {error}", log.display());
    let before: String = (1..=30)
        .map(|number| format!("before {number}\n"))
        .collect();
    fs::write(&log, before).map_err(failed)?;

    let program = Program::start(example(run, "tail").path(&log))?;
    for number in 21..=30 {
        program.expect(&format!("before {number}"))?;
    }
    add(&log, "added").map_err(failed)?;
    program.expect("added")?;

    let mut writer = append(&log).map_err(failed)?;
    for number in 0..LINES {
        if number % (LINES / ROTATIONS) == 0 {
            // The writer still uses the old file for a while.
            fs::rename(&log, old(number)).map_err(failed)?;
            writeln!(writer, "the last of {number}").map_err(failed)?;
            writer = append(&log).map_err(failed)?;
        }
        writeln!(writer, "line {number}").map_err(failed)?;
        if (number + 1) % (LINES / ROTATIONS) == 0 {
            // One rotation at a time: a file that is renamed twice is not found any more.
            let first = number + 1 - LINES / ROTATIONS;
            program.expect(&format!("the last of {first}"))?;
            for number in first..=number {
                program.expect(&format!("line {number}"))?;
            }
        }
    }
    File::create(&log).map_err(failed)?;
    // No tail can detect that a file was truncated and refilled at once.
    thread::sleep(Duration::from_millis(200));
    add(&log, "after the cut").map_err(failed)?;
    program.expect("after the cut")?;
    fs::remove_dir_all(&folder).map_err(failed)
}

fn append(path: &Path) -> std::io::Result<File> {
    File::options().append(true).create(true).open(path)
}

fn add(path: &Path, line: &str) -> std::io::Result<()> {
    writeln!(append(path)?, "{line}")
}

pub(crate) fn count(run: &mut Run) -> Outcome {
    let mut files = Vec::new();
    for package in run.workspace().crates() {
        files.push(package.folder.join("src/lib.rs").display().to_string());
    }
    let ours = example(run, "count")
        .arguments(&files)
        .print_within(LIMIT)?;
    let theirs = run
        .program("wc")
        .words("-l")
        .arguments(&files)
        .print_within(LIMIT)?;
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| line.contains('/'))
            .map(|line| line.trim().to_owned())
            .collect();
        lines.sort_unstable();
        lines
    };
    print!("{}", ours.stdout);
    let same = sorted(&ours.stdout) == sorted(&theirs.stdout);
    if ours.status.success() && same && !files.is_empty() {
        Ok(())
    } else {
        Err(format!("wc says\n{}{}", theirs.stdout, ours.stderr))
    }
}

/// A program that runs until this is dropped, and the lines that it prints.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(line: Line) -> Outcome<Self> {
        let mut child = line.start()?;
        let stdout = child.stdout.take();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines())
            {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn line(&self) -> Outcome<String> {
        let line = self.lines.recv_timeout(LINE_LIMIT);
        line.map_err(|_| "there is no further line".into())
    }

    fn expect(&self, expected: &str) -> Outcome {
        match self.line()? {
            line if line == expected => Ok(()),
            line => Err(format!("not `{expected}`, but `{line}`")),
        }
    }

    fn to_line(&self, expected: &str) -> Outcome {
        while self.line()? != expected {}
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // If it has exited by itself, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
