//! One task: all of its data and waits. The page stays on its task over updates.

use crate::{
    format,
    model::Model,
    protocol::{RuntimeTasks, Task, Wait},
};

/// The task of the page.
#[derive(Clone, Debug)]
pub(crate) struct Detail {
    process: u64,
    runtime: u64,
    id: u64,
    /// The latest data.
    last: Option<Task>,
    status: Status,
}

/// The relation of the data to the latest answer of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Current,
    Ended,
    ProcessEnded,
    /// The worker has not answered for this reason.
    Unknown(String),
}

impl Detail {
    pub(crate) fn new(model: &Model, runtime: u64, id: u64) -> Self {
        let mut detail = Self {
            process: process(model),
            runtime,
            id,
            last: None,
            status: Status::Current,
        };
        detail.update(model);
        detail
    }

    /// Takes the data of the task from an update.
    pub(crate) fn update(&mut self, model: &Model) {
        if self.process != process(model) {
            self.status = Status::ProcessEnded;
            return;
        }
        let Some(tasks) = &model.tasks else {
            return;
        };
        let mut runtimes = tasks.runtimes.iter();
        let answer = runtimes.find(|runtime| runtime.runtime == self.runtime);
        let task = answer.and_then(|answer| answer.tasks.iter().find(|task| task.id == self.id));
        if let Some(task) = task {
            self.last = Some(task.clone());
            self.status = Status::Current;
        } else {
            self.status = absence(answer);
        }
    }
}

fn process(model: &Model) -> u64 {
    model.hello.as_ref().map_or(0, |hello| hello.process)
}

/// The reason why an answer lacks a task.
fn absence(answer: Option<&RuntimeTasks>) -> Status {
    let Some(answer) = answer else {
        return Status::Ended;
    };
    match answer.state.as_str() {
        "answered" if answer.omitted == 0 => Status::Ended,
        "answered" => Status::Unknown("the program has left out some tasks".into()),
        "ended" => Status::Ended,
        _ => Status::Unknown("the worker does not answer".into()),
    }
}

/// The lines of the page.
pub(crate) fn lines(detail: &Detail) -> Vec<String> {
    let status = match &detail.status {
        Status::Current => None,
        Status::Ended => Some("The task has ended. Its last data:".to_owned()),
        Status::ProcessEnded => Some("The task has ended with its process. Its last data:".into()),
        Status::Unknown(reason) => Some(format!("No news of the task: {reason}. Its last data:")),
    };
    let mut lines = vec![format!("Task {} of worker {}", detail.id, detail.runtime)];
    lines.extend(status);
    lines.push(String::new());
    let Some(task) = &detail.last else {
        lines.push("No data.".into());
        return lines;
    };
    let since_poll = task
        .since_poll
        .map_or(format::UNKNOWN.into(), format::seconds);
    let name = task
        .name
        .as_ref()
        .map_or(format::UNKNOWN, |name| name.as_str());
    lines.extend([
        format!("name        {name}"),
        format!("state       {}", task.state),
        format!("spawned at  {}", task.spawned_at),
        format!("age         {}", format::seconds(task.age)),
        format!("polls       {}", task.polls),
        format!("since poll  {since_poll}"),
        String::new(),
    ]);
    match task.waits.len() {
        0 => lines.push("It waits for no operation and no timer of the runtime.".into()),
        1 => lines.push("1 wait:".into()),
        count => lines.push(format!("{count} waits:")),
    }
    lines.extend(task.waits.iter().map(wait_line));
    lines
}

fn wait_line(wait: &Wait) -> String {
    if let Some(timer) = &wait.timer {
        return format!("  timer, fires in {}", format::seconds(timer.left));
    }
    let Some(kind) = &wait.kind else {
        return "  unknown to this version of the console".into();
    };
    let mut line = format!("  {kind}");
    for part in [&wait.descriptor, &wait.object].into_iter().flatten() {
        line += &format!(" {part}");
    }
    line += &format!(
        ", for {}, in the {}",
        format::seconds(wait.since),
        wait.place
    );
    if wait.is_cancelled {
        line += ", cancelled";
    }
    line
}
