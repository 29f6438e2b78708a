//! The published crates' tests and the examples on Windows, as far as Wine emulates it, and the
//! check for documented calls. A test that Wine cannot run reports that in the file that
//! `COMPIO_SKIPS` names, one line each. The lines are printed at the end.

mod ntdll;
mod wine;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use self::{ntdll::Rule, wine::Wine};
use super::library::Library;
use crate::run::{Line, Outcome, Run};

const TARGET: &str = "x86_64-pc-windows-gnu";

/// The directory below the target directory for all builds of this step.
const PLACE: &str = "windows";

/// The runner of test executables and doctests, with a time limit in seconds. cargo names the
/// failed one.
const RUNNER: &str = "timeout --foreground --kill-after=10 240 wine";

/// The time limit of a program that normally needs a second.
const LIMIT: Duration = Duration::from_secs(60);

/// The samples that the check must reject, with the reason.
const REFUSED: [(&str, &str); 4] = [
    ("imports.exe", "NtDeviceIoControlFile"),
    ("by-name.exe", "NtCancelIoFileEx"),
    ("afd.exe", r"\Device\Afd"),
    ("libsamples.rlib", "NtReadFile"),
];

pub(crate) fn run(run: &mut Run) -> Outcome {
    let Some(wine) = Wine::find(run)? else {
        return Ok(());
    };
    let Some(library) = Library::find(run, TARGET)? else {
        return Ok(());
    };
    let windows = Windows { wine, library };
    let rule = windows.samples(run)?;
    windows.documented(run, &rule)?;
    windows.tests(run)?;
    windows.quickstart(run)
}

struct Windows {
    wine: Wine,
    library: Library,
}

impl Windows {
    /// Verifies that Wine runs foreign programs, and that the check rejects the bad samples.
    fn samples(&self, run: &Run) -> Outcome<Rule> {
        let build = self.cargo(
            run,
            "build --locked --manifest-path xtask/wine/samples/Cargo.toml",
        );
        let built = built(build)?;
        let sample = |name: &str| {
            let sample = built.iter().find(|path| path.ends_with(name));
            sample.ok_or(format!("no sample {name} has been built"))
        };
        let std_alone = sample("std-alone.exe")?;
        self.wine.program(run, std_alone).run_within(LIMIT)?;

        let rule = Rule::learn(std_alone)?;
        rule.program(std_alone)?;
        for (name, reason) in REFUSED {
            match check(&rule, sample(name)?) {
                Err(error) if error.contains(reason) => println!("refused, rightly: {error}"),
                other => return Err(format!("the check does not reject {name}: {other:?}")),
            }
        }
        let source = run.workspace().root().join("xtask/wine/samples/src/lib.rs");
        match Rule::source(&source) {
            Ok(()) => Err("the check does not reject a source".into()),
            Err(_) => Ok(rule),
        }
    }

    /// Checks every source, every library that goes into a user's program except std's, and every
    /// executable.
    fn documented(&self, run: &Run, rule: &Rule) -> Outcome {
        for package in run.workspace().crates() {
            for source in package.sources()? {
                Rule::source(&source)?;
            }
        }
        let libraries = built(published(
            run,
            self.cargo(run, "build --lib --all-features"),
        ))?;
        let tests = built(published(
            run,
            self.cargo(run, "test --no-run --all-features"),
        ))?;
        let examples = built(self.cargo(run, "build --examples"))?;

        let libraries = libraries.iter().filter(|path| ends_with(path, "rlib"));
        let executables = tests.iter().chain(&examples);
        let executables = executables.filter(|path| ends_with(path, "exe"));
        println!("std itself takes from ntdll: {}", rule.stds());
        println!("no executable takes more, no library anything; nor do the sources:");
        for file in libraries.chain(executables) {
            check(rule, file)?;
            println!("    {}", file.file_name().unwrap_or_default().display());
        }
        Ok(())
    }

    fn tests(&self, run: &mut Run) -> Outcome {
        let skips = run.scratch("windows")?.join("skips");
        let tests = published(run, self.cargo(run, "test --all-features"));
        let outcome = self
            .wine
            .around(tests)
            .variable("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", RUNNER)
            .variable("COMPIO_SKIPS", &Wine::path(&skips))
            .run();
        // Without such a file, no test was skipped.
        for line in fs::read_to_string(&skips).unwrap_or_default().lines() {
            let (test, why) = line.split_once(": ").unwrap_or((line, "no reason given"));
            run.skip(&format!("under Wine: {test}"), why);
        }
        outcome
    }

    /// Runs it with the README's commands, here on the Windows backend.
    fn quickstart(&self, run: &Run) -> Outcome {
        let examples = run.workspace().target().join(PLACE).join(TARGET);
        let program = examples.join("debug/examples/quickstart.exe");
        let printed = self.wine.program(run, &program).print_within(LIMIT)?;
        print!("{}", printed.stdout);
        if printed.status.success() && printed.stdout.contains("iocp") {
            Ok(())
        } else {
            let status = printed.status;
            Err(format!("{status}, or not by IOCP: {}", printed.stderr))
        }
    }

    /// `cargo` for Windows.
    fn cargo(&self, run: &Run, words: &str) -> Line {
        self.library
            .cargo(run, words, PLACE)
            .arguments(["--target", TARGET])
            .variable("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", wine::GCC)
    }
}

fn check(rule: &Rule, file: &Path) -> Outcome {
    if ends_with(file, "rlib") {
        Rule::library(file)
    } else {
        rule.program(file)
    }
}

/// The published crates, each by its name. Features that compile C code are left out.
fn published(run: &Run, mut line: Line) -> Line {
    for package in run
        .workspace()
        .crates()
        .filter(|package| package.is_tested_on_windows())
    {
        line = line.arguments(["-p", &package.name]);
    }
    line
}

/// The files for Windows that cargo builds or finds built, from its report.
fn built(line: Line) -> Outcome<Vec<PathBuf>> {
    let messages = line
        .words("--message-format json-render-diagnostics")
        .stdout()?;
    let mut files = Vec::new();
    for message in messages.lines() {
        let message: Value =
            serde_json::from_str(message).map_err(|error| format!("cargo's messages: {error}"))?;
        // Debian's toolchain builds std, too.
        let is_std = message["target"]["name"] == "std";
        let paths = message["filenames"].as_array().filter(|_| !is_std);
        let paths = paths.into_iter().flatten().filter_map(Value::as_str);
        // Macros and their dependencies are built for this machine.
        let paths = paths.filter(|path| path.contains(TARGET));
        files.extend(paths.map(PathBuf::from));
    }
    Ok(files)
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
