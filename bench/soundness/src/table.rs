//! The result as Markdown.

use std::{fmt::Write, fs};

use crate::{
    attempt::DEADLINE,
    scenarios::{CONTENDERS, DOCUMENTED, SCENARIOS},
};

/// Writes the table of the chosen scenarios.
pub fn write(chosen: &[usize], seen: &[Vec<String>]) -> String {
    let mut text = String::from("# What each runtime did\n\n");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!(
        "Linux {}, loopback. {}.",
        release.trim(),
        versions()
    ));
    line(format!(
        "Each cell is one process, killed after {} s. How often a thing was done is in its row.",
        DEADLINE.as_secs()
    ));
    line("How to read it: `bench/README.md`, \"Soundness\".\n".into());
    line(format!("| scenario | {} |", CONTENDERS.join(" | ")));
    line(format!("|---|{}", "---|".repeat(CONTENDERS.len())));
    for (&scenario, cells) in chosen.iter().zip(seen) {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let Scenario { name, what, .. } = &SCENARIOS[scenario];
        line(format!("| **{name}**: {what} | {} |", cells.join(" | ")));
    }
    text.push_str("\nDocumented by each, in short:\n\n");
    for (name, documented) in DOCUMENTED {
        writeln!(text, "- **{name}**: {documented}.").expect("a string takes all");
    }
    text
}

use crate::scenarios::Scenario;

/// The versions, from the lock file that this program was built with.
fn versions() -> String {
    let lock = include_str!("../../Cargo.lock");
    let names = ["tokio", "monoio", "glommio", "tokio-uring", "compio"];
    let mut found = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = value(line, "name") else {
            continue;
        };
        let version = lines.next().and_then(|line| value(line, "version"));
        if let (true, Some(version)) = (names.contains(&name), version) {
            // The checkout's own package has no source.
            let here = lines.next().is_none_or(|line| !line.starts_with("source"));
            let whose = match (name, here) {
                ("compio", true) => "compio of this checkout".into(),
                ("compio", false) => "compio of the registry".into(),
                (other, _) => other.to_owned(),
            };
            found.push(format!("{whose} {version}"));
        }
    }
    found.join(", ")
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?.strip_prefix(" = \"")?;
    rest.strip_suffix('"')
}
