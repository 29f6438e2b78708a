//! The screens. Each one builds a sheet of rows and lines from the data; `draw.rs` draws it.

mod connections;
mod help;
mod in_flight;
mod operations;
mod task;
mod tasks;
mod workers;

use crate::{
    model::Model,
    protocol::{RuntimeTasks, TaskName},
    table::{Column, Row},
};

pub(crate) use help::LINES as HELP;
pub(crate) use task::{Detail, lines as task_lines};

/// A screen with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// A row for each runtime.
    Workers,
    /// A row for each kind of operation.
    Operations,
    /// A row for each operation in flight.
    InFlight,
    /// A row for each task.
    Tasks,
    /// A row for each socket with a waiting operation.
    Connections,
}

impl Screen {
    /// All screens, in the order of their keys.
    pub const ALL: [Self; 5] = [
        Self::Workers,
        Self::Operations,
        Self::InFlight,
        Self::Tasks,
        Self::Connections,
    ];

    /// The title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Workers => "Workers",
            Self::Operations => "Operations",
            Self::InFlight => "In flight",
            Self::Tasks => "Tasks",
            Self::Connections => "Connections",
        }
    }

    /// Whether the screen shows tasks, which cost the program more than counters.
    pub fn needs_tasks(self) -> bool {
        match self {
            Self::Workers | Self::Operations => false,
            Self::InFlight | Self::Tasks | Self::Connections => true,
        }
    }

    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Workers => &workers::COLUMNS,
            Self::Operations => &operations::COLUMNS,
            Self::InFlight => &in_flight::COLUMNS,
            Self::Tasks => &tasks::COLUMNS,
            Self::Connections => &connections::COLUMNS,
        }
    }

    /// The column of the first order, and whether it is descending.
    pub(crate) fn first_sort(self) -> (usize, bool) {
        match self {
            Self::Workers => (0, false),
            Self::Operations => (1, true),
            Self::InFlight => (in_flight::SINCE, true),
            Self::Tasks => (tasks::SINCE_POLL, true),
            Self::Connections => (connections::LONGEST, true),
        }
    }

    pub(crate) fn sheet(self, data: &Data<'_>) -> Sheet {
        let mut sheet = self.content(data);
        if data.model.metrics.is_none() {
            sheet.empty = "No data yet.";
        } else if self.needs_tasks() && data.model.tasks.is_none() {
            sheet.empty = "No tasks yet.";
        }
        sheet
    }

    fn content(self, data: &Data<'_>) -> Sheet {
        match self {
            Self::Workers => workers::sheet(data),
            Self::Operations => operations::sheet(data),
            Self::InFlight => in_flight::sheet(data),
            Self::Tasks => tasks::sheet(data),
            Self::Connections => connections::sheet(data),
        }
    }
}

/// The data of a screen, and the choices that affect them.
pub(crate) struct Data<'a> {
    pub(crate) model: &'a Model,
    /// The selected worker. `None`: all.
    pub(crate) worker: Option<u64>,
    /// Whether the program records histograms.
    pub(crate) has_histograms: bool,
}

impl Data<'_> {
    pub(crate) fn shows(&self, runtime: u64) -> bool {
        self.worker.is_none_or(|worker| worker == runtime)
    }

    /// The answers of the selected workers.
    fn answers(&self) -> impl Iterator<Item = &RuntimeTasks> {
        let runtimes = self.model.tasks.iter().flat_map(|tasks| &tasks.runtimes);
        runtimes.filter(|runtime| self.shows(runtime.runtime))
    }

    /// A line for each worker that does not show all of its tasks.
    fn notes_on_answers(&self) -> Vec<String> {
        self.answers().filter_map(note_on_answer).collect()
    }
}

/// The content of a screen.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    /// Lines above the table.
    pub(crate) above: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// Lines below the table.
    pub(crate) below: Vec<String>,
    /// The text in the place of rows, if there are none.
    pub(crate) empty: &'static str,
}

fn note_on_answer(runtime: &RuntimeTasks) -> Option<String> {
    let worker = runtime.runtime;
    match runtime.state.as_str() {
        "answered" if runtime.omitted == 0 => None,
        "answered" => Some(format!(
            "worker {worker}: {} more tasks, which have waited for a shorter time, are not shown",
            runtime.omitted
        )),
        "busy" => Some(note_on_busy(runtime)),
        "ended" => Some(format!("worker {worker} has ended")),
        other => Some(format!("worker {worker}: unknown state `{other}`")),
    }
}

fn note_on_busy(runtime: &RuntimeTasks) -> String {
    let since = crate::format::seconds(runtime.since_turn.unwrap_or_default());
    let task = match &runtime.task {
        Some(task) => format!("; it polls task {}", task_title(task)),
        None => String::new(),
    };
    format!(
        "worker {} does not answer: busy for {since}{task}",
        runtime.runtime
    )
}

/// Number, name and place of spawn.
fn task_title(task: &TaskName) -> String {
    match &task.name {
        Some(name) => format!("{} {name} ({})", task.id, task.spawned_at),
        None => format!("{} ({})", task.id, task.spawned_at),
    }
}
