//! The Markdown table: one per case, medians first, the spread beside them.

use std::fmt::{self, Write};

use crate::{
    contender::Contender,
    place,
    report::spread::{Spread, baseline, short},
    row::{Column, Row},
    session::{CaseResults, Entry, Results},
};

/// The lock file has the measured versions.
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
    for (index, case) in results.cases.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| &results.cases[index]);
        let row = case.case.row;
        if row.shown.is_empty() {
            // Growth with the width: all widths side by side.
            if before.is_none_or(|before| before.case.row.name != row.name) {
                growth(text, results, row)?;
            }
        } else {
            table(text, case)?;
        }
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
    for (index, &Column { name, unit }) in columns.iter().enumerate() {
        let comma = comma(unit);
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
    let lacking = results.lacking.iter();
    for contender in lacking.clone() {
        writeln!(
            text,
            "| {} | – |{}",
            contender.name,
            " |".repeat(columns.len() + 2)
        )?;
    }
    let row = results.case.row;
    let reasons =
        lacking.filter_map(|contender| Some((contender.name, contender.why_not(row.name)?)));
    notes(text, results.entries.iter(), reasons)
}

fn line(text: &mut String, entry: &Entry, baseline: &Entry, columns: usize) -> fmt::Result {
    write!(text, "| {} |", entry.contender.name)?;
    if entry.failure.is_some() {
        return writeln!(text, " failed |{}", " |".repeat(columns + 2));
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

/// One table for all widths of a row, one part for each of its columns.
fn growth(text: &mut String, results: &Results, row: &Row) -> fmt::Result {
    let cases: Vec<_> = results
        .cases
        .iter()
        .filter(|results| results.case.row.name == row.name)
        .collect();
    writeln!(text, "\n## {}\n\n{}", row.name, row.about)?;
    for (column, &Column { name, unit }) in row.columns.iter().enumerate() {
        write!(text, "\n| {name}{}{unit} |", comma(unit))?;
        for results in &cases {
            write!(text, " {} | min–max |", results.case.extent())?;
        }
        writeln!(text, "\n|---|{}", "--:|--:|".repeat(cases.len()))?;
        for (index, entry) in cases[0].entries.iter().enumerate() {
            write!(text, "| {} |", entry.contender.name)?;
            for results in &cases {
                let entry = &results.entries[index];
                match Spread::column(entry, column) {
                    Some(value) if entry.failure.is_none() => {
                        let [min, median, max] = [value.min, value.median, value.max].map(short);
                        write!(text, " {median} | {min}–{max} |")?;
                    }
                    _ => write!(text, " failed | |")?,
                }
            }
            writeln!(text)?;
        }
    }
    let lacking = cases[0].lacking.iter();
    let reasons =
        lacking.filter_map(|contender| Some((contender.name, contender.why_not(row.name)?)));
    notes(text, cases.iter().flat_map(|case| &case.entries), reasons)
}

/// Failed and missing cases, with the reasons.
fn notes<'a>(
    text: &mut String,
    entries: impl Iterator<Item = &'a Entry>,
    reasons: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    let failures = entries.filter_map(|entry| {
        let failure = entry.failure.as_deref()?;
        Some((entry.contender.name, failure))
    });
    for (index, (name, reason)) in failures.chain(reasons).enumerate() {
        let start = if index == 0 { "\n" } else { "" };
        writeln!(text, "{start}- {name}: {reason}")?;
    }
    Ok(())
}

fn comma(unit: &str) -> &'static str {
    if unit.is_empty() { "" } else { ", " }
}

/// The version of a package, as locked.
fn version(contender: &Contender) -> Option<&'static str> {
    let package = contender.package?;
    let versions = LOCK
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        // This checkout's own packages have no source, those from crates.io have one.
        .filter(|entry| entry.contains("\nsource = ") == (contender.name != "compio"))
        .filter_map(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    // Packages are sorted by version: the last is the newest, which this contender uses.
    versions.last()
}
