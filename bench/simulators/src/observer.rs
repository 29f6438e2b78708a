//! The observer outside of all hosts: it knows the promises of a program, and survives all faults.

use std::{
    fmt::Display,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Held,
    Violated(String),
    /// The simulator lacks a function.
    NotModelled(String),
}

#[derive(Debug, Default)]
struct State {
    starts: u64,
    count: u64,
    record: Vec<u64>,
    end: Option<End>,
}

/// A shared handle.
#[derive(Debug, Clone, Default)]
pub struct Observer(Arc<Mutex<State>>);

impl Observer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a start of the host, and returns whether it is not the first one.
    pub fn is_restart(&self) -> bool {
        let mut state = self.state();
        state.starts += 1;
        state.starts > 1
    }

    /// A promise: entries up to this number are durable.
    pub fn acknowledge(&self, count: u64) {
        self.state().count = count;
    }

    pub fn acknowledged(&self) -> u64 {
        self.state().count
    }

    /// Adds a value to the record of the run.
    pub fn record(&self, value: u64) {
        self.state().record.push(value);
    }

    pub fn records(&self) -> Vec<u64> {
        self.state().record.clone()
    }

    /// The run fails if `holds` is false.
    pub fn check(&self, holds: bool, promise: impl Display) {
        if !holds {
            self.end_with(End::Violated(promise.to_string()));
        }
    }

    /// The run has reached its end without a violation.
    pub fn finish(&self) {
        self.end_with(End::Held);
    }

    /// A host has returned an error.
    pub fn fail(&self, error: &io::Error) {
        self.end_with(match error.kind() {
            io::ErrorKind::Unsupported => End::NotModelled(error.to_string()),
            _ => End::Violated(format!("a host failed: {error}")),
        });
    }

    pub fn end(&self) -> Option<End> {
        self.state().end.clone()
    }

    /// The first end counts.
    fn end_with(&self, end: End) {
        self.state().end.get_or_insert(end);
    }
}
