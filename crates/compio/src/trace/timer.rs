//! The spans of a timer: a resource, and an operation for each deadline.

use std::{cell::Cell, panic::Location, time::Instant};

use compio_driver::{
    os_calls::clock,
    trace::{AsyncOp, Entered, Resource, is_enabled},
};
use tracing::trace;

use crate::task;

/// The spans of a timer.
pub(crate) struct TimerTrace(Option<Box<Active>>);

struct Active {
    op: AsyncOp,
    /// Whether the wait has ended.
    is_elapsed: Cell<bool>,
    type_name: &'static str,
}

impl TimerTrace {
    /// A timer of the type `type_name`, made at the place of the call.
    #[track_caller]
    #[inline]
    pub(crate) fn new(type_name: &'static str, deadline: Instant) -> Self {
        if !is_enabled() {
            return Self(None);
        }
        Self(Active::new(type_name, deadline))
    }

    /// The timer gets another deadline.
    #[inline]
    pub(crate) fn reset(&mut self, deadline: Instant) {
        if let Some(active) = &mut self.0 {
            active.reset(deadline);
        }
    }

    /// Enters the spans for a poll.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entered> {
        self.0.as_ref().map(|active| active.op.enter())
    }

    /// Reports the result of a poll within the spans.
    pub(crate) fn report(&self, entered: &Entered, is_elapsed: bool) {
        entered.report_poll(is_elapsed);
        if let Some(active) = &self.0 {
            active.is_elapsed.set(is_elapsed);
        }
    }
}

impl Active {
    #[cold]
    #[track_caller]
    fn new(type_name: &'static str, deadline: Instant) -> Option<Box<Self>> {
        let resource = Resource::new(type_name, "timer", None, Some(Location::caller()));
        let op = begin(resource, type_name, deadline);
        (!op.is_disabled()).then(|| {
            Box::new(Self {
                op,
                is_elapsed: Cell::new(false),
                type_name,
            })
        })
    }

    fn reset(&mut self, deadline: Instant) {
        self.end_wait();
        self.is_elapsed.set(false);
        self.op = begin(self.op.resource().clone(), self.type_name, deadline);
    }

    fn end_wait(&self) {
        if !self.is_elapsed.get() {
            self.op.span().record("cancelled", true);
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.end_wait();
    }
}

/// Begins a wait for the deadline.
fn begin(resource: Resource, type_name: &'static str, deadline: Instant) -> AsyncOp {
    let duration = deadline.saturating_duration_since(clock::now());
    // Rounded: a little of it has passed already.
    let millis = (duration.as_micros() + 500) / 1000;
    resource.update(|| {
        trace!(
            target: "runtime::resource::state_update",
            duration = millis as u64,
            duration.op = "override",
            duration.unit = "ms",
        );
    });
    let task = task::try_id().map_or(0, task::Id::number);
    AsyncOp::new(resource, type_name, "poll_elapsed", None, task)
}
