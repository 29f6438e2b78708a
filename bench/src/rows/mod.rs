//! The rows: the measured quantities, their units, and the amount of work of one run.
//!
//! A row defines the work of every contender, and holds the code that does not depend on a
//! contender's API. A row at one width is a [`Case`]. A case of one contender is one process.

use std::{io, time::Duration};

use crate::{
    contenders::Contender,
    cost::{Cost, Meter},
    place,
};

pub mod accept;
pub mod blocking;
pub mod disk;
pub mod echo;
pub mod file;
pub mod idle;
pub mod names;
pub mod nop;
pub mod pairs;
pub mod scale;
pub mod sleep;
pub mod spawn;
pub mod timeout;
pub mod turns;
pub mod wake;

/// Every row, in the order of the report.
pub const ROWS: [&Row; 25] = [
    &echo::TCP,
    &echo::UNIX,
    &echo::UDP,
    &accept::ROW,
    &pairs::ROW,
    &idle::OWN,
    &idle::POOLED,
    &file::ROW,
    &disk::DIRECT,
    &disk::FSYNC,
    &names::METADATA,
    &names::RENAME,
    &nop::ROW,
    &spawn::ROW,
    &turns::ROW,
    &blocking::ROW,
    &sleep::ROW,
    &timeout::ROW,
    &wake::PARKED,
    &wake::RUNNING,
    &wake::PING_PONG,
    &echo::SCALE_ALL,
    &echo::SCALE_ONE,
    &scale::TASKS,
    &scale::TIMERS,
];

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
    const fn new(name: &'static str, width_name: &'static str) -> Self {
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
    const fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit }
    }
}

/// Runs the work of a row that measures nanoseconds of CPU and of wall time per operation.
fn one_cost(work: Option<fn(Load) -> io::Result<Cost>>, load: Load) -> io::Result<Vec<f64>> {
    let work = work.expect("the contender supports this row");
    let cost = work(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// Starts `width` tasks with `start`, which gets the index of each, and awaits them; `joined`
/// checks the result of each.
pub async fn tasks<Handle: Future>(
    load: Load,
    start: impl Fn(usize) -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<Cost> {
    let meter = Meter::start()?;
    for handle in (0..load.width).map(start).collect::<Vec<_>>() {
        joined(handle.await);
    }
    meter.stop()
}

/// The amount of work of a run.
#[derive(Clone, Copy)]
pub struct Load {
    /// The number of connections, pairs, tasks or operations in flight at once.
    pub width: usize,
    /// The total number of operations. The widths divide it.
    pub count: usize,
}

impl Load {
    /// The number of operations of each of the `width` tasks.
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

    /// A number below `end`. `end` is far smaller than 2^32, so the bias does not matter.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) * end) >> 32
    }
}
