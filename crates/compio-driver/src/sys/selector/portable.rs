//! The poller of other systems: the `polling` crate, over kqueue, event ports or poll.

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

use polling::{Event, PollMode};

use crate::sys::ready_event::ReadyEvent;

use crate::request::ready;

/// A poller of the system.
#[derive(Debug)]
pub(crate) struct Poller(polling::Poller);

/// Room for the events of a wait.
pub(crate) struct Events(polling::Events);

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        polling::Poller::new().map(Self)
    }

    /// Subscribes to every change of a descriptor, until it is closed. False if the system does not
    /// support that.
    pub(crate) fn subscribe(&self, fd: RawFd, is_known: bool) -> io::Result<bool> {
        if !self.0.supports_edge() {
            return Ok(false);
        }
        self.ask(fd, Event::all(fd as usize), PollMode::Edge, is_known)?;
        Ok(true)
    }

    /// Registers a descriptor for one event, by its `poll(2)` bits.
    pub(crate) fn once(&self, fd: RawFd, events: u32, is_known: bool) -> io::Result<()> {
        let (read, write) = (events & ready::IN != 0, events & ready::OUT != 0);
        let mut event = Event::new(fd as usize, read, write);
        event.set_priority(events & ready::PRI != 0);
        self.ask(fd, event, PollMode::Oneshot, is_known)
    }

    /// Whether a short receive empties the socket. Not known on these systems.
    pub(crate) fn short_read_means_empty(&self, _fd: RawFd) -> bool {
        false
    }

    /// Removes a registration.
    pub(crate) fn forget(&self, fd: RawFd) {
        // SAFETY: only the number is used. If it is closed or another descriptor, the poller does not
        // know it.
        let _ = self.0.delete(unsafe { BorrowedFd::borrow_raw(fd) });
    }

    /// Waits for an event or a notification, at most for `timeout`.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        match self.0.wait(&mut events.0, timeout) {
            Ok(_) => Ok(()),
            // A signal: the caller tries again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the current wait, or the next one. Callable from any thread.
    pub(crate) fn notify(&self) {
        // The call fails only if the poller is closed, and then no thread waits.
        let _ = self.0.notify();
    }

    fn ask(&self, fd: RawFd, event: Event, mode: PollMode, is_known: bool) -> io::Result<()> {
        // SAFETY: the waiting request keeps the descriptor open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let modify = || self.0.modify_with_mode(borrowed, event, mode);
        // SAFETY: kernels forget a descriptor when it is closed; until then it may stay.
        let add = || unsafe { self.0.add_with_mode(fd, event, mode) };
        // The number may have been closed since it was registered.
        if is_known {
            modify().or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => add(),
                _ => Err(error),
            })
        } else {
            add().or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => modify(),
                _ => Err(error),
            })
        }
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Events {
    pub(crate) fn new(count_max: usize) -> Self {
        let count_max = NonZeroUsize::new(count_max).unwrap_or(NonZeroUsize::MIN);
        Self(polling::Events::with_capacity(count_max))
    }

    /// Whether the last wait filled the list.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= self.0.capacity().get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyEvent> {
        self.0.iter().map(|event| ReadyEvent {
            fd: event.key as RawFd,
            is_readable: event.readable || event.is_priority(),
            is_writable: event.writable,
            // Not known on these systems.
            may_hide: true,
        })
    }
}
