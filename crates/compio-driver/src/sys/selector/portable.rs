//! The poller of other systems: the `polling` crate, over kqueue, event ports or poll.

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

#[cfg(not(all(test, not(loom), compio_portable)))]
use polling::Poller as Source;
use polling::{Event, PollMode};

#[cfg(all(test, not(loom), compio_portable))]
use self::fake::Source;

#[cfg(all(test, not(loom), compio_portable))]
use crate::sys::faults;
use crate::sys::ready_event::{ReadyEvent, Registered};

use crate::request::ready;

/// A poller of the system.
#[derive(Debug)]
pub(crate) struct Poller(Source);

/// The room of a list in tests without faults.
#[cfg(all(test, not(loom), compio_portable))]
const EVENTS_MAX: u8 = 64;

/// Room for the events of a wait.
pub(crate) struct Events(polling::Events, Vec<Event>);

/// Whether the system never watches descriptors of this type. kqueue: EINVAL for a filter that the
/// descriptor lacks (`kqueue_kqfilter`, `invfo_kqfilter`), ENODEV (`no_kqfilter`) or ENOTSUP for a device.
/// EPERM: epoll, on Linux.
pub(crate) fn is_refusal(code: i32) -> bool {
    [
        libc::EINVAL,
        libc::ENODEV,
        libc::ENOTSUP,
        libc::EOPNOTSUPP,
        libc::EPERM,
    ]
    .contains(&code)
}

impl Poller {
    /// Whether a registration reports the state at its beginning. `polling` hides EPIPE of a kqueue, for
    /// a pipe without a reader. Then there is no registration.
    pub(crate) const REPORTS_STATE: bool = false;

    /// Whether it reports exceptional conditions, and errors alone. `polling` has no such filter of kqueue.
    pub(crate) const REPORTS_EXCEPTIONS: bool = false;

    pub(crate) fn new() -> io::Result<Self> {
        Source::new().map(Self)
    }

    /// Subscribes to every change of a descriptor, until it is closed. False if the system does not
    /// support that. Example: a kqueue as a descriptor has no write filter.
    pub(crate) fn subscribe(&self, fd: RawFd, now: Registered) -> io::Result<bool> {
        if !self.0.supports_edge() {
            return Ok(false);
        }
        let event = Event::all(fd as usize);
        match self.ask(fd, event, PollMode::Edge, (now, Registered::Always)) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error().is_some_and(is_refusal) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Registers a descriptor for one event, by its `poll(2)` bits.
    pub(crate) fn once(&self, fd: RawFd, events: u32, now: Registered) -> io::Result<()> {
        let (read, write) = (events & ready::IN != 0, events & ready::OUT != 0);
        let event = Event::new(fd as usize, read, write);
        self.ask(fd, event, PollMode::Oneshot, (now, Registered::Once))
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
        #[cfg(all(test, not(loom), compio_portable))]
        if let Source::Fake(kqueue) = &self.0 {
            events.1 = kqueue.wait();
            return Ok(());
        }
        #[cfg(all(test, not(loom), compio_portable))]
        if faults::refusal(&[libc::EINTR]).is_some() {
            return Ok(());
        }
        #[cfg(all(test, not(loom), compio_portable))]
        events.set_room(faults::room(EVENTS_MAX));
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

    fn ask(
        &self,
        fd: RawFd,
        event: Event,
        mode: PollMode,
        (now, wanted): (Registered, Registered),
    ) -> io::Result<()> {
        // A kqueue keeps the flags of the first EV_ADD: EV_ONESHOT would end a subscription.
        if now != Registered::No && now != wanted {
            self.forget(fd);
        }
        // SAFETY: the waiting request keeps the descriptor open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let modify = || self.0.modify_with_mode(borrowed, event, mode);
        // SAFETY: kernels forget a descriptor when it is closed; until then it may stay.
        let add = || unsafe { self.0.add_with_mode(fd, event, mode) };
        // The number may have been closed since it was registered.
        let asked = if now == wanted {
            modify().or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => add(),
                _ => Err(error),
            })
        } else {
            add().or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => modify(),
                _ => Err(error),
            })
        };
        if asked.is_err() {
            // A filter may be registered although the other one was refused.
            self.forget(fd);
        }
        asked
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
        Self(polling::Events::with_capacity(count_max), Vec::new())
    }

    /// Replaces the empty list by another one with this room, unless it has that room.
    #[cfg(all(test, not(loom), compio_portable))]
    fn set_room(&mut self, room: u8) {
        if self.0.capacity().get() != usize::from(room) {
            *self = Self::new(room.into());
        }
    }

    /// Whether the last wait may have filled the list. The events of a notification and of a timeout take
    /// up to two places, and are not counted.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() + 2 >= self.0.capacity().get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyEvent> {
        self.0.iter().chain(self.1.iter().copied()).map(|event| {
            #[cfg(all(test, not(loom), compio_portable))]
            let is_misled = faults::misled(1) != 0;
            #[cfg(not(all(test, not(loom), compio_portable)))]
            let is_misled = false;
            ReadyEvent {
                fd: event.key as RawFd,
                is_readable: event.readable || event.is_priority() || is_misled,
                is_writable: event.writable || is_misled,
                // Not known on these systems.
                may_hide: true,
            }
        })
    }
}

#[cfg(all(test, not(loom), compio_portable))]
#[path = "fake_kqueue.rs"]
pub(crate) mod fake;
