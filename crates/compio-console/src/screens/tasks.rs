//! Tasks: the longest waits first.

use super::{Data, Sheet};
use crate::{
    format,
    protocol::{Task, Wait},
    table::{Cell, Column, Row, RowKey},
};

pub(super) const COLUMNS: [Column; 9] = [
    Column::number("task", "task", 0),
    Column::number("since poll", "since", 0),
    Column::number("age", "age", 0),
    Column::number("polls", "polls", 0),
    Column::text("state", "state", 7, 0),
    Column::text("name", "name", 6, 2),
    Column::path("spawned at", "spawned at", 12, 0),
    Column::number("worker", "wrk", 1),
    Column::text("waits for", "waits for", 8, 5),
];

pub(super) const SINCE_POLL: usize = 1;

pub(super) fn sheet(data: &Data<'_>) -> Sheet {
    let rows = data.answers().flat_map(|answer| {
        let tasks = answer.tasks.iter();
        tasks.map(|task| row(answer.runtime, task))
    });
    Sheet {
        rows: rows.collect(),
        below: data.notes_on_answers(),
        empty: "No task.",
        ..Sheet::default()
    }
}

fn row(runtime: u64, task: &Task) -> Row {
    Row {
        key: RowKey::Task {
            runtime,
            id: task.id,
        },
        cells: vec![
            Cell::id(task.id),
            Cell::seconds(task.since_poll),
            Cell::seconds(Some(task.age)),
            Cell::count(task.polls),
            Cell::text(task.state.as_str()),
            Cell::text(
                task.name
                    .as_ref()
                    .map_or(format::UNKNOWN, |name| name.as_str()),
            ),
            Cell::text(task.spawned_at.as_str()),
            Cell::id(runtime),
            Cell::text(summary(&task.waits)),
        ],
    }
}

/// The first wait, and the number of the others.
fn summary(waits: &[Wait]) -> String {
    let Some((first, others)) = waits.split_first() else {
        return format::UNKNOWN.into();
    };
    let first = match (&first.kind, &first.timer) {
        (Some(kind), _) => match &first.descriptor {
            Some(descriptor) => format!("{kind} {descriptor}"),
            None => kind.to_string(),
        },
        (None, Some(timer)) => format!("timer {}", format::seconds(timer.left)),
        (None, None) => "?".into(),
    };
    match others.len() {
        0 => first,
        count => format!("{first}, {count} more"),
    }
}
