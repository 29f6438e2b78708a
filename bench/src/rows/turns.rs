//! Two tasks that yield to each other: the cost of a wake and a pass through the run queue.
//!
//! Every contender runs the same future, which wakes itself and yields once. The runtimes' own
//! `yield_now` are not comparable: tokio's also polls its I/O driver, monoio has none.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const ROW: Row = Row {
    about: "Two tasks that yield to each other.",
    widths: &[2],
    shown: &[2],
    count: |_| 4_000_000,
    columns: &[
        Column::new("CPU per yield", "ns"),
        Column::new("wall per yield", "ns"),
    ],
    has: |contender| contender.turns.is_some(),
    run,
    ..Row::new("yield", "tasks")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let turns = contender.turns.expect("the contender supports this row");
    let cost = turns(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// One of the tasks: yields `times` times.
pub async fn task(times: usize) {
    for _ in 0..times {
        yield_once().await;
    }
}

/// Yields once.
pub async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context: &mut Context<'_>| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
