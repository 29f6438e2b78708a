//! The messages of the protocol, version 1: one JSON object for each line.
//!
//! Times are seconds unless a name ends in `_ns`. Counters are cumulative. Unknown fields are ignored. Fields that a later
//! version might leave out have a default.

use serde::Deserialize;

use crate::text::{Text, escape};

/// The version that this client speaks.
pub const VERSION: u64 = 1;

/// Longest line of a server, in bytes.
pub const MAX_LINE: usize = 16 << 20;

/// Most objects of a line. A server's objects have about 100 bytes, those of a malformed peer two: without this limit, one
/// line would take gigabytes in memory.
const MAX_OBJECTS: usize = 250_000;

/// A line of the server.
#[derive(Debug)]
pub enum Message {
    /// The first line.
    Hello(Hello),
    /// The counters of all runtimes.
    Metrics(Metrics),
    /// The tasks of all runtimes.
    Tasks(Tasks),
    /// A setting is applied.
    Done,
    /// The server closes the connection, for this reason.
    Error(Text),
}

/// The field that all lines have.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: Text,
}

/// The line of an error.
#[derive(Deserialize)]
struct ErrorLine {
    #[serde(default)]
    message: Text,
}

impl Message {
    /// Parses a line.
    ///
    /// # Errors
    ///
    /// A printable description if the line is no message of this protocol.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        if line.iter().filter(|byte| **byte == b'{').count() > MAX_OBJECTS {
            return Err(format!("a line has more than {MAX_OBJECTS} objects"));
        }
        // Two passes. A tagged enum of serde would store all values of the line first.
        let Head { kind } = parse(line)?;
        Ok(match kind.as_str() {
            "hello" => Self::Hello(parse(line)?),
            "metrics" => Self::Metrics(parse(line)?),
            "tasks" => Self::Tasks(parse(line)?),
            "done" => Self::Done,
            "error" => Self::Error(parse::<ErrorLine>(line)?.message),
            other => return Err(format!("unknown type of message `{other}`")),
        })
    }

    /// The name of the type, as in the protocol.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Metrics(_) => "metrics",
            Self::Tasks(_) => "tasks",
            Self::Done => "done",
            Self::Error(_) => "error",
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    // The error of serde_json can quote the line.
    serde_json::from_slice(line).map_err(|error| escape(&error.to_string()))
}

/// The identity of the observed process.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u64,
    /// The version of compio.
    #[serde(default)]
    pub version: Text,
    /// The name of the program.
    #[serde(default)]
    pub program: Text,
    /// The ID of the process.
    #[serde(default)]
    pub process: u64,
}

/// Counters at one time.
#[derive(Debug, Default, Deserialize)]
pub struct Metrics {
    /// The time since the start of the server.
    pub time: f64,
    /// Whether the program records histograms. Old ones stay after a recording.
    #[serde(default)]
    pub recording: Option<bool>,
    /// The runtimes (workers).
    #[serde(default)]
    pub runtimes: Vec<Runtime>,
    /// The pools of threads for blocking work.
    #[serde(default)]
    pub pools: Vec<Pool>,
}

/// The counters of a runtime.
#[derive(Debug, Default, Deserialize)]
pub struct Runtime {
    /// The number of the runtime in its process.
    pub runtime: u64,
    /// The name of its thread.
    pub thread: Option<Text>,
    /// CPU time of its thread.
    pub cpu: Option<f64>,
    /// Time since the last turn of the event loop.
    pub since_turn: Option<f64>,
    /// The task that runs.
    pub current_task: Option<TaskName>,
    /// Counters of tasks.
    #[serde(default)]
    pub tasks: TaskCounts,
    /// Polls of tasks.
    #[serde(default)]
    pub polls: u64,
    /// Wakes by other threads.
    #[serde(default)]
    pub remote_wakes: u64,
    /// Turns of the event loop.
    #[serde(default)]
    pub turns: u64,
    /// Turns that parked the thread.
    #[serde(default)]
    pub parks: u64,
    /// System calls that enter the kernel's queue.
    #[serde(default)]
    pub enters: u64,
    /// Adaptive spins before a park.
    #[serde(default)]
    pub spins: u64,
    /// Spins that found a completion.
    #[serde(default)]
    pub spin_hits: u64,
    /// Timers that are set.
    #[serde(default)]
    pub timers: u64,
    /// Connections that the worker serves.
    pub connections: Option<Connections>,
    /// Counters by kind of operation.
    #[serde(default)]
    pub operations: Vec<Operations>,
    /// Times of polls, if they are recorded.
    pub poll_times: Option<Histogram>,
    /// The pools of buffers.
    pub buffer_pools: Option<BufferPools>,
}

/// Number, name and place of spawn of a task.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TaskName {
    /// The number.
    pub id: u64,
    /// The name, if it has one.
    pub name: Option<Text>,
    /// The place in the source.
    #[serde(default)]
    pub spawned_at: Text,
}

/// Counters of tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskCounts {
    /// Tasks that exist.
    pub alive: u64,
    /// All spawned tasks.
    pub spawned: u64,
    /// Tasks that have finished.
    pub finished: u64,
    /// Tasks that have panicked.
    pub panicked: u64,
    /// Tasks that wait for a poll.
    pub ready: u64,
}

/// Connections of a server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Open connections.
    pub open: u64,
    /// All accepted connections.
    pub accepted: u64,
}

/// Counters of one kind of operation.
#[derive(Debug, Default, Deserialize)]
pub struct Operations {
    /// The kind.
    pub kind: Text,
    /// Operations in flight.
    #[serde(default)]
    pub in_flight: u64,
    /// Completed operations.
    #[serde(default)]
    pub completed: u64,
    /// Operations that failed.
    #[serde(default)]
    pub errors: u64,
    /// Transferred bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Latencies, if they are recorded.
    pub latency: Option<Histogram>,
}

/// Counts of values, since the begin of the recording.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// The sum of all values in nanoseconds.
    pub sum_ns: u64,
    /// Inclusive upper bounds in nanoseconds, with the count of each bucket.
    pub buckets: Vec<(u64, u64)>,
}

/// The pools of buffers of a runtime.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BufferPools {
    /// The number of pools.
    pub pools: u64,
    /// All buffers.
    pub buffers: u64,
    /// Buffers that are not lent.
    pub free: u64,
}

/// A pool of threads for blocking work.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// The name of the pool.
    pub pool: Text,
    /// All threads.
    pub threads: u64,
    /// Threads that wait for work.
    pub idle: u64,
    /// Work that waits for a thread.
    pub queued: u64,
}

/// The tasks of all runtimes at one time.
#[derive(Debug, Default, Deserialize)]
pub struct Tasks {
    /// The time since the start of the server.
    pub time: f64,
    /// The answers of the runtimes.
    #[serde(default)]
    pub runtimes: Vec<RuntimeTasks>,
}

/// The answer of one runtime.
#[derive(Debug, Deserialize)]
pub struct RuntimeTasks {
    /// The number of the runtime.
    pub runtime: u64,
    /// The name of its thread.
    pub thread: Option<Text>,
    /// `answered`, `busy` or `ended`.
    pub state: Text,
    /// Tasks that the server left out.
    #[serde(default)]
    pub omitted: u64,
    /// The tasks of a runtime that has answered.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Operations and timers without a task.
    #[serde(default)]
    pub other_waits: Vec<Wait>,
    /// The time since the last turn of a busy runtime.
    pub since_turn: Option<f64>,
    /// The task that a busy runtime polls.
    pub task: Option<TaskName>,
}

/// A task.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    /// The number.
    pub id: u64,
    /// The name, if it has one.
    pub name: Option<Text>,
    /// The place of its spawn in the source.
    #[serde(default)]
    pub spawned_at: Text,
    /// `running`, `ready` or `waiting`.
    #[serde(default)]
    pub state: Text,
    /// Time since its spawn.
    #[serde(default)]
    pub age: f64,
    /// Number of polls.
    #[serde(default)]
    pub polls: u64,
    /// Time since the last poll; `None` if it is ready.
    pub since_poll: Option<f64>,
    /// The causes of its wait.
    #[serde(default)]
    pub waits: Vec<Wait>,
}

/// A cause of a task's wait: a timer, or an operation in flight.
#[derive(Clone, Debug, Deserialize)]
pub struct Wait {
    /// The timer.
    pub timer: Option<Timer>,
    /// The kind of operation.
    #[serde(rename = "operation")]
    pub kind: Option<Text>,
    /// The descriptor, as `fd 12`.
    pub descriptor: Option<Text>,
    /// The addresses of a socket, or the path of a file.
    pub object: Option<Text>,
    /// Time since the submission.
    #[serde(default)]
    pub since: f64,
    /// `kernel`, `queue` or `thread`.
    #[serde(default)]
    pub place: Text,
    /// Whether a cancel was requested.
    #[serde(default)]
    pub is_cancelled: bool,
}

/// A timer.
#[derive(Clone, Debug, Deserialize)]
pub struct Timer {
    /// The time until it fires.
    pub left: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let line = br#"{"type":"hello","protocol":1,"new":{"a":[1,2]},"process":7}"#;
        let Ok(Message::Hello(hello)) = Message::parse(line) else {
            panic!("no hello");
        };
        assert_eq!((hello.protocol, hello.process), (1, 7));
    }

    #[test]
    fn garbage_is_an_error_with_printable_text() {
        let deep = "[".repeat(100_000);
        let deep_field = format!(r#"{{"type":"metrics","time":1,"x":{deep}"#);
        let deep_known = format!(r#"{{"type":"metrics","time":1,"runtimes":{deep}"#);
        for line in [
            "",
            "\x1b[2J",
            "null",
            "{}",
            r#"{"type":"\u001b[2J"}"#,
            r#"{"type":"metrics","time":"\u001b[2J"}"#,
            r#"{"type":"metrics","time":1,"runtimes":[{"runtime":-1}]}"#,
            r#"{"type":"tasks","time":1e999}"#,
            &deep,
            &deep_field,
            &deep_known,
        ] {
            let error = Message::parse(line.as_bytes()).unwrap_err();
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        assert!(Message::parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn many_small_objects_are_an_error() {
        let waits = vec!["{}"; MAX_OBJECTS - 2].join(",");
        let line = |task: &str| {
            let tasks =
                format!(r#"[{{"runtime":1,"state":"answered","other_waits":[{waits}]}}{task}]"#);
            Message::parse(format!(r#"{{"type":"tasks","time":1,"runtimes":{tasks}}}"#).as_bytes())
        };
        assert!(line("").is_ok());
        let error = line(r#",{"runtime":2,"state":"ended"}"#).unwrap_err();
        assert_eq!(error, "a line has more than 250000 objects");
    }
}
