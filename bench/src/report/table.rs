//! The Markdown table: one per case, medians first, the spread beside them.

use std::fmt::{self, Write};

use super::{Spread, baseline, short};
use crate::{
    place,
    session::{CaseResults, Entry, Results},
};

/// The lock file names the versions that were measured.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The whole report.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    write(&mut text, results).expect("writing to a string cannot fail");
    text
}

fn write(text: &mut String, results: &Results) -> fmt::Result {
    writeln!(text, "# Figures\n")?;
    writeln!(
        text,
        "{}; medians of {} rounds.",
        place::machine(),
        results.rounds
    )?;
    if results.quick {
        writeln!(
            text,
            "\n**A quick run: it shows that all runs; do not quote it.**"
        )?;
    }
    writeln!(text, "\n| contender | version | setting |\n|---|---|---|")?;
    for contender in crate::contenders::CONTENDERS {
        let version = version(contender.name).unwrap_or("–");
        writeln!(
            text,
            "| {} | {version} | {} |",
            contender.name, contender.setting
        )?;
    }
    for case in &results.cases {
        table(text, case)?;
    }
    Ok(())
}

fn table(text: &mut String, results: &CaseResults) -> fmt::Result {
    let Some(baseline) = baseline(results) else {
        return Ok(());
    };
    let row = results.case.row;
    writeln!(text, "\n## {}\n\n{}\n", results.case.title(), row.about)?;
    write!(text, "| |")?;
    for (index, column) in row.columns.iter().enumerate() {
        let unit = if column.unit.is_empty() { "" } else { ", " };
        write!(text, " {}{unit}{} |", column.name, column.unit)?;
        if index == 0 {
            write!(text, " min–max | × {} (min–max) |", baseline.contender.name)?;
        }
    }
    writeln!(text, "\n|---|{}", "--:|".repeat(row.columns.len() + 2))?;
    for entry in &results.entries {
        line(text, entry, baseline, row.columns.len())?;
    }
    Ok(())
}

fn line(text: &mut String, entry: &Entry, baseline: &Entry, columns: usize) -> fmt::Result {
    write!(text, "| {} |", entry.contender.name)?;
    if let Some(failure) = &entry.failure {
        return writeln!(text, " failed: {failure} |{}", " |".repeat(columns + 1));
    }
    for column in 0..columns {
        let Some(spread) = Spread::column(entry, column) else {
            write!(text, " |")?;
            continue;
        };
        write!(text, " {} |", short(spread.median))?;
        if column == 0 {
            write!(text, " {}–{} |", short(spread.min), short(spread.max))?;
            match Spread::ratio(entry, baseline) {
                Some(Spread { min, median, max }) => {
                    write!(text, " **{median:.2}** ({min:.2}–{max:.2}) |")?;
                }
                None => write!(text, " |")?,
            }
        }
    }
    writeln!(text)
}

/// The version of a package, as locked.
fn version(package: &str) -> Option<&'static str> {
    let package = if package == "raw" {
        "io-uring"
    } else {
        package
    };
    let versions = LOCK
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        .filter_map(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    // Packages are sorted by version: the last is the newest, which is ours.
    versions.last()
}
