//! The requests of a connection in progress, and its deadlines.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use compio::time::sleep;

use crate::deadline::DeadlineTimer;

/// The state that the parts of one connection share.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The number of requests so far.
    begun: Cell<u64>,
    /// Requests whose response has not ended.
    active: Cell<usize>,
    /// Whether bytes have arrived since the last request ended, or since the connection began.
    has_read: Cell<bool>,
    /// Grows when the peer takes bytes, and when hyper takes a part of a response.
    progress: Cell<u64>,
    /// Responses of which hyper takes no further part: the peer's window is closed, or hyper's buffer is full.
    untaken: Cell<usize>,
}

/// A shorter write may be an answer to a ping, which the peer can request without end.
const WRITE_MIN: usize = 64;

impl Activity {
    pub(super) fn begin_request(self: &Rc<Self>) -> ActiveRequest {
        self.begun.set(self.begun.get() + 1);
        self.active.set(self.active.get() + 1);
        ActiveRequest(Rc::clone(self))
    }

    pub(super) fn note_read(&self) {
        self.has_read.set(true);
    }

    /// The peer has taken bytes.
    pub(super) fn note_written(&self, len: usize) {
        if len >= WRITE_MIN {
            self.note_progress();
        }
    }

    fn note_progress(&self) {
        self.progress.set(self.progress.get().wrapping_add(1));
    }
}

/// A request in progress. Its drop ends it.
#[derive(Debug)]
pub(super) struct ActiveRequest(Rc<Activity>);

impl ActiveRequest {
    /// The next part of the response is ready, until hyper takes it: until the drop of the result.
    pub(super) fn untaken(&self) -> Untaken {
        self.0.untaken.set(self.0.untaken.get() + 1);
        Untaken(Rc::clone(&self.0))
    }
}

/// A response whose next part hyper does not take.
#[derive(Debug)]
pub(super) struct Untaken(Rc<Activity>);

impl Drop for Untaken {
    fn drop(&mut self) {
        self.0.untaken.set(self.0.untaken.get() - 1);
        self.0.note_progress();
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let active = self.0.active.get() - 1;
        self.0.active.set(active);
        if active == 0 {
            self.0.has_read.set(false);
        }
    }
}

/// The phase of a connection that has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request is in progress.
    Active,
    /// The same, and a response waits for the window of an HTTP/2 peer.
    Stalled,
    /// A head is being received, or the first one has not begun.
    Head,
    /// No request is in progress.
    Idle,
}

/// The time limits of the phases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) head: Option<Duration>,
    pub(super) idle: Option<Duration>,
    /// HTTP/1 leaves this limit to its writes.
    pub(super) stalled: Option<Duration>,
}

/// The shortest interval between two looks at an active connection: a timeout of zero must not poll it in each turn.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Watches the phases of a connection.
pub(super) struct Watch {
    activity: Rc<Activity>,
    limits: Limits,
    /// Whether arriving bytes are a head. In HTTP/2 they may be anything.
    reads_heads: bool,
    /// The number of requests at the last look. A request may begin and end between two looks.
    requests: u64,
    /// The progress at the last look.
    progress: u64,
    is_ending: bool,
    phase: Phase,
    /// Of the phase.
    deadline: Option<Instant>,
    timer: DeadlineTimer,
}

impl Watch {
    /// `first` is the deadline of the first head.
    pub(super) fn new(
        activity: Rc<Activity>,
        limits: Limits,
        reads_heads: bool,
        first: Option<Instant>,
    ) -> Self {
        Self {
            activity,
            limits,
            reads_heads,
            requests: 0,
            progress: 0,
            is_ending: false,
            phase: Phase::Head,
            deadline: first,
            timer: DeadlineTimer::default(),
        }
    }

    fn phase_now(&self) -> Phase {
        if self.activity.active.get() > 0 {
            match self.activity.untaken.get() {
                0 => Phase::Active,
                _ => Phase::Stalled,
            }
        } else if self.activity.begun.get() == 0 || self.reads_heads && self.activity.has_read.get()
        {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// The connection is about to end: gives it so long whenever no request is in progress.
    pub(super) fn end(&mut self, limit: Duration) {
        self.limits = Limits {
            head: Some(limit),
            idle: Some(limit),
            ..self.limits
        };
        self.is_ending = true;
        self.begin_phase();
    }

    /// Sets the deadline of the present phase.
    fn begin_phase(&mut self) {
        let limit = match self.phase {
            Phase::Head => self.limits.head,
            Phase::Idle => self.limits.idle,
            // In HTTP/2, other tasks take the parts of responses, and do not wake this one: an active connection is
            // looked at in the same intervals.
            Phase::Active | Phase::Stalled => {
                self.limits.stalled.map(|limit| limit.max(INTERVAL_MIN))
            }
        };
        self.deadline = limit.map(|limit| sleep(limit).deadline());
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Ready when the time limit of the present phase has passed. Call it after each poll of the connection.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let phase = self.phase_now();
        let requests = self.activity.begun.get();
        let progress = self.activity.progress.get();
        // A response that is sent gives its peer no more time for a head.
        let has_progress = phase != Phase::Head && progress != self.progress;
        if phase != self.phase || requests != self.requests || has_progress {
            self.phase = phase;
            self.requests = requests;
            self.progress = progress;
            self.begin_phase();
        }
        loop {
            // No limit: a timer that is set need not be renewed.
            if self.deadline.is_none() {
                return Poll::Pending;
            }
            ready!(self.timer.poll(cx, self.deadline));
            if phase != Phase::Active {
                return Poll::Ready(phase);
            }
            // It has no limit.
            self.begin_phase();
        }
    }
}
