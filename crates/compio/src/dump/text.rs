//! Dumps as text.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use super::{
    Busy, Content, OperationPlace, OperationWait, RuntimeDump, TaskDump, TaskState, Tasks, Wait,
};
use crate::metrics::OpKind;

impl Display for RuntimeDump {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "runtime {} on thread ", self.metrics.runtime_number())?;
        match self.metrics.thread().name() {
            Some(name) => write!(f, "{name:?}: ")?,
            None => f.write_str("without a name: ")?,
        }
        match &self.content {
            Content::Tasks(tasks) => tasks.fmt(f),
            Content::Busy(busy) => busy.fmt(f),
            Content::Ended => f.write_str("it has been dropped"),
        }
    }
}

impl Display for Tasks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = self.tasks.len();
        write!(f, "{count} {}", if count == 1 { "task" } else { "tasks" })?;
        for task in &self.tasks {
            write!(f, "\n  {task}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n  {} more", self.omitted)?;
        }
        if !self.other_waits.is_empty() {
            f.write_str("\n  outside of tasks")?;
            for wait in &self.other_waits {
                write!(f, "\n    {wait}")?;
            }
        }
        Ok(())
    }
}

impl Display for Busy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let since = Time(self.since);
        match &self.task {
            Some(task) => write!(
                f,
                "it does not answer, in a poll of {task}; its last turn was {since} ago"
            ),
            None => write!(
                f,
                "it does not answer, and runs no task; its last turn was {since} ago"
            ),
        }
    }
}

impl Display for TaskDump {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
        };
        let polls = if self.polls == 1 { "poll" } else { "polls" };
        let (meta, age) = (&self.meta, Time(self.age));
        write!(f, "{meta}: {state}, age {age}, {} {polls}", self.polls)?;
        if let Some(since) = self.since_poll.filter(|_| self.polls > 0) {
            write!(f, ", the last {} ago", Time(since))?;
        }
        for wait in &self.waits {
            write!(f, "\n    {wait}")?;
        }
        if self.waits.is_empty() && self.state == TaskState::Waiting {
            f.write_str("\n    the waker of another task or thread")?;
        }
        Ok(())
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(operation) => operation.fmt(f),
            Self::Timer { left } => write!(f, "sleep, {} left", Time(*left)),
        }
    }
}

impl Display for OperationWait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.kind == OpKind::Blocking {
            f.write_str("blocking work")?;
        } else {
            self.kind.fmt(f)?;
        }
        if let Some(descriptor) = &self.descriptor {
            write!(f, " on {descriptor}")?;
        }
        if let Some(object) = &self.object {
            // Paths have any characters; each wait has one line.
            write!(f, " ({})", object.escape_debug())?;
        }
        match self.place {
            OperationPlace::Kernel => f.write_str(", ")?,
            OperationPlace::Queue => f.write_str(", queued ")?,
            OperationPlace::Thread => f.write_str(", on a thread ")?,
        }
        Time(self.since).fmt(f)?;
        if self.is_cancelled {
            f.write_str(", cancelled")?;
        }
        Ok(())
    }
}

/// A duration with one decimal place.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            return write!(f, "{} ms", self.0.as_millis());
        }
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}
