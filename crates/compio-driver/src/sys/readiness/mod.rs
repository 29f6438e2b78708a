//! The readiness backend: each request is tried first, and waits for its descriptor to become ready
//! only if the kernel says "not now". What no readiness is known for, as regular files, goes to the
//! pool of threads; and so does, once it is ready, what cannot be told not to wait.
//!
//! Whoever waits for the same direction of the same descriptor is served in order.
//!
//! The poller knows descriptors by number, and numbers are used again. Of one that a
//! [`SharedFd`](crate::SharedFd) holds it is asked for every change, once for that
//! [life](crate::sys::unix::generation_of) of the number. Of any other it is asked for one event at a time, while
//! somebody waits for it and so keeps it open. Nothing has to be undone when a descriptor is closed:
//! an event that belonged to a former one of the same number does nothing but look in vain.

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
    attempt::{Outcome, Plan, attempt, for_thread, plan, resume, splice_waits_for},
    queues::{Direction, Queues},
};
use super::{Events, Poller, Submitted};
use crate::{
    arena::Key,
    notify::Notifier,
    request::{Answer, Capabilities, Net, Report, Request},
    sys::unix::{RETRY_EVERY, generation_of, is_writable},
};

/// How many requests are answered at their launch before somebody else has a turn.
const INSTANT_MAX: u32 = 64;

/// How many events are taken at once: few enough that what a task does with its bytes follows their
/// receive while both are still in the processor's cache.
const EVENTS_MAX: usize = 64;

/// Something that happened to a descriptor. It is a hint: the descriptor may have been closed, and
/// its number be another's.
pub(crate) struct ReadyEvent {
    pub(crate) fd: RawFd,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// Whether more may lie behind a short receive from now on: the peer has finished, an error has
    /// come, or an urgent byte. There may be no other word of it.
    pub(crate) may_hide: bool,
}

pub(crate) struct Readiness {
    poller: Arc<Poller>,
    /// Lent out while its events are served.
    events: Option<Events>,
    queues: Queues,
    /// Answers to be reported by the next wait.
    answered: VecDeque<(Key, Answer)>,
    /// Requests that have become ready and need a thread that may block: to be launched again.
    ready: Vec<Key>,
    /// Connects to Unix listeners without room, and sends of datagrams to receivers without room: no event
    /// tells when there is some.
    knocking: Vec<(Key, Request)>,
    instant_left: u32,
    /// Whether somebody else may wait for the poller's own descriptor: it stays readable until it
    /// has been asked what there is.
    is_watched: bool,
    /// The last look has found as many events as it takes: there may be more.
    may_have_more: bool,
    /// How often the poller was waited for.
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
            knocking: Vec::new(),
            instant_left: INSTANT_MAX,
            is_watched: false,
            may_have_more: false,
            waits: 0,
        })
    }

    /// What ends a sleep of this backend.
    pub(crate) fn poller(&self) -> Arc<Poller> {
        Arc::clone(&self.poller)
    }

    pub(crate) fn extras(&self) -> Capabilities {
        Capabilities {
            recv_pooled: true,
            ..Capabilities::default()
        }
    }

    pub(crate) fn waits(&self) -> u64 {
        self.waits
    }

    /// # Safety
    ///
    /// What the request points to stays valid until the answer to `key` has been reported.
    pub(crate) unsafe fn launch(&mut self, key: Key, request: &Request) -> Submitted {
        if matches!(request, Request::Nop) {
            // Its point is to take the whole way.
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
                    self.knocking.push((key, request));
                    return Submitted::InFlight;
                }
                Outcome::Answered(answer) => {
                    self.queues.set_drained(fd, direction, &request, answer);
                    return self.answer(key, answer);
                }
                // SAFETY: likewise.
                Outcome::NotNow => match unsafe { try_again(fd, &request) } {
                    SecondTry::Answered(answer) => return self.answer(key, answer),
                    SecondTry::Event => {}
                    SecondTry::NoEvent => {
                        self.knocking.push((key, request));
                        return Submitted::InFlight;
                    }
                },
                Outcome::Pool => {
                    return match for_thread(&request) {
                        Some(request) => Submitted::ThreadPool(request),
                        None => {
                            self.knocking.push((key, request));
                            Submitted::InFlight
                        }
                    };
                }
            }
            if let Request::Pipe(pipe) = &request {
                // As it is after the attempt, and may have been otherwise before.
                (fd, direction) = match splice_waits_for(pipe) {
                    Ok(Some(end)) => end,
                    Ok(None) => {
                        self.knocking.push((key, request));
                        return Submitted::InFlight;
                    }
                    Err(code) => return self.answer(key, Err(code)),
                };
            }
        }
        self.queues.push(fd, direction, key, request);
        match self.arm(fd) {
            Ok(()) => Submitted::InFlight,
            Err(error) => {
                self.queues.remove(key);
                match error.raw_os_error() {
                    // A descriptor without readiness, such as a regular file. What it is not ready
                    // for at once it never will be.
                    Some(libc::EPERM) if matches!(request, Request::Poll(_)) => {
                        Submitted::Ready(Err(libc::EINVAL))
                    }
                    Some(libc::EPERM) => Submitted::ThreadPool(request),
                    code => Submitted::Ready(Err(code.unwrap_or(libc::EIO))),
                }
            }
        }
    }

    pub(crate) fn cancel(&mut self, key: Key) {
        let knocks = self.knocking.iter().position(|(other, _)| *other == key);
        if let Some(place) = knocks {
            self.knocking.remove(place);
        }
        if knocks.is_some() || self.queues.remove(key) {
            self.answered.push_back((key, Err(libc::ECANCELED)));
        }
    }

    /// Sleeps for at most `timeout` (`None`: as long as it takes) if there is nothing to report,
    /// and reports all that is there.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.instant_left = INSTANT_MAX;
        let timeout = if self.knocking.is_empty() {
            timeout
        } else {
            Some(timeout.map_or(RETRY_EVERY, |timeout| timeout.min(RETRY_EVERY)))
        };
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
        self.knock();
        for (key, answer) in self.answered.drain(..) {
            on_report(key, Report::Final(answer));
        }
        for key in self.ready.drain(..) {
            on_report(key, Report::Ready);
        }
        waited
    }

    /// Tries again what only time can help.
    fn knock(&mut self) {
        let Self {
            knocking,
            answered,
            ready,
            ..
        } = self;
        knocking.retain(|(key, request)| {
            // SAFETY: the request has not been answered: its memory and descriptors are valid, by
            // the contract of `launch`.
            let answer = match unsafe { attempt(request) } {
                Outcome::Answered(answer) => answer,
                Outcome::Pool => {
                    ready.push(*key);
                    return false;
                }
                Outcome::NotNow => return true,
            };
            let still = answer == Err(libc::EAGAIN);
            if !still {
                answered.push_back((*key, answer));
            }
            still
        });
    }

    /// For a sleep outside of [`wait`](Self::wait), on this backend's descriptor. False if there
    /// is something to do already.
    pub(crate) fn prepare_to_sleep(&mut self, notifier: &Notifier) -> bool {
        // An outer loop that hears of edges only would not hear of the rest.
        self.is_watched = !self.may_have_more
            && self.answered.is_empty()
            && self.knocking.is_empty()
            && notifier.park();
        self.is_watched
    }

    fn answer(&mut self, key: Key, answer: Answer) -> Submitted {
        if self.instant_left > 0 {
            self.instant_left -= 1;
            return Submitted::Ready(answer);
        }
        self.answered.push_back((key, answer));
        Submitted::InFlight
    }

    /// Asks what has become ready, and tries again whatever waits for that.
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
            // Before somebody takes what these want to hear of.
            self.serve_aside(fd);
            if event.is_readable {
                self.serve(fd, Direction::Read);
            }
            if event.is_writable {
                self.serve(fd, Direction::Write);
            }
            if let Err(error) = self.arm(fd) {
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                self.fail(fd, code);
            }
        }
        self.events = Some(events);
        waited
    }

    fn serve(&mut self, fd: RawFd, direction: Direction) {
        while let Some((key, request)) = self.queues.first(fd, direction) {
            // SAFETY: the request has not been answered: its memory and descriptors are valid, by
            // the contract of `launch`.
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
                    match unsafe { try_again(fd, &request) } {
                        SecondTry::Answered(answer) => self.answered.push_back((key, answer)),
                        SecondTry::Event => return,
                        SecondTry::NoEvent => self.knocking.push((key, request)),
                    }
                    self.queues.remove(key);
                }
            }
        }
    }

    /// None of them is in another's way.
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

    /// A splice that has something to move now may have to wait for its other end.
    fn moves_on(&mut self, fd: RawFd, direction: Direction, key: Key, request: &Request) -> bool {
        let Request::Pipe(pipe) = request else {
            return false;
        };
        let other = match splice_waits_for(pipe) {
            Ok(Some(other)) if other == (fd, direction) => return false,
            Ok(Some(other)) => other,
            Ok(None) => {
                self.queues.remove(key);
                self.knocking.push((key, *request));
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

    /// Answers everybody who waits for this descriptor: there is no hearing of it any more.
    fn fail(&mut self, fd: RawFd, code: i32) {
        for direction in Direction::ALL {
            while let Some((key, _)) = self.queues.first(fd, direction) {
                self.queues.remove(key);
                self.answered.push_back((key, Err(code)));
            }
        }
    }

    /// Sees to it that the poller tells of what somebody waits for.
    fn arm(&mut self, fd: RawFd) -> io::Result<()> {
        let life = generation_of(fd);
        if self.queues.is_subscribed(fd, life) {
            return Ok(());
        }
        let Some(arming) = self.queues.arming(fd) else {
            return Ok(());
        };
        if life.is_some() && self.poller.subscribe(fd, arming.is_known)? {
            let short_read_means_empty = self.poller.short_read_means_empty(fd);
            self.queues.set_subscribed(fd, life, short_read_means_empty);
            return Ok(());
        }
        self.poller.once(fd, arming.events, arming.is_known)?;
        self.queues.set_armed(fd);
        Ok(())
    }

    /// A subscribed descriptor may have gone elsewhere without being closed: no more of it.
    fn unsubscribe_if_stale(&mut self, fd: RawFd) {
        let life = generation_of(fd);
        if self.queues.is_stale(fd, life) {
            self.poller.forget(fd);
            self.queues.forget(fd);
        }
    }
}

/// What came of a send that was tried although its socket seemed to have no room.
enum SecondTry {
    /// It has room by now.
    Answered(Answer),
    /// An event tells when it has room.
    Event,
    /// No event tells when there is room. So it is with a datagram of a Unix socket that is not connected to
    /// the receiver, whose queue is full: the socket is writable (`unix_dgram_poll` of Linux). Netlink is
    /// like that, too.
    NoEvent,
}

/// Tries a send again after EAGAIN, if its socket is writable.
///
/// # Safety
///
/// As [`attempt()`].
#[cold]
unsafe fn try_again(fd: RawFd, request: &Request) -> SecondTry {
    let is_send = matches!(
        request,
        Request::Net(Net::Send { .. } | Net::SendMsg { .. })
    );
    if !is_send || !is_writable(fd) {
        return SecondTry::Event;
    }
    // SAFETY: passed on from this function.
    match unsafe { attempt(request) } {
        Outcome::Answered(answer) => SecondTry::Answered(answer),
        Outcome::NotNow | Outcome::Pool => SecondTry::NoEvent,
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
