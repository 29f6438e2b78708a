//! A session: every case, every contender, round after round.
//!
//! The contenders of a case run in direct succession, and their ratios are computed within that
//! round: on a shared machine, speed drifts over minutes, but hardly within seconds.

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{command::Session, contender::Contender, place, row::Case, workload::Load};

/// All results of a session.
pub struct Results {
    /// One entry per case, in the order of the report.
    pub cases: Vec<CaseResults>,
    /// The number of rounds.
    pub rounds: usize,
    /// Whether the runs were too short to quote.
    pub quick: bool,
}

/// The results of one case.
pub struct CaseResults {
    /// The case.
    pub case: Case,
    /// The contenders that took part.
    pub entries: Vec<Entry>,
    /// The contenders that lack the row, with the reason.
    pub lacking: Vec<&'static Contender>,
}

/// One contender at one case.
pub struct Entry {
    /// The contender.
    pub contender: &'static Contender,
    /// One value per column of the row, by round.
    pub rounds: Vec<Vec<f64>>,
    /// The reason for missing values.
    pub failure: Option<String>,
}

/// Runs a session.
pub fn measure(session: &Session) -> io::Result<Results> {
    let mut cases: Vec<_> = session
        .cases
        .iter()
        .map(|&case| open(session, case))
        .collect();
    // Beside the results, because that is more likely a disk than the directory of temporary files.
    let scratch = TempDir::new_in(fs::canonicalize(&session.out)?)?;
    for round in 1..=session.rounds {
        for results in &mut cases {
            let case = results.case;
            eprint!("round {round}/{}, {}:", session.rounds, case.title());
            for entry in &mut results.entries {
                if entry.failure.is_some() {
                    continue;
                }
                eprint!(" {}", entry.contender.name);
                io::stderr().flush()?;
                match work(entry.contender, case, session, scratch.path())? {
                    Ok(values) => {
                        eprint!(" {:.1}", values[0]);
                        entry.rounds.push(values);
                    }
                    Err(failure) => {
                        eprint!(" failed ({failure})");
                        entry.failure = Some(failure);
                    }
                }
            }
            eprintln!();
        }
    }
    Ok(Results {
        cases,
        rounds: session.rounds,
        quick: session.shorten > 1,
    })
}

/// The line that a worker prints.
pub fn line(values: &[f64]) -> String {
    let words: Vec<_> = values.iter().map(f64::to_string).collect();
    words.join(" ")
}

fn open(session: &Session, case: Case) -> CaseResults {
    let has = |contender: &&&'static Contender| (case.row.has)(contender);
    let entry = |&contender: &&'static Contender| Entry {
        contender,
        rounds: Vec::new(),
        failure: None,
    };
    let lacks = |contender: &&'static Contender| contender.why_not(case.row.name).is_some();
    let contenders = session.contenders.iter();
    CaseResults {
        case,
        entries: contenders.clone().filter(has).map(entry).collect(),
        lacking: contenders.copied().filter(lacks).collect(),
    }
}

/// Runs the case once in a worker; the inner error is the worker's own.
fn work(
    contender: &Contender,
    case: Case,
    session: &Session,
    scratch: &Path,
) -> io::Result<Result<Vec<f64>, String>> {
    let shorten = session.shorten;
    let Case { row, width } = case;
    let shorten = if row.shortens { shorten } else { 1 };
    let load = Load {
        width,
        count: (row.count)(width) / shorten,
    };
    // A multiple of the width.
    let count = load.each().max(1) * width;
    let output = Command::new(env::current_exe()?)
        .args(["worker", "--row", row.name, "--contender", contender.name])
        .args([&format!("--{}", row.width_name), &width.to_string()])
        .args(["--count", &count.to_string()])
        .env(place::SCRATCH, scratch)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let values: Option<Vec<f64>> = said
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    Ok(match values {
        Some(values) if output.status.success() && values.len() == row.columns.len() => Ok(values),
        _ => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(reason(&complaint).map_or_else(|| output.status.to_string(), str::to_owned))
        }
    })
}

/// The last line of a failed worker, or the message of its panic.
fn reason(complaint: &str) -> Option<&str> {
    const LENGTH_MAX: usize = 100;
    let mut lines = complaint.lines();
    let panic = lines.by_ref().find(|line| line.contains("panicked at"));
    let reason = match panic {
        Some(_) => lines.next(),
        None => complaint.lines().rev().find(|line| !line.is_empty()),
    }?;
    let end = reason.char_indices().nth(LENGTH_MAX);
    Some(&reason[..end.map_or(reason.len(), |(end, _)| end)])
}
