//! Invariants over the state of several hosts.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{ErrorKind, assertions, error::sendable, program::message_of};

pub(super) struct Invariant {
    pub(super) name: String,
    pub(super) check: Box<dyn FnMut() -> Result<(), Box<dyn Error>>>,
}

impl Invariant {
    /// Checks it in the current host.
    pub(super) fn check(&mut self) -> Result<(), ErrorKind> {
        let checked = catch_unwind(AssertUnwindSafe(&mut self.check));
        let held = checked.unwrap_or_else(|panic| Err(message_of(&*panic).into()));
        assertions::count(held.is_ok(), &self.name, false);
        held.map_err(|reason| ErrorKind::Violated {
            name: self.name.clone(),
            reason: Some(sendable(reason)),
        })
    }
}

impl fmt::Debug for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invariant")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
