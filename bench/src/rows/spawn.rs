//! Tasks that only return a number, spawned and awaited.

use std::{hint::black_box, io};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const ROW: Row = Row {
    about: "Spawn that many tasks, then await them all; again and again.",
    widths: &[1, 1_000],
    shown: &[1, 1_000],
    count: |_| 1_000_000,
    columns: &[
        Column::new("CPU per task", "ns"),
        Column::new("wall per task", "ns"),
    ],
    has: |contender| contender.spawn.is_some(),
    run,
    ..Row::new("spawn", "tasks")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let spawn = contender.spawn.expect("the contender supports this row");
    let cost = spawn(load)?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// Spawns and joins with `spawn`. `number` converts the output of a handle to the task's number.
pub async fn spawn_and_join<Handle: Future>(
    load: Load,
    spawn: impl Fn(usize) -> Handle,
    number: impl Fn(Handle::Output) -> usize,
) -> io::Result<Cost> {
    let mut handles = Vec::with_capacity(load.width);
    let mut sum = 0;
    let meter = Meter::start()?;
    for _ in 0..load.each() {
        if load.width == 1 {
            sum += number(spawn(1).await);
        } else {
            handles.extend((0..load.width).map(|_| spawn(1)));
            for handle in handles.drain(..) {
                sum += number(handle.await);
            }
        }
    }
    let cost = meter.stop()?;
    assert_eq!(sum, load.count, "every task ran once");
    Ok(cost)
}

/// The task.
pub async fn task(number: usize) -> usize {
    black_box(number)
}
