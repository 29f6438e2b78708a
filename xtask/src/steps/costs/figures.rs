//! The figures: their file format, and the margins of a regression.

use std::{cmp::Ordering, fmt::Write, str::FromStr};

use crate::run::Outcome;

/// The committed figures.
pub(super) const FILE: &str = "bench/costs/costs.csv";
const HEAD: &str = "case,backend,instructions,allocations,enters";

/// A counted quantity, and the margin of a regression.
struct Quantity {
    name: &'static str,
    of: fn(&Costs) -> f64,
    /// The relative part, and the absolute part.
    margin: (f64, f64),
    /// Whether it depends on the versions of compiler and counter.
    needs_same_tools: bool,
    decimals: usize,
}

/// On a busy machine ten figures of a case varied within 0.7 % in instructions, most not at all, and
/// within 3 % in enters, which depend on when the kernel completes work. But a change elsewhere can
/// move them too, if it alters inlining or the heap of `malloc`: by 2.8 % in one case. Allocations
/// are exact except for rounding. A loss in enters is a loss of batching: it doubles them, or worse.
#[rustfmt::skip]
const QUANTITIES: [Quantity; 3] = [
    Quantity { name: "instructions", of: |costs| costs.instructions, margin: (0.04, 0.0),
               needs_same_tools: true, decimals: 1 },
    Quantity { name: "allocations", of: |costs| costs.allocations, margin: (0.0, 0.001),
               needs_same_tools: false, decimals: 3 },
    Quantity { name: "enters", of: |costs| costs.enters, margin: (0.1, 0.0005),
               needs_same_tools: false, decimals: 4 },
];

/// Costs of one operation.
#[derive(Debug, PartialEq)]
pub(super) struct Costs {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
    pub(super) enters: f64,
}

#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) backend: String,
    pub(super) costs: Costs,
}

/// The content of the file: tool versions in its first line, then a table.
#[derive(Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) tools: String,
    pub(super) rows: Vec<Row>,
}

impl Figures {
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let mut lines = text.lines();
        let tools = lines.next().and_then(|line| line.strip_prefix("# "));
        let tools = tools.ok_or(format!("{FILE} does not name the tools of its figures"))?;
        if lines.next() != Some(HEAD) {
            return Err(format!("{FILE} has other columns than {HEAD}"));
        }
        let row = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            let [case, backend, instructions, allocations, enters] = fields[..] else {
                return Err(format!("{FILE} has a malformed line: {line}"));
            };
            Ok(Row {
                case: case.into(),
                backend: backend.into(),
                costs: Costs {
                    instructions: number(instructions)?,
                    allocations: number(allocations)?,
                    enters: number(enters)?,
                },
            })
        };
        Ok(Self {
            tools: tools.into(),
            rows: lines.map(row).collect::<Outcome<_>>()?,
        })
    }

    /// Whether these tools made the figures, on one of the processors that the file lists.
    pub(super) fn are_by(&self, tools: &str) -> bool {
        let (Some((ours, processors)), Some((theirs, processor))) =
            (self.tools.rsplit_once(' '), tools.rsplit_once(' '))
        else {
            return false;
        };
        ours == theirs && processors.split('+').any(|known| known == processor)
    }

    pub(super) fn print(&self) -> String {
        let mut text = format!("# {}\n{HEAD}\n", self.tools);
        for Row {
            case,
            backend,
            costs,
        } in &self.rows
        {
            text += &format!("{case},{backend}");
            for quantity in &QUANTITIES {
                text += &format!(",{:.*}", quantity.decimals, (quantity.of)(costs));
            }
            text += "\n";
        }
        text
    }

    /// The differences from earlier figures beyond the margins.
    pub(super) fn changes(&self, then: &Self, same_tools: bool) -> Changes {
        let mut changes = Changes::default();
        for row in &self.rows {
            let Some(old) = then.row_like(row) else {
                let _ = writeln!(changes.unknown, "    {} on {}", row.case, row.backend);
                continue;
            };
            let judged = |quantity: &&Quantity| same_tools || !quantity.needs_same_tools;
            for quantity in QUANTITIES.iter().filter(judged) {
                let [then, now] = [old, row].map(|row| (quantity.of)(&row.costs));
                let lines = match quantity.compare(then, now) {
                    Ordering::Less => &mut changes.gains,
                    Ordering::Equal => continue,
                    Ordering::Greater => &mut changes.losses,
                };
                let _ = writeln!(
                    lines,
                    "    {} on {}: {then:.decimals$} {} are now {now:.decimals$}",
                    row.case,
                    row.backend,
                    quantity.name,
                    decimals = quantity.decimals
                );
            }
        }
        changes
    }

    /// All figures, and the change of the instructions from the earlier ones.
    pub(super) fn table(&self, then: &Self) -> String {
        let mut table = format!("{:<20}", "per operation");
        for Quantity { name, .. } in &QUANTITIES {
            let _ = write!(table, "{name:>13}");
        }
        for row in &self.rows {
            let name = format!("{}, {}", row.case, row.backend);
            let _ = write!(table, "\n{name:<20}");
            for Quantity { of, decimals, .. } in &QUANTITIES {
                let _ = write!(table, "{:>13.decimals$}", of(&row.costs));
            }
            if let Some(old) = then.row_like(row) {
                let ratio = row.costs.instructions / old.costs.instructions;
                let _ = write!(table, "   {:+.2} % instructions", 100.0 * (ratio - 1.0));
            }
        }
        table
    }

    fn row_like(&self, row: &Row) -> Option<&Row> {
        let same = |old: &&Row| old.case == row.case && old.backend == row.backend;
        self.rows.iter().find(same)
    }
}

/// One line for each change, with a line end.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) losses: String,
    pub(super) gains: String,
    /// The cases without earlier figures.
    pub(super) unknown: String,
}

impl Quantity {
    /// Whether the figure is lower, higher, or within the margin.
    fn compare(&self, then: f64, now: f64) -> Ordering {
        let (share, least) = self.margin;
        let margin = then * share + least;
        if now > then + margin {
            Ordering::Greater
        } else if now < then - margin {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }
}

pub(super) fn number<N: FromStr>(text: &str) -> Outcome<N> {
    let number = text.trim().parse();
    number.map_err(|_| format!("not a number: {text}"))
}

#[cfg(test)]
mod tests {
    use super::{Costs, Figures, Row};

    /// Figures of one case.
    fn figures(instructions: f64, allocations: f64, enters: f64) -> Figures {
        let costs = Costs {
            instructions,
            allocations,
            enters,
        };
        Figures {
            tools: "rustc 1, valgrind 2".into(),
            rows: vec![Row {
                case: "nop".into(),
                backend: "poll".into(),
                costs,
            }],
        }
    }

    #[test]
    fn written_figures_are_read_back() {
        let written = figures(800.1, 1.0, 0.0156);
        assert_eq!(Figures::parse(&written.print()), Ok(written));
    }

    #[test]
    fn figures_of_several_processors_are_judged_on_each() {
        let mut known = figures(800.1, 1.0, 0.0156);
        known.tools = "rustc 1, x86_64 6/167+25/17".into();
        assert!(known.are_by("rustc 1, x86_64 6/167"));
        assert!(known.are_by("rustc 1, x86_64 25/17"));
        assert!(!known.are_by("rustc 1, x86_64 25/1"));
        assert!(!known.are_by("rustc 2, x86_64 25/17"));
    }

    #[test]
    fn malformed_figures_are_rejected() {
        let check = |text: &str| assert!(Figures::parse(text).is_err(), "{text}");
        let good = figures(800.1, 1.0, 0.0156).print();
        check("");
        check(good.trim_start_matches("# "));
        check(&good.replace("enters", "exits"));
        check(&good.replace("800.1", "many"));
        check(&good.replace("800.1,", ""));
    }

    #[test]
    fn a_loss_is_more_than_the_margin() {
        let then = figures(1000.0, 1.0, 0.01);
        let check = |instructions, allocations, enters, losses: &[&str]| {
            let now = figures(instructions, allocations, enters);
            let changes = now.changes(&then, true);
            let found: Vec<_> = changes.losses.lines().map(str::trim).collect();
            assert_eq!(found, losses);
        };
        check(1000.0, 1.0, 0.01, &[]);
        check(1039.0, 1.0, 0.011, &[]);
        check(900.0, 0.0, 0.0, &[]);
        check(
            1041.0,
            1.0,
            0.01,
            &["nop on poll: 1000.0 instructions are now 1041.0"],
        );
        check(
            1000.0,
            1.002,
            0.01,
            &["nop on poll: 1.000 allocations are now 1.002"],
        );
        check(
            1000.0,
            1.0,
            0.02,
            &["nop on poll: 0.0100 enters are now 0.0200"],
        );
    }

    #[test]
    fn with_other_tools_only_instructions_are_not_judged() {
        let then = figures(1000.0, 1.0, 0.01);
        let losses = figures(2000.0, 2.0, 0.02).changes(&then, false).losses;
        assert_eq!(losses.lines().count(), 2, "{losses}");
        assert!(!losses.contains("instructions"), "{losses}");
    }

    #[test]
    fn gains_and_new_cases_are_reported() {
        let then = figures(1000.0, 1.0, 0.01);
        let gains = figures(900.0, 0.0, 0.0).changes(&then, true).gains;
        assert_eq!(gains.lines().count(), 3, "{gains}");
        let mut other = figures(1000.0, 1.0, 0.01);
        other.rows[0].backend = "io-uring".into();
        assert_eq!(other.changes(&then, true).unknown, "    nop on io-uring\n");
    }
}
