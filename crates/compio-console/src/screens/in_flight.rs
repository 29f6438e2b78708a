//! In flight: each operation that waits, with its descriptor and task.

use super::{Data, Sheet};
use crate::{
    format,
    protocol::{Task, Wait},
    table::{Cell, Column, Row, RowKey},
};

pub(super) const COLUMNS: [Column; 8] = [
    Column::text("kind", "kind", 8, 0),
    Column::text("descriptor", "descr", 6, 2),
    Column::path("object", "object", 12, 0),
    Column::number("since", "since", 0),
    Column::text("place", "place", 6, 0),
    Column::number("worker", "wrk", 1),
    Column::number("task", "task", 0),
    Column::path("name or spawn", "name or spawn", 8, 5),
];

pub(super) const SINCE: usize = 3;

/// An operation in flight, with the runtime and the task that wait for it.
pub(super) struct Waiting<'a> {
    pub(super) runtime: u64,
    pub(super) task: Option<&'a Task>,
    pub(super) wait: &'a Wait,
    pub(super) kind: &'a str,
}

/// All operations of the selected workers.
pub(super) fn operations<'a>(data: &'a Data<'_>) -> impl Iterator<Item = Waiting<'a>> {
    data.answers().flat_map(|answer| {
        let of_tasks = answer.tasks.iter();
        let of_tasks =
            of_tasks.flat_map(|task| task.waits.iter().map(move |wait| (Some(task), wait)));
        let others = answer.other_waits.iter().map(|wait| (None, wait));
        of_tasks.chain(others).filter_map(|(task, wait)| {
            Some(Waiting {
                runtime: answer.runtime,
                task,
                wait,
                kind: wait.kind.as_ref()?.as_str(),
            })
        })
    })
}

/// The name of a task, or else the place of its spawn.
pub(super) fn name_of(task: &Task) -> &str {
    task.name.as_ref().unwrap_or(&task.spawned_at).as_str()
}

pub(super) fn sheet(data: &Data<'_>) -> Sheet {
    Sheet {
        rows: operations(data).map(|waiting| row(&waiting)).collect(),
        below: data.notes_on_answers(),
        empty: "No operation in flight.",
        ..Sheet::default()
    }
}

fn row(waiting: &Waiting<'_>) -> Row {
    let wait = waiting.wait;
    let descriptor = wait
        .descriptor
        .as_ref()
        .map_or(format::UNKNOWN, |text| text.as_str());
    let object = wait
        .object
        .as_ref()
        .map_or(format::UNKNOWN, |text| text.as_str());
    let cancelled = if wait.is_cancelled { ", cancelled" } else { "" };
    let task = waiting.task.map(|task| task.id);
    Row {
        key: RowKey::Operation {
            runtime: waiting.runtime,
            task,
            kind: waiting.kind.into(),
            descriptor: descriptor.into(),
        },
        cells: vec![
            Cell::text(waiting.kind),
            Cell::text(descriptor),
            Cell::text(object),
            Cell::seconds(Some(wait.since)),
            Cell::text(format!("{}{cancelled}", wait.place)),
            Cell::id(waiting.runtime),
            Cell::number(task, |id| id as f64, |id| id.to_string()),
            Cell::text(waiting.task.map_or(format::UNKNOWN, name_of)),
        ],
    }
}
