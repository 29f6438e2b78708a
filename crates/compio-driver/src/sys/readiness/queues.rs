//! Wait queues per descriptor and direction, in FIFO order.
//!
//! Waiting requests are in a table, by the index of their cell. The links between them are indices,
//! too. So a request needs no allocation of its own, and a cancel finds its target at once.

use std::os::fd::RawFd;

use crate::{
    key::Key,
    request::{Net, Poll, RawResult, Request, ready},
    sys::ready_event::{ReadyEvent, Registered},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Read,
    Write,
    /// Requests outside the FIFO order, which consume nothing that other requests wait for. Each of
    /// them has its own interest set.
    Other,
}

impl Direction {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Other];
}

/// The end of a queue.
const NONE: u32 = u32::MAX;

#[derive(Default)]
pub(super) struct Queues {
    /// By descriptor number.
    files: Vec<Watch>,
    /// By cell index.
    waits: Vec<Option<Wait>>,
    waiting: usize,
}

/// One descriptor number.
#[derive(Clone, Copy)]
struct Watch {
    queues: [WaitQueue; 3],
    /// Whether the poller knows a descriptor with this number.
    is_known: bool,
    /// The generation of the descriptor in which the poller was registered for all its events.
    subscribed: Option<u32>,
    /// Whether a short receive empties the socket, in that generation.
    short_read_means_empty: bool,
    /// Whether more may follow a short receive nevertheless, such as EOF.
    may_hide: bool,
}

/// One direction of a descriptor.
#[derive(Clone, Copy)]
struct WaitQueue {
    first: u32,
    last: u32,
    is_armed: bool,
    /// The last transfer drained the socket: an attempt would fail.
    is_drained: bool,
}

struct Wait {
    key: Key,
    request: Request,
    fd: RawFd,
    direction: Direction,
    previous: u32,
    next: u32,
}

/// A registration to be made at the poller.
#[derive(Clone, Copy)]
pub(super) struct Arming {
    /// The `poll(2)` bits.
    pub(super) events: u32,
    pub(super) registered: Registered,
}

impl Queues {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether a new request must be queued without an attempt: other requests are queued, or the last
    /// receive drained the socket.
    pub(super) fn must_queue(&self, fd: RawFd, direction: Direction, life: Option<u32>) -> bool {
        if direction == Direction::Other {
            return false;
        }
        self.files.get(fd as usize).is_some_and(|watch| {
            let queue = watch.queues[direction as usize];
            queue.first != NONE || queue.is_drained && life.is_some() && watch.subscribed == life
        })
    }

    pub(super) fn push(&mut self, fd: RawFd, direction: Direction, key: Key, request: Request) {
        let index = key.index;
        if self.waits.len() <= index as usize {
            self.waits.resize_with(index as usize + 1, || None);
        }
        let queue = self.queue(fd, direction);
        // A request outside the order may need other events than those registered.
        queue.is_armed &= direction != Direction::Other;
        let last = std::mem::replace(&mut queue.last, index);
        if last == NONE {
            queue.first = index;
        } else if let Some(wait) = &mut self.waits[last as usize] {
            wait.next = index;
        }
        self.waits[index as usize] = Some(Wait {
            key,
            request,
            fd,
            direction,
            previous: last,
            next: NONE,
        });
        self.waiting += 1;
    }

    /// The request that has waited longest.
    pub(super) fn first(&self, fd: RawFd, direction: Direction) -> Option<(Key, Request)> {
        let queue = self.files.get(fd as usize)?.queues[direction as usize];
        let wait = self.waits.get(queue.first as usize)?.as_ref()?;
        Some((wait.key, wait.request))
    }

    /// The request behind the given one.
    pub(super) fn after(&self, key: Key) -> Option<(Key, Request)> {
        let wait = self.waits.get(key.index as usize)?.as_ref()?;
        let wait = self.waits.get(wait.next as usize)?.as_ref()?;
        Some((wait.key, wait.request))
    }

    /// Removes a request from its queue. False if the key is not queued.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let index = key.index;
        let Some(Some(wait)) = self.waits.get(index as usize) else {
            return false;
        };
        if wait.key != key {
            return false;
        }
        let (fd, direction) = (wait.fd, wait.direction);
        let (previous, next) = (wait.previous, wait.next);
        self.waits[index as usize] = None;
        self.waiting -= 1;
        if let Some(wait) = self.neighbour(previous) {
            wait.next = next;
        }
        if let Some(wait) = self.neighbour(next) {
            wait.previous = previous;
        }
        let queue = self.queue(fd, direction);
        if queue.first == index {
            queue.first = next;
        }
        if queue.last == index {
            queue.last = previous;
        }
        if queue.first == NONE {
            // The descriptor may be closed now, and its number used again.
            queue.is_armed = false;
        }
        true
    }

    fn neighbour(&mut self, index: u32) -> Option<&mut Wait> {
        self.waits.get_mut(index as usize)?.as_mut()
    }

    /// Whether the poller reports every change of the descriptor in this generation.
    pub(super) fn is_subscribed(&self, fd: RawFd, life: Option<u32>) -> bool {
        life.is_some()
            && self
                .files
                .get(fd as usize)
                .is_some_and(|watch| watch.subscribed == life)
    }

    /// Whether a subscription is left from an earlier generation of the number.
    pub(super) fn is_stale(&self, fd: RawFd, life: Option<u32>) -> bool {
        self.files
            .get(fd as usize)
            .is_some_and(|watch| watch.subscribed.is_some() && watch.subscribed != life)
    }

    /// Records that the poller no longer knows the number.
    pub(super) fn forget(&mut self, fd: RawFd) {
        let watch = &mut self.files[fd as usize];
        watch.is_known = false;
        watch.subscribed = None;
    }

    /// Records that the poller is registered for every change of the descriptor in this generation.
    pub(super) fn set_subscribed(
        &mut self,
        fd: RawFd,
        life: Option<u32>,
        short_read_means_empty: bool,
    ) {
        let watch = &mut self.files[fd as usize];
        watch.is_known = true;
        watch.subscribed = life;
        watch.short_read_means_empty = short_read_means_empty;
        watch.may_hide = false;
    }

    /// Records the end of a transfer in this direction. A short receive has drained the socket, unless
    /// it has flags.
    pub(super) fn set_drained(
        &mut self,
        fd: RawFd,
        direction: Direction,
        request: &Request,
        answer: RawResult,
    ) {
        let room = match *request {
            Request::Net(Net::Recv { span, flags: 0, .. }) => span.len,
            Request::Net(Net::RecvPooled { room, flags: 0, .. }) => room,
            Request::Nop
            | Request::Invalid
            | Request::Transfer(_)
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Blocking(_)
            | Request::Raw(_) => 0,
        };
        let is_drained = matches!(answer, Ok(len) if 0 < len && len < room);
        // A number without an entry has had no waiting request.
        if let Some(watch) = self.files.get_mut(fd as usize) {
            watch.queues[direction as usize].is_drained =
                is_drained && watch.short_read_means_empty && !watch.may_hide;
        }
    }

    /// Records an event. One-shot registrations are now disarmed.
    pub(super) fn on_event(&mut self, event: &ReadyEvent) {
        for direction in Direction::ALL {
            let queue = self.queue(event.fd, direction);
            queue.is_armed = false;
            queue.is_drained = false;
        }
        // This stays set: nothing follows EOF.
        self.files[event.fd as usize].may_hide |= event.may_hide;
    }

    /// Whether an event has reported a state that may end receives: see [`ReadyEvent::may_hide`].
    pub(super) fn may_hide(&self, fd: RawFd) -> bool {
        let watch = self.files.get(fd as usize);
        watch.is_some_and(|watch| watch.may_hide)
    }

    /// The registration that is missing. None if there is none, or if no request waits.
    pub(super) fn arming(&self, fd: RawFd) -> Option<Arming> {
        let watch = self.files.get(fd as usize)?;
        let is_missing = |queue: &WaitQueue| queue.first != NONE && !queue.is_armed;
        if !watch.queues.iter().any(is_missing) {
            return None;
        }
        let mut events = 0;
        for (direction, in_line) in [(Direction::Read, ready::IN), (Direction::Write, ready::OUT)] {
            if watch.queues[direction as usize].first != NONE {
                events |= in_line;
            }
        }
        let mut aside = self.first(fd, Direction::Other);
        while let Some((key, request)) = aside {
            events |= events_of_other(&request).unwrap_or(0);
            aside = self.after(key);
        }
        let registered = match watch.subscribed {
            _ if !watch.is_known => Registered::No,
            None => Registered::Once,
            Some(_) => Registered::Always,
        };
        Some(Arming { events, registered })
    }

    /// Records that the poller is registered for all waiting requests.
    pub(super) fn set_armed(&mut self, fd: RawFd) {
        let watch = &mut self.files[fd as usize];
        watch.is_known = true;
        // The registration for one event has replaced it.
        watch.subscribed = None;
        for queue in &mut watch.queues {
            queue.is_armed = queue.first != NONE;
        }
    }

    fn queue(&mut self, fd: RawFd, direction: Direction) -> &mut WaitQueue {
        const NOBODY: WaitQueue = WaitQueue {
            first: NONE,
            last: NONE,
            is_armed: false,
            is_drained: false,
        };
        let place = fd as usize;
        if self.files.len() <= place {
            let watch = Watch {
                queues: [NOBODY; 3],
                is_known: false,
                subscribed: None,
                short_read_means_empty: false,
                may_hide: false,
            };
            self.files.resize(place + 1, watch);
        }
        &mut self.files[place].queues[direction as usize]
    }
}

/// Whether the request waits for an exceptional condition, or for an error alone.
pub(super) fn waits_for_exception(request: &Request) -> bool {
    events_of_other(request).is_some_and(|events| events == 0 || events & ready::PRI != 0)
}

/// The events that may end the wait of a request outside the FIFO order, besides errors. `None` for a request
/// in this order.
fn events_of_other(request: &Request) -> Option<u32> {
    match *request {
        Request::Poll(Poll::Once { events, .. }) => {
            Some(events & (ready::IN | ready::PRI | ready::OUT))
        }
        Request::Net(Net::Connect { .. }) => Some(ready::OUT),
        Request::Net(
            Net::Recv { flags, .. } | Net::RecvPooled { flags, .. } | Net::RecvMsg { flags, .. },
        ) if flags & libc::MSG_OOB != 0 => Some(ready::PRI),
        Request::Nop
        | Request::Invalid
        | Request::Transfer(_)
        | Request::FileOp(_)
        | Request::Path(_)
        | Request::Net(_)
        | Request::Control(_)
        | Request::Splice(_)
        | Request::Blocking(_)
        | Request::Raw(_) => None,
    }
}

#[cfg(test)]
mod tests;
