//! A kqueue behind the functions of `polling`, for unit tests of the readiness backend on Linux.
//!
//! The rules of knotes are in `sys/kern/kern_event.c` of FreeBSD and `bsd/kern/kern_event.c` of XNU. The
//! rules of `polling` are in its `kqueue.rs`. Tests report changes of descriptors with
//! [`activate`](Kqueue::activate), and poll(2) gives their states.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use polling::{Event, Events, PollMode};

use crate::{request::ready, sys::unix::ready_now};

/// A real poller, unless this thread has set a fake.
#[derive(Debug)]
pub(crate) enum Source {
    Real(polling::Poller),
    Fake(Kqueue),
}

thread_local! {
    /// The fake for the next poller of this thread.
    static NEXT: RefCell<Option<Kqueue>> = const { RefCell::new(None) };
}

/// A handle of the fake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kqueue(Arc<Mutex<State>>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Filter {
    Read,
    Write,
}

#[derive(Debug, Default)]
struct State {
    knotes: BTreeMap<(RawFd, Filter), Knote>,
    /// The descriptors that `polling` has added. A close does not remove them.
    sources: BTreeSet<RawFd>,
    refusals: BTreeMap<(RawFd, Filter), i32>,
}

#[derive(Debug)]
struct Knote {
    key: usize,
    is_oneshot: bool,
    is_clear: bool,
    is_active: bool,
}

impl Kqueue {
    /// A fake for the next poller of this thread.
    pub(crate) fn for_next_poller() -> Self {
        let kqueue = Self::default();
        NEXT.set(Some(kqueue.clone()));
        kqueue
    }

    /// Registrations of this filter fail with this error.
    pub(crate) fn refuse(&self, fd: RawFd, filter: Filter, code: i32) {
        self.lock().refusals.insert((fd, filter), code);
    }

    /// The state of the descriptor changes (`KNOTE`).
    pub(crate) fn activate(&self, fd: RawFd, filter: Filter) {
        if let Some(knote) = self.lock().knotes.get_mut(&(fd, filter)) {
            knote.is_active = true;
        }
    }

    /// The descriptor is closed, which removes its knotes (`knote_fdclose`).
    pub(crate) fn close(&self, fd: RawFd) {
        self.lock().knotes.retain(|(other, _), _| *other != fd);
    }

    /// Whether the filter is registered.
    pub(crate) fn has(&self, fd: RawFd, filter: Filter) -> bool {
        self.lock().knotes.contains_key(&(fd, filter))
    }

    /// The active events (`kqueue_scan`).
    pub(super) fn wait(&self) -> Vec<Event> {
        let mut events = Vec::new();
        self.lock().knotes.retain(|(fd, filter), knote| {
            let state = state(*fd, *filter);
            // A filter is asked again before its event is reported.
            if !knote.is_active || state == 0 {
                knote.is_active = false;
                return true;
            }
            let is_read = *filter == Filter::Read;
            // `polling`: EOF of a read filter is reported to writers, too.
            let is_eof = state & (ready::HUP | ready::ERR) != 0;
            events.push(Event::new(knote.key, is_read, !is_read || is_eof));
            // Without EV_CLEAR the knote stays active.
            knote.is_active = !knote.is_clear;
            !knote.is_oneshot
        });
        events
    }

    fn modify(&self, fd: RawFd, event: Event, mode: PollMode) -> io::Result<()> {
        let mut state = self.lock();
        // `polling` looks at its own list first.
        if !state.sources.contains(&fd) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // EV_RECEIPT: both changes are executed, and the first error is returned.
        let read = state.change(fd, Filter::Read, event.readable, event.key, mode);
        let write = state.change(fd, Filter::Write, event.writable, event.key, mode);
        read.and(write)
    }

    fn add(&self, fd: RawFd, event: Event, mode: PollMode) -> io::Result<()> {
        if !self.lock().sources.insert(fd) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // A refusal leaves the descriptor in the list.
        self.modify(fd, event, mode)
    }

    fn delete(&self, fd: RawFd) -> io::Result<()> {
        self.modify(fd, Event::none(0), PollMode::Oneshot)?;
        self.lock().sources.remove(&fd);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// EV_ADD or EV_DELETE of one filter (`kqueue_register`).
    fn change(
        &mut self,
        fd: RawFd,
        filter: Filter,
        is_wanted: bool,
        key: usize,
        mode: PollMode,
    ) -> io::Result<()> {
        if !is_wanted {
            // `polling` ignores ENOENT.
            self.knotes.remove(&(fd, filter));
            return Ok(());
        }
        if let Some(code) = self.refusals.get(&(fd, filter)) {
            return Err(io::Error::from_raw_os_error(*code));
        }
        let state = state(fd, filter);
        if filter == Filter::Write
            && state & ready::ERR != 0
            && !self.knotes.contains_key(&(fd, filter))
        {
            // `filt_pipe` has no reader to attach to: EPIPE, which `polling` ignores.
            return Ok(());
        }
        // The flags of an existing knote stay: only its data is replaced.
        let knote = self.knotes.entry((fd, filter)).or_insert(Knote {
            key,
            is_oneshot: matches!(mode, PollMode::Oneshot),
            is_clear: matches!(mode, PollMode::Edge),
            is_active: false,
        });
        knote.key = key;
        // The filter is asked at each EV_ADD.
        knote.is_active |= state != 0;
        Ok(())
    }
}

/// The state of a descriptor by its `poll(2)` bits.
fn state(fd: RawFd, filter: Filter) -> u32 {
    let events = match filter {
        Filter::Read => ready::IN,
        Filter::Write => ready::OUT,
    };
    ready_now(fd, events).unwrap()
}

impl Source {
    pub(super) fn new() -> io::Result<Self> {
        match NEXT.take() {
            Some(kqueue) => Ok(Self::Fake(kqueue)),
            None => polling::Poller::new().map(Self::Real),
        }
    }

    pub(super) fn supports_edge(&self) -> bool {
        true
    }

    /// # Safety
    ///
    /// As [`polling::Poller::add_with_mode`].
    pub(super) unsafe fn add_with_mode(
        &self,
        fd: RawFd,
        event: Event,
        mode: PollMode,
    ) -> io::Result<()> {
        match self {
            // SAFETY: by this function's contract.
            Self::Real(poller) => unsafe { poller.add_with_mode(fd, event, mode) },
            Self::Fake(kqueue) => kqueue.add(fd, event, mode),
        }
    }

    pub(super) fn modify_with_mode(
        &self,
        fd: BorrowedFd<'_>,
        event: Event,
        mode: PollMode,
    ) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.modify_with_mode(fd, event, mode),
            Self::Fake(kqueue) => kqueue.modify(fd.as_raw_fd(), event, mode),
        }
    }

    pub(super) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.delete(fd),
            Self::Fake(kqueue) => kqueue.delete(fd.as_raw_fd()),
        }
    }

    pub(super) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        match self {
            Self::Real(poller) => poller.wait(events, timeout),
            Self::Fake(_) => Ok(0),
        }
    }

    pub(super) fn notify(&self) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.notify(),
            Self::Fake(_) => Ok(()),
        }
    }
}

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Real(poller) => poller.as_raw_fd(),
            Self::Fake(_) => -1,
        }
    }
}
