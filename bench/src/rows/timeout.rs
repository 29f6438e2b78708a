//! Timeouts that never fire: the cost of arming a timer and removing it.

use std::time::Duration;

use crate::row::{Column, Row, one_cost};

/// See the module.
pub const ROW: Row = Row {
    about: "A timeout of an hour around something that is done a turn later: set, then taken back.",
    widths: &[1, 1_000],
    shown: &[1_000],
    count: |_| 1_000_000,
    columns: &[
        Column::new("CPU per timeout", "ns"),
        Column::new("wall per timeout", "ns"),
    ],
    has: |contender| contender.timeout.is_some(),
    run: |contender, load| one_cost(contender.timeout, load),
    ..Row::new("timeout", "tasks")
};

/// Never reached.
pub const HOUR: Duration = Duration::from_secs(3600);

/// One of the tasks.
pub async fn task<T: Future>(times: usize, timeout: impl Fn() -> T) {
    for _ in 0..times {
        timeout().await;
    }
}
