//! The rows: the measured quantities, their units, and the amount of work of one run.
//!
//! A row defines the work of every contender, and holds the code that does not depend on a
//! contender's API. A row at one width is a [`Case`](crate::row::Case). A case of one contender is one process.

use crate::row::Row;

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

/// Finds a row by name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.into_iter().find(|row| row.name == name)
}
