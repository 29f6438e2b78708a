//! The rows: what is measured, in what units, and how much of it makes one run.
//!
//! A row says what every contender has to do and shares whatever part of the work does not depend
//! on a contender's API. A row at one width is a [`Case`]; a case run by one contender is one
//! process.

use std::{io, time::Duration};

use crate::contenders::Contender;

pub mod blocking;
pub mod echo;
pub mod file;
pub mod names;
pub mod nop;
pub mod pairs;
pub mod sleep;
pub mod spawn;
pub mod turns;

/// Every row, in the order of the report.
pub const ROWS: [&Row; 10] = [
    &echo::ROW,
    &pairs::ROW,
    &file::ROW,
    &names::METADATA,
    &names::RENAME,
    &nop::ROW,
    &spawn::ROW,
    &blocking::ROW,
    &turns::ROW,
    &sleep::ROW,
];

/// One kind of work.
pub struct Row {
    /// How the command line calls it.
    pub name: &'static str,
    /// One sentence for the report.
    pub about: &'static str,
    /// What a width counts, in the plural: `connections`, `tasks`. Also the worker's option.
    pub width_name: &'static str,
    /// The widths that are measured.
    pub widths: &'static [usize],
    /// How many operations make a run of about a second at a given width.
    pub count: fn(width: usize) -> usize,
    /// What a run yields; the first column is the one that ratios are made of.
    pub columns: &'static [Column],
    /// Whether the contender takes part.
    pub has: fn(&Contender) -> bool,
    /// Does the work in this process and gives one value a column.
    pub run: fn(&Contender, Load) -> io::Result<Vec<f64>>,
}

/// One measured quantity.
pub struct Column {
    /// What was measured.
    pub name: &'static str,
    /// In what unit; empty for a plain count.
    pub unit: &'static str,
}

/// How much work a run does.
#[derive(Clone, Copy)]
pub struct Load {
    /// How many connections, pairs, tasks or operations are under way at once.
    pub width: usize,
    /// How many operations are done in all. The widths divide it.
    pub count: usize,
}

impl Load {
    /// Operations of each of the `width` tasks.
    pub fn each(self) -> usize {
        self.count / self.width
    }

    /// Nanoseconds per operation.
    pub fn nanos(self, spent: Duration) -> f64 {
        spent.as_nanos() as f64 / self.count as f64
    }

    /// Microseconds per operation.
    pub fn micros(self, spent: Duration) -> f64 {
        self.nanos(spent) / 1e3
    }
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
    /// Every case of the given rows.
    pub fn of(rows: &[&'static Row]) -> Vec<Self> {
        let cases = |row: &&'static Row| {
            let row = *row;
            row.widths.iter().map(move |&width| Case { row, width })
        };
        rows.iter().flat_map(cases).collect()
    }

    /// What readers see: `echo, 50 connections`.
    pub fn title(self) -> String {
        let Row {
            name, width_name, ..
        } = *self.row;
        let plural = if self.width == 1 {
            width_name.trim_end_matches('s')
        } else {
            width_name
        };
        format!("{name}, {} {plural}", self.width)
    }
}

/// Finds a row by name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.into_iter().find(|row| row.name == name)
}

/// Small, fast pseudo-random numbers (xorshift64), the same sequence for every contender.
pub struct Numbers(u64);

impl Numbers {
    /// A sequence of its own for each `index`.
    pub fn new(index: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    /// A number below `end`, which is far smaller than 2^32, so that the bias does not matter.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) * end) >> 32
    }
}
