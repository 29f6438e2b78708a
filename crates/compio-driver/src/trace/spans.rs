//! Resources and their asynchronous operations, as spans.
//!
//! tokio-console assigns an operation to the resource whose span is entered on its thread, and an event to the
//! operation and the task that are entered. So all spans are entered for each event, from the outside to the
//! inside.
//!
//! No span has a parent by its context. A parent stays open as long as its children, and a descriptor or an
//! operation may outlive the task that has begun it.

use std::{panic::Location, rc::Rc};

use tracing::{Level, Span, field::Empty, level_enabled, trace, trace_span};

/// Whether a subscriber may want spans. Costs one load.
#[inline]
pub fn is_enabled() -> bool {
    level_enabled!(Level::TRACE)
}

/// An object that tasks wait for: a timer, a descriptor, a driver.
#[derive(Debug, Clone)]
pub struct Resource(Rc<Span>);

impl Resource {
    /// `type_name` and `kind` are those of the object, `fd` is its descriptor, `location` the place of its creation.
    pub fn new(
        type_name: &'static str,
        kind: &'static str,
        fd: Option<u64>,
        location: Option<&'static Location<'static>>,
    ) -> Self {
        let span = trace_span!(
            target: "compio::resource",
            parent: None,
            "runtime.resource",
            concrete_type = type_name,
            kind,
            fd,
            loc.file = location.map(Location::file),
            loc.line = location.map(|at| u64::from(at.line())),
            loc.col = location.map(|at| u64::from(at.column())),
        );
        let this = Self(Rc::new(span));
        if let Some(fd) = fd {
            this.update(|| {
                trace!(target: "runtime::resource::state_update", fd, fd.op = "override");
            });
        }
        this
    }

    /// Calls `event` within the span. The event updates the state of the resource.
    pub fn update(&self, event: impl FnOnce()) {
        self.0.in_scope(event);
    }
}

/// An asynchronous operation on a resource.
#[derive(Debug, Clone)]
pub struct AsyncOp(Rc<Parts>);

#[derive(Debug)]
struct Parts {
    resource: Resource,
    span: Span,
    polls: Span,
    name: &'static str,
}

impl Parts {
    /// From the outside to the inside.
    fn spans(&self) -> [&Span; 3] {
        [&self.resource.0, &self.span, &self.polls]
    }
}

impl AsyncOp {
    /// `source` is the function or the kind of request that the operation comes from, `name` the name of its
    /// polls. `task` is the number of its task, or 0.
    pub fn new(
        resource: Resource,
        source: &'static str,
        name: &'static str,
        fd: Option<u64>,
        task: u64,
    ) -> Self {
        let (span, polls) = resource.0.in_scope(|| {
            let span = trace_span!(
                target: "compio::op",
                parent: None,
                "runtime.resource.async_op",
                source,
                fd,
                task.id = (task != 0).then_some(task),
                bytes = Empty,
                error = Empty,
                cancelled = Empty,
            );
            let polls = trace_span!(
                target: "compio::poll",
                parent: &span,
                "runtime.resource.async_op.poll",
            );
            (span, polls)
        });
        Self(Rc::new(Parts {
            resource,
            span,
            polls,
            name,
        }))
    }

    /// Whether no subscriber wants it.
    pub fn is_disabled(&self) -> bool {
        self.0.spans().into_iter().all(Span::is_disabled)
    }

    /// The resource.
    pub fn resource(&self) -> &Resource {
        &self.0.resource
    }

    /// The span of the operation.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// Enters the spans for a poll.
    #[must_use = "its drop exits the spans"]
    pub fn enter(&self) -> Entered {
        for span in self.0.spans() {
            span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
        }
        Entered(self.clone())
    }
}

/// While this lives, the spans of an operation are entered on this thread.
#[derive(Debug)]
pub struct Entered(AsyncOp);

impl Entered {
    /// Reports the result of the poll.
    pub fn report_poll(&self, is_ready: bool) {
        let op_name = self.0.0.name;
        trace!(target: "runtime::resource::poll_op", op_name, is_ready);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        for span in self.0.0.spans().into_iter().rev() {
            span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
        }
    }
}
