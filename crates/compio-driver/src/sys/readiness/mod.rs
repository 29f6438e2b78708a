//! The readiness backend: it tries each request first, without blocking. A request waits for its
//! descriptor to become ready only if the kernel returns EAGAIN. The thread pool executes requests
//! without readiness, such as requests of regular files, and calls that have no non-blocking form, once
//! their descriptor is ready.
//!
//! Requests for the same direction of the same descriptor complete in FIFO order.
//!
//! The poller identifies descriptors by number, and numbers are used again. A descriptor of a
//! [`SharedFd`](crate::SharedFd) is registered for all events, once per
//! [generation](crate::sys::unix::generation_of) of its number. Any other descriptor is registered for
//! one event at a time, while a waiting request keeps it open. A closed descriptor needs no cleanup: an
//! event of an earlier descriptor with the same number causes only one failed attempt.

mod attempt;
mod queues;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use self::{
    attempt::{
        Outcome, Plan, attempt, for_thread, plan, receive_nothing, resume, splice_waits_for,
    },
    queues::{Direction, Queues, waits_for_exception},
};
use super::{
    Backend, Capabilities, Events, OpState, Poller, Report, Submitted, is_refusal, retries::Retries,
};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{Net, RawResult, Request},
    sys::{
        platform::{self, kinds::is_fifo},
        unix::{BESIDE_THE_BYTES, generation_of, is_writable, ready_now},
    },
};

/// How many requests may complete at their submission before other tasks get a turn.
const INSTANT_MAX: u32 = 64;

/// The number of events per wait. It is so small that a task processes its bytes while they are still
/// in the CPU cache.
const EVENTS_MAX: usize = 64;

pub(crate) struct Readiness {
    poller: Arc<Poller>,
    /// None while its events are processed.
    events: Option<Events>,
    queues: Queues,
    /// Results for the next wait to report.
    answered: VecDeque<(Key, RawResult)>,
    /// Requests that have become ready and need a thread that may block. They are submitted again.
    ready: Vec<Key>,
    /// Connects to Unix listeners without room, and sends of datagrams to receivers without room: no
    /// event reports new room, so a timer retries them.
    retries: Retries<Request>,
    instant_left: u32,
    /// Whether an outer loop may wait for the poller's own descriptor, which stays readable until the
    /// next `poll`.
    is_watched: bool,
    /// The last wait filled the event list: there may be more events.
    may_have_more: bool,
    /// The number of waits of the poller.
    waits: u64,
}

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Arc::new(Poller::new()?),
            events: Some(Events::new(EVENTS_MAX)),
            queues: Queues::default(),
            answered: VecDeque::new(),
            ready: Vec::new(),
            retries: Retries::new(),
            instant_left: INSTANT_MAX,
            is_watched: false,
            may_have_more: false,
            waits: 0,
        })
    }

    /// The poller, which ends a sleep of this backend.
    pub(crate) fn poller(&self) -> Arc<Poller> {
        Arc::clone(&self.poller)
    }
}

impl Backend for Readiness {
    fn kind(&self) -> BackendKind {
        BackendKind::Poll
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            recv_pooled: true,
            ..Capabilities::default()
        }
    }

    fn enters(&self) -> u64 {
        self.waits
    }

    unsafe fn submit(&mut self, key: Key, request: &Request, _: *mut OpState) -> Submitted {
        if matches!(request, Request::Nop) {
            // A `Nop` takes the path of a request that waits.
            self.answered.push_back((key, Ok(0)));
            return Submitted::InFlight;
        }
        let mut request = *request;
        // SAFETY: passed on from this function.
        let (mut fd, mut direction) = match unsafe { plan(&mut request) } {
            Plan::Answered(answer) => return self.answer(key, answer),
            Plan::Pool => return Submitted::ThreadPool(request),
            Plan::Wait(fd, direction) => (fd, direction),
        };
        if !self.queues.must_queue(fd, direction, generation_of(fd)) {
            // SAFETY: passed on from this function.
            match unsafe { attempt(&request) } {
                Outcome::Answered(Err(libc::EAGAIN)) if is_connect(&request) => {
                    self.retries.push(key, request);
                    return Submitted::InFlight;
                }
                Outcome::Answered(answer) => {
                    self.queues.set_drained(fd, direction, &request, answer);
                    return self.answer(key, answer);
                }
                Outcome::NotNow if !Poller::REPORTS_EXCEPTIONS && waits_for_exception(&request) => {
                    return Submitted::Ready(Err(libc::EOPNOTSUPP));
                }
                // SAFETY: likewise.
                Outcome::NotNow => match unsafe { self.try_again(fd, &request) } {
                    SecondTry::Answered(answer) => return self.answer(key, answer),
                    SecondTry::Event => {}
                    SecondTry::NoEvent => {
                        self.retries.push(key, request);
                        return Submitted::InFlight;
                    }
                },
                Outcome::Pool => {
                    return match for_thread(&request) {
                        Some(request) => Submitted::ThreadPool(request),
                        None => {
                            self.retries.push(key, request);
                            Submitted::InFlight
                        }
                    };
                }
            }
            if let Request::Splice(splice) = &request {
                // The state after the attempt, which may differ from the state before.
                (fd, direction) = match splice_waits_for(splice) {
                    Ok(Some(end)) => end,
                    Ok(None) => {
                        self.retries.push(key, request);
                        return Submitted::InFlight;
                    }
                    Err(code) => return self.answer(key, Err(code)),
                };
            }
        }
        if platform::FIFO_EVENTS_LACK_EOF && direction == Direction::Read && is_fifo(fd) {
            self.retries.push(key, request);
            return Submitted::InFlight;
        }
        self.queues.push(fd, direction, key, request);
        match self.watch(fd) {
            Ok(()) => Submitted::InFlight,
            Err(error) => {
                self.queues.remove(key);
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                if !is_refusal(code) {
                    Submitted::Ready(Err(code))
                } else if matches!(request, Request::Poll(_)) {
                    // A descriptor without readiness, such as a regular file. Events that are not ready
                    // now never will be.
                    Submitted::Ready(Err(libc::EINVAL))
                } else {
                    Submitted::ThreadPool(request)
                }
            }
        }
    }

    unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        if self.retries.remove(key) || self.queues.remove(key) {
            self.answered.push_back((key, Err(libc::ECANCELED)));
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.instant_left = INSTANT_MAX;
        let timeout = self.retries.clamp(timeout);
        let sleeps = timeout != Some(Duration::ZERO) && self.answered.is_empty() && notifier.park();
        let waited = if sleeps {
            let waited = self.poll(timeout);
            notifier.unpark();
            waited
        } else if self.queues.is_empty() && !self.is_watched && !self.may_have_more {
            Ok(())
        } else {
            self.poll(Some(Duration::ZERO))
        };
        self.retry();
        for (key, answer) in self.answered.drain(..) {
            on_report(key, Report::Final(answer));
        }
        for key in self.ready.drain(..) {
            on_report(key, Report::Ready);
        }
        waited
    }

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        // An outer loop that is edge-triggered would not get another event for the rest.
        self.is_watched = !self.may_have_more
            && self.answered.is_empty()
            && self.retries.is_empty()
            && notifier.park();
        self.is_watched
    }
}

impl Readiness {
    /// Retries the requests that no event reports.
    fn retry(&mut self) {
        let Self {
            retries,
            answered,
            ready,
            ..
        } = self;
        retries.retry(|key, request| {
            // SAFETY: the request is in flight: its memory and descriptors are valid, by
            // the contract of `submit`.
            match unsafe { attempt(request) } {
                Outcome::Answered(Err(libc::EAGAIN)) | Outcome::NotNow => return true,
                Outcome::Answered(answer) => answered.push_back((key, answer)),
                Outcome::Pool => ready.push(key),
            }
            false
        });
    }

    fn answer(&mut self, key: Key, answer: RawResult) -> Submitted {
        if self.instant_left > 0 {
            self.instant_left -= 1;
            return Submitted::Ready(answer);
        }
        self.answered.push_back((key, answer));
        Submitted::InFlight
    }

    /// Polls for events, and tries the waiting requests of ready descriptors again.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.waits += 1;
        self.is_watched = false;
        let Some(mut events) = self.events.take() else {
            return Ok(());
        };
        let waited = self.poller.wait(&mut events, timeout);
        self.may_have_more = events.is_full();
        for event in events.iter() {
            let fd = event.fd;
            self.unsubscribe_if_stale(fd);
            self.queues.on_event(&event);
            // Before a read or write consumes the state that these requests wait for.
            self.serve_aside(fd);
            if event.is_readable {
                self.serve(fd, Direction::Read);
            }
            if event.is_writable {
                self.serve(fd, Direction::Write);
            }
            if let Err(error) = self.watch(fd) {
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                self.fail(fd, code);
            }
        }
        self.events = Some(events);
        waited
    }

    fn serve(&mut self, fd: RawFd, direction: Direction) {
        while let Some((key, request)) = self.queues.first(fd, direction) {
            // SAFETY: the request is in flight: its memory and descriptors are valid, by
            // the contract of `submit`.
            match unsafe { resume(&request) } {
                Outcome::Answered(answer) => {
                    self.queues.remove(key);
                    self.queues.set_drained(fd, direction, &request, answer);
                    self.answered.push_back((key, answer));
                }
                Outcome::Pool => {
                    self.queues.remove(key);
                    self.ready.push(key);
                }
                Outcome::NotNow => {
                    if self.moves_on(fd, direction, key, &request) {
                        continue;
                    }
                    // SAFETY: likewise.
                    match unsafe { self.try_again(fd, &request) } {
                        SecondTry::Answered(answer) => self.answered.push_back((key, answer)),
                        SecondTry::Event => return,
                        SecondTry::NoEvent => self.retries.push(key, request),
                    }
                    self.queues.remove(key);
                }
            }
        }
    }

    /// Requests outside the FIFO order do not block each other.
    fn serve_aside(&mut self, fd: RawFd) {
        let mut next = self.queues.first(fd, Direction::Other);
        while let Some((key, request)) = next {
            next = self.queues.after(key);
            // SAFETY: as in `serve`.
            if let Outcome::Answered(answer) = unsafe { resume(&request) } {
                self.queues.remove(key);
                self.answered.push_back((key, answer));
            }
        }
    }

    /// Tries a request again after EAGAIN, if the state of its socket does not explain it.
    ///
    /// # Safety
    ///
    /// As [`attempt()`].
    unsafe fn try_again(&self, fd: RawFd, request: &Request) -> SecondTry {
        let Request::Net(net) = request else {
            return SecondTry::Event;
        };
        if let Net::Send { .. } | Net::SendMsg { .. } = net {
            // SAFETY: passed on from this function.
            return unsafe { send_again(fd, request) };
        }
        if let Net::Recv { flags, .. } | Net::RecvMsg { flags, .. } | Net::RecvPooled { flags, .. } =
            net
            && flags & BESIDE_THE_BYTES == 0
            && self.queues.may_hide(fd)
        {
            // SAFETY: likewise.
            return unsafe { receive_again(fd, request) };
        }
        SecondTry::Event
    }

    /// Moves a splice to the queue of its other end, if it has to wait for that end now.
    fn moves_on(&mut self, fd: RawFd, direction: Direction, key: Key, request: &Request) -> bool {
        let Request::Splice(splice) = request else {
            return false;
        };
        let other = match splice_waits_for(splice) {
            Ok(Some(other)) if other == (fd, direction) => return false,
            Ok(Some(other)) => other,
            Ok(None) => {
                self.queues.remove(key);
                self.retries.push(key, *request);
                return true;
            }
            Err(code) => {
                self.queues.remove(key);
                self.answered.push_back((key, Err(code)));
                return true;
            }
        };
        self.queues.remove(key);
        self.queues.push(other.0, other.1, key, *request);
        if let Err(error) = self.arm(other.0) {
            self.queues.remove(key);
            let code = error.raw_os_error().unwrap_or(libc::EIO);
            self.answered.push_back((key, Err(code)));
        }
        true
    }

    /// Completes all requests of this descriptor with an error: the poller cannot report its events.
    fn fail(&mut self, fd: RawFd, code: i32) {
        for direction in Direction::ALL {
            while let Some((key, _)) = self.queues.first(fd, direction) {
                self.queues.remove(key);
                self.answered.push_back((key, Err(code)));
            }
        }
    }

    /// Registers the events that waiting requests need, and tries writes again that no event will end.
    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        if self.arm(fd)? && !Poller::REPORTS_STATE && is_writable(fd) {
            self.serve_aside(fd);
            self.serve(fd, Direction::Write);
        }
        Ok(())
    }

    /// Registers the events that waiting requests need. Returns whether there is a new registration.
    fn arm(&mut self, fd: RawFd) -> io::Result<bool> {
        let life = generation_of(fd);
        if self.queues.is_subscribed(fd, life) {
            return Ok(false);
        }
        let Some(arming) = self.queues.arming(fd) else {
            return Ok(false);
        };
        if life.is_some() && self.poller.subscribe(fd, arming.registered)? {
            let short_read_means_empty = self.poller.short_read_means_empty(fd);
            self.queues.set_subscribed(fd, life, short_read_means_empty);
            return Ok(true);
        }
        self.poller.once(fd, arming.events, arming.registered)?;
        self.queues.set_armed(fd);
        Ok(true)
    }

    /// Removes a subscription if the descriptor has moved elsewhere without being closed.
    fn unsubscribe_if_stale(&mut self, fd: RawFd) {
        let life = generation_of(fd);
        if self.queues.is_stale(fd, life) {
            self.poller.forget(fd);
            self.queues.forget(fd);
        }
    }
}

/// The outcome of another try of a send whose socket seemed to be full, or of a receive whose socket
/// seemed to be empty.
enum SecondTry {
    /// The result: the socket has room by now, or it receives no more.
    Answered(RawResult),
    /// An event reports a change.
    Event,
    /// No event reports new room. Example: a datagram of a Unix socket that is not connected to the
    /// receiver, whose queue is full. Then the socket is writable (`unix_dgram_poll` of Linux). Netlink
    /// is like that, too.
    NoEvent,
}

/// Tries a send again after EAGAIN, if its socket is writable.
///
/// # Safety
///
/// As [`attempt()`].
#[cold]
unsafe fn send_again(fd: RawFd, request: &Request) -> SecondTry {
    if !is_writable(fd) {
        return SecondTry::Event;
    }
    // SAFETY: passed on from this function.
    match unsafe { attempt(request) } {
        Outcome::Answered(answer) => SecondTry::Answered(answer),
        Outcome::NotNow | Outcome::Pool => SecondTry::NoEvent,
    }
}

/// Tries a receive again after EAGAIN, if its socket receives no more.
///
/// # Safety
///
/// As [`attempt()`].
#[cold]
unsafe fn receive_again(fd: RawFd, request: &Request) -> SecondTry {
    let events = platform::RECEIVES_NO_MORE;
    if !matches!(ready_now(fd, events), Ok(bits) if bits & events != 0) {
        return SecondTry::Event;
    }
    // SAFETY: passed on from this function.
    match unsafe { receive_nothing(request) } {
        Outcome::Answered(answer) => SecondTry::Answered(answer),
        // The socket is in the mode that does not wait: it has no end of its datagrams.
        Outcome::NotNow | Outcome::Pool => SecondTry::Event,
    }
}

fn is_connect(request: &Request) -> bool {
    matches!(request, Request::Net(Net::Connect { .. }))
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }
}

#[cfg(all(test, not(loom), compio_portable))]
#[path = "kqueue_tests.rs"]
mod kqueue_tests;
