//! The Markdown table: one per case, medians first, the spread beside them.

use std::fmt::{self, Write};

use super::{Spread, baseline, short};
use crate::{
    contenders::Contender,
    place,
    rows::Column,
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
        let version = version(contender).unwrap_or("–");
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
    let columns = results.case.row.columns;
    writeln!(
        text,
        "\n## {}\n\n{}\n",
        results.case.title(),
        results.case.row.about
    )?;
    write!(text, "| × = of {} |", baseline.contender.name)?;
    for (index, Column { name, unit }) in columns.iter().enumerate() {
        let comma = if unit.is_empty() { "" } else { ", " };
        if index == 0 {
            write!(text, " {name}{comma}{unit} | min–max | × | min–max |")?;
        } else {
            write!(text, " {name}{comma}{unit} (×) |")?;
        }
    }
    writeln!(text, "\n|---|{}", "--:|".repeat(columns.len() + 3))?;
    for entry in &results.entries {
        line(text, entry, baseline, columns.len())?;
    }
    Ok(())
}

fn line(text: &mut String, entry: &Entry, baseline: &Entry, columns: usize) -> fmt::Result {
    write!(text, "| {} |", entry.contender.name)?;
    if let Some(failure) = &entry.failure {
        return writeln!(text, " failed: {failure} |{}", " |".repeat(columns + 2));
    }
    for column in 0..columns {
        let value = Spread::column(entry, column);
        let ratio = Spread::ratio(entry, baseline, column);
        let (Some(value), Some(ratio)) = (value, ratio) else {
            write!(text, " – |{}", if column == 0 { " | | |" } else { "" })?;
            continue;
        };
        let median = short(value.median);
        if column == 0 {
            let (min, max) = (short(value.min), short(value.max));
            write!(text, " {median} | {min}–{max} | **{:.2}** |", ratio.median)?;
            write!(text, " {:.2}–{:.2} |", ratio.min, ratio.max)?;
        } else {
            write!(text, " {median} ({:.2}) |", ratio.median)?;
        }
    }
    writeln!(text)
}

/// The version of a package, as locked.
fn version(contender: &Contender) -> Option<&'static str> {
    let package = contender.package?;
    let versions = LOCK
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        // This checkout's own packages have no source, the registry's have one.
        .filter(|entry| entry.contains("\nsource = ") == (contender.name != "compio"))
        .filter_map(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    // Packages are sorted by version: the last is the newest, which is ours.
    versions.last()
}
