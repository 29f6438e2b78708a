//! The backend of Windows. It is not there yet: to ask for it is an error which says so.

use std::{convert::Infallible, io, time::Duration};

use super::{AsRawFd, Launch, RawFd};
use crate::{
    driver::BackendKind,
    flight::Key,
    notify::Notifier,
    request::{Answer, Request},
    spin::Spin,
};

/// An operation in a backend's own words: there are none here.
#[derive(Debug, Clone)]
pub enum RawEntry {}

pub(crate) struct Backend(Infallible);

/// What ends the backend's sleep.
#[derive(Debug)]
pub(crate) struct Event(Infallible);

/// Makes the backend; and says why this one.
pub(crate) fn choose(
    _wanted: Option<BackendKind>,
    _entries: u32,
    _spin: Spin,
) -> io::Result<(Backend, Event, String)> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "there is no backend for Windows yet: compio only compiles there",
    )
}

impl Event {
    /// An event that no backend listens to.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> io::Result<Self> {
        Err(unsupported())
    }

    /// Ends the sleep. Callable from any thread, and never blocking.
    pub(crate) fn signal(&self) {
        match self.0 {}
    }
}

impl Backend {
    pub(crate) fn kind(&self) -> BackendKind {
        match self.0 {}
    }

    /// How often the kernel was entered to wait.
    pub(crate) fn enters(&self) -> u64 {
        match self.0 {}
    }

    /// # Safety
    ///
    /// What the request points to stays valid until the answer to `key` has been reported.
    pub(crate) unsafe fn launch(&mut self, _: Key, _: &Request) -> Launch {
        match self.0 {}
    }

    pub(crate) fn cancel(&mut self, _: Key) {
        match self.0 {}
    }

    pub(crate) fn wait(
        &mut self,
        _: Option<Duration>,
        _: &Notifier,
        _: &mut dyn FnMut(Key, Answer),
    ) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn prepare_to_sleep(&mut self, _: &Notifier) -> bool {
        match self.0 {}
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        match self.0 {}
    }
}
