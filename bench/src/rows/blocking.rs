//! Blocking work on another thread: the overhead of a read for which the kernel has no asynchronous
//! call.

use std::io;

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const ROW: Row = Row {
    about: "Hand that many pieces of work to the pool of threads, then await them all; again and again.",
    widths: &[1, 32],
    shown: &[32],
    count: |width| if width == 1 { 20_000 } else { 64_000 },
    columns: &[
        Column::new("CPU per piece", "ns"),
        Column::new("wall per piece", "ns"),
    ],
    has: |contender| contender.blocking.is_some(),
    run,
    ..Row::new("blocking", "pieces")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let blocking = contender.blocking.expect("the contender supports this row");
    let cost = blocking(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}
