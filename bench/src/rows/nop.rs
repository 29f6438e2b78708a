//! Operations without effect: the overhead of a runtime per operation.
//!
//! Only a ring has such an operation, so only the raw loop and compio take part. The difference of
//! their CPU times is compio's overhead.

use std::io;

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const ROW: Row = Row {
    about: "Ring operations that do nothing, a batch at a time.",
    widths: &[64],
    shown: &[64],
    count: |_| 64 * 60_000,
    columns: &[
        Column::new("CPU per operation", "ns"),
        Column::new("of it in user space, about", "ns"),
    ],
    has: |contender| contender.nop.is_some(),
    run,
    ..Row::new("nop", "operations")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let nop = contender.nop.expect("the contender supports this row");
    let cost = nop(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.user)])
}
