//! Socket pairs with both ends on one thread: no second core, no client, little noise.
//!
//! Each pair is two tasks: one sends a message and waits for its echo, the other echoes until the
//! first closes.

use std::io;

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::Load,
};

/// The size of a message, in bytes.
pub const MESSAGE: usize = 128;
/// The size of each end's buffer, in bytes.
pub const BUFFER: usize = 4096;

/// See the module.
pub const ROW: Row = Row {
    about: "Unix socket pairs, 128 B to and fro, both ends on one thread.",
    widths: &[64],
    shown: &[64],
    count: |_| 64 * 800,
    columns: &[
        Column::new("CPU per round trip", "µs"),
        Column::new("wall per round trip", "µs"),
    ],
    has: |contender| contender.pairs.is_some(),
    run,
    ..Row::new("pairs", "pairs")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let exchange = contender.pairs.expect("the contender supports this row");
    let cost = exchange(load)?;
    Ok(vec![load.micros(cost.cpu), load.micros(cost.wall)])
}
