//! Many sleeping tasks: the cost of arming a timer, firing it and waking its task.

use std::{io, time::Duration};

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::{Load, Numbers},
};

/// See the module.
pub const ROW: Row = Row {
    about: "Tasks that sleep 1 to 100 ms, over and over.",
    widths: &[10_000],
    shown: &[10_000],
    count: |_| 10_000 * 6,
    columns: &[
        Column::new("CPU per sleep", "ns"),
        Column::new("wall of the run", "ms"),
    ],
    has: |contender| contender.sleep.is_some(),
    run,
    ..Row::new("sleep", "tasks")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let sleep = contender.sleep.expect("the contender supports this row");
    let cost = sleep(load)?;
    Ok(vec![
        load.nanos(cost.cpu),
        cost.wall.as_micros() as f64 / 1e3,
    ])
}

/// One of the tasks: sleeps `times` times.
pub async fn task<Sleep: Future<Output = ()>>(
    index: usize,
    times: usize,
    sleep: impl Fn(Duration) -> Sleep,
) {
    let mut numbers = Numbers::new(index);
    for _ in 0..times {
        sleep(Duration::from_millis(1 + numbers.below(100))).await;
    }
}
