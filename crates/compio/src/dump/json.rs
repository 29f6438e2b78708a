//! Dumps as JSON.

use std::fmt::{self, Write};

use super::{Content, OperationPlace, RuntimeDump, TaskDump, TaskState, Wait};
use crate::{
    json::{separate, write_text, write_text_or_null},
    task::Meta,
};

/// The object of one runtime.
pub(super) fn runtime(dump: &RuntimeDump) -> String {
    let mut json = String::new();
    // A string takes all writes.
    write_runtime(&mut json, dump).expect("a string takes all writes");
    json
}

fn write_runtime(json: &mut String, dump: &RuntimeDump) -> fmt::Result {
    let metrics = dump.metrics();
    write!(
        json,
        r#"{{"runtime":{},"thread":"#,
        metrics.runtime_number()
    )?;
    write_text_or_null(json, metrics.thread().name());
    match dump.content() {
        Content::Tasks(tasks) => {
            let omitted = tasks.omitted;
            write!(json, r#","state":"answered","omitted":{omitted},"tasks":["#)?;
            for (index, task) in tasks.tasks.iter().enumerate() {
                separate(json, index);
                write_task(json, task)?;
            }
            json.push_str(r#"],"other_waits":"#);
            write_waits(json, &tasks.other_waits)?;
        }
        Content::Busy(busy) => {
            write!(
                json,
                r#","state":"busy","since_turn":{},"task":"#,
                busy.since.as_secs_f64()
            )?;
            match &busy.task {
                Some(running) => task(json, running)?,
                None => json.push_str("null"),
            }
        }
        Content::Ended => json.push_str(r#","state":"ended""#),
    }
    json.push('}');
    Ok(())
}

fn write_task(json: &mut String, task: &TaskDump) -> fmt::Result {
    write_identity(json, &task.meta)?;
    let state = match task.state {
        TaskState::Running => "running",
        TaskState::Ready => "ready",
        TaskState::Waiting => "waiting",
    };
    write!(
        json,
        r#","state":"{state}","age":{},"polls":{},"since_poll":"#,
        task.age.as_secs_f64(),
        task.polls
    )?;
    match task.since_poll {
        Some(since) => write!(json, "{}", since.as_secs_f64())?,
        None => json.push_str("null"),
    }
    json.push_str(r#","waits":"#);
    write_waits(json, &task.waits)?;
    json.push('}');
    Ok(())
}

/// The identity of a task.
pub(crate) fn task(json: &mut String, task: &Meta) -> fmt::Result {
    write_identity(json, task)?;
    json.push('}');
    Ok(())
}

/// The begin of an object.
fn write_identity(json: &mut String, task: &Meta) -> fmt::Result {
    write!(json, r#"{{"id":{},"name":"#, task.id())?;
    write_text_or_null(json, task.name());
    json.push_str(r#","spawned_at":"#);
    write_text(json, &task.location().to_string());
    Ok(())
}

fn write_waits(json: &mut String, waits: &[Wait]) -> fmt::Result {
    json.push('[');
    for (index, wait) in waits.iter().enumerate() {
        separate(json, index);
        match wait {
            Wait::Timer { left } => {
                write!(json, r#"{{"timer":{{"left":{}}}}}"#, left.as_secs_f64())?
            }
            Wait::Operation(operation) => {
                write!(json, r#"{{"operation":"{}","descriptor":"#, operation.kind)?;
                write_text_or_null(json, operation.descriptor.as_deref());
                json.push_str(r#","object":"#);
                write_text_or_null(json, operation.object.as_deref());
                let place = match operation.place {
                    OperationPlace::Kernel => "kernel",
                    OperationPlace::Queue => "queue",
                    OperationPlace::Thread => "thread",
                };
                write!(
                    json,
                    r#","since":{},"place":"{place}","is_cancelled":{}}}"#,
                    operation.since.as_secs_f64(),
                    operation.is_cancelled
                )?;
            }
        }
    }
    json.push(']');
    Ok(())
}
