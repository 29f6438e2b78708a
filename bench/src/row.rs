//! A row, its columns, and its cases. [`rows`](crate::rows) has the list.

use std::io;

use crate::{contender::Contender, cost::Cost, place, workload::Load};

/// One kind of work.
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence for the report.
    pub about: &'static str,
    /// The unit of the width, in the plural: `connections`, `tasks`. Also the worker's option.
    pub width_name: &'static str,
    /// The measured widths.
    pub widths: &'static [usize],
    /// The widths that the plot shows. Rows that show none are about the growth with the width:
    /// they have a plot of their own.
    pub shown: &'static [usize],
    /// The number of columns in that plot, one panel each.
    pub drawn: usize,
    /// The number of operations of a run of about a third of a second, at a given width.
    pub count: fn(width: usize) -> usize,
    /// Whether a quick session runs a tenth of them.
    pub shortens: bool,
    /// The results of a run. Ratios are computed from the first column.
    pub columns: &'static [Column],
    /// Whether the contender takes part.
    pub has: fn(&Contender) -> bool,
    /// Does the work in this process and returns one value per column.
    pub run: fn(&Contender, Load) -> io::Result<Vec<f64>>,
}

impl Row {
    /// A row with the common defaults.
    pub const fn new(name: &'static str, width_name: &'static str) -> Self {
        Self {
            name,
            about: "",
            width_name,
            widths: &[],
            shown: &[],
            drawn: 1,
            count: |width| width,
            shortens: true,
            columns: &[],
            has: |_| false,
            run: |_, _| Ok(Vec::new()),
        }
    }
}

/// One measured quantity.
pub struct Column {
    /// The measured quantity.
    pub name: &'static str,
    /// Its unit; empty for a plain count.
    pub unit: &'static str,
}

impl Column {
    pub const fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit }
    }
}

/// Runs the work of a row that measures nanoseconds of CPU and of wall time per operation.
pub fn one_cost(work: Option<fn(Load) -> io::Result<Cost>>, load: Load) -> io::Result<Vec<f64>> {
    let work = work.expect("the contender supports this row");
    let cost = work(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// A row at one width.
#[derive(Clone, Copy)]
pub struct Case {
    /// The row.
    pub row: &'static Row,
    /// One of its widths.
    pub width: usize,
}

impl Case {
    /// Every case of the given rows, with the width reduced to the limit of open files if
    /// necessary.
    pub fn of(rows: &[&'static Row]) -> Vec<Self> {
        let connections_max = place::open_files_max().saturating_sub(100);
        let cases = |row: &&'static Row| {
            let row = *row;
            let most = match row.width_name {
                "connections" => connections_max,
                _ => usize::MAX,
            };
            let allowed = move |&width: &usize| Case {
                row,
                width: width.min(most),
            };
            row.widths.iter().map(allowed)
        };
        rows.iter().flat_map(cases).collect()
    }

    /// The title in reports: `echo, 50 connections`.
    pub fn title(self) -> String {
        format!("{}, {}", self.row.name, self.extent())
    }

    /// The width with its unit: `50 connections`.
    pub fn extent(self) -> String {
        let name = self.row.width_name;
        match self.width {
            1 => format!("1 {}", name.trim_end_matches('s')),
            width => format!("{} {name}", grouped(width)),
        }
    }
}

/// A number with separated thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
