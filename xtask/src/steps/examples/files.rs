//! The two examples that print a file, and the backend that quickstart reports; and the example
//! that runs on one system only.

use std::fs;

use super::{LIMIT, example};
use crate::run::{Outcome, Run};

/// The size of the driver example's buffer.
const DRIVER_BYTES: usize = 4096;

/// Builds and runs it with the commands of the README.
pub(crate) fn quickstart(run: &mut Run) -> Outcome {
    let line = run.cargo("run --release --example quickstart");
    let printed = line.print_within(LIMIT)?;
    let path = run.workspace().root().join("examples/quickstart.rs");
    let source = fs::read_to_string(path).map_err(|error| format!("quickstart.rs: {error}"))?;
    let rest = printed
        .stdout
        .strip_prefix(&source)
        .ok_or(format!("it does not print its source:\n{}", printed.stdout))?;
    print!("{}", rest.trim_start());
    let names_backend = ["io-uring", "poll", "iocp"]
        .iter()
        .any(|name| rest.contains(name));
    if printed.status.success() && names_backend {
        Ok(())
    } else {
        let text = format!("{rest}\n{}", printed.stderr);
        Err(format!(
            "{}, or no backend is named:\n{text}",
            printed.status
        ))
    }
}

pub(crate) fn driver(run: &mut Run) -> Outcome {
    let printed = example(run, "driver").print_within(LIMIT)?;
    if printed.status.success() && printed.stdout == manifest(run, DRIVER_BYTES)? {
        Ok(())
    } else {
        let text = printed.stdout + &printed.stderr;
        Err(format!(
            "{}, or not Cargo.toml's text:\n{text}",
            printed.status
        ))
    }
}

/// It works only on Windows. Elsewhere it must report that.
pub(crate) fn watch(run: &mut Run) -> Outcome {
    let printed = example(run, "watch").print_within(LIMIT)?;
    if printed.status.success() && printed.stderr.contains("for Windows") {
        Ok(())
    } else {
        Err(format!("{}: {}", printed.status, printed.stderr))
    }
}

/// The output of printing the start of Cargo.toml.
fn manifest(run: &Run, limit: usize) -> Outcome<String> {
    let path = run.workspace().root().join("Cargo.toml");
    let text = fs::read(path).map_err(|error| format!("Cargo.toml: {error}"))?;
    let start = String::from_utf8_lossy(&text[..text.len().min(limit)]);
    Ok(format!("{start}\n"))
}
