//! The spans of a driver's operations, from the begin to the end of their futures.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
};

use tracing::trace;

use super::{
    Tracer, descriptors,
    spans::{AsyncOp, Entered, Resource, is_enabled},
};
use crate::{
    driver::Core,
    key::Key,
    metrics::OpKind,
    os_calls::describe,
    request::{RawResult, is_cancelled},
};

/// The spans of a driver's operations. Operations without a future have none.
#[derive(Default)]
pub(crate) struct OpTraces {
    /// The number of `spans`.
    count: Cell<usize>,
    spans: RefCell<HashMap<Key, Rc<OpTrace>>>,
    /// The resource of operations without a descriptor.
    driver: RefCell<Option<Resource>>,
}

struct OpTrace {
    op: AsyncOp,
    kind: OpKind,
    /// All bytes of the operation so far.
    bytes: Cell<u64>,
    /// Those among them that no event has reported.
    unreported: Cell<u64>,
}

impl OpTraces {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Counts the bytes of an item. Runs no code of the subscriber.
    #[inline]
    pub(crate) fn on_partial(&self, key: Key, answer: RawResult) {
        if let Some(trace) = self.get(key)
            && let Ok(value) = answer
        {
            trace.add(value);
        }
    }

    /// The future of the operation was dropped before its end.
    #[inline]
    pub(crate) fn abandon(&self, key: Key) {
        if let Some(trace) = self.remove(key) {
            trace.op.span().record("cancelled", true);
        }
    }

    #[inline]
    fn get(&self, key: Key) -> Option<Rc<OpTrace>> {
        if self.count.get() == 0 {
            return None;
        }
        self.spans.borrow().get(&key).cloned()
    }

    #[inline]
    fn remove(&self, key: Key) -> Option<Rc<OpTrace>> {
        if self.count.get() == 0 {
            return None;
        }
        let mut spans = self.spans.borrow_mut();
        let removed = spans.remove(&key);
        self.count.set(spans.len());
        removed
    }
}

impl Core {
    /// Makes the spans of an operation that begins, if a subscriber wants them.
    fn make_trace(&self, key: Key) {
        let (kind, fd) = self.arena.kind_and_descriptor(key);
        // SAFETY: the operation keeps its descriptor open.
        let resource = fd.and_then(|fd| unsafe { descriptors::resource(fd, kind) });
        let resource = resource.unwrap_or_else(|| self.driver_resource());
        let task = self.arena.stamps.number();
        let fd = fd.map(describe::value);
        let op = AsyncOp::new(resource, kind.name(), kind.name(), fd, task);
        if op.is_disabled() {
            return;
        }
        let trace = OpTrace {
            op,
            kind,
            bytes: Cell::new(0),
            unreported: Cell::new(0),
        };
        let traces = &self.traces;
        let mut spans = traces.spans.borrow_mut();
        spans.insert(key, Rc::new(trace));
        traces.count.set(spans.len());
    }

    fn driver_resource(&self) -> Resource {
        if let Some(resource) = &*self.traces.driver.borrow() {
            return resource.clone();
        }
        let resource = Resource::new("Driver", "driver", None, None);
        let backend = self.backend_kind().to_string();
        let backend = backend.as_str();
        resource.update(|| {
            trace!(target: "runtime::resource::state_update", backend, backend.op = "override");
        });
        let made = resource.clone();
        self.traces.driver.borrow_mut().get_or_insert(made);
        resource
    }
}

/// The tracer of the next poll, if a subscriber observes it. Costs two loads.
#[inline(always)]
pub(crate) fn tracer(driver: &Core) -> Option<Polling<'_>> {
    let is_active = is_enabled() || driver.traces.count.get() > 0;
    is_active.then(|| Polling {
        driver,
        active: None,
    })
}

/// A poll of an operation. Its drop exits the spans.
pub(crate) struct Polling<'a> {
    driver: &'a Core,
    active: Option<(Key, Rc<OpTrace>, Entered)>,
}

impl Tracer for Polling<'_> {
    fn begin(&mut self, key: Key) {
        if is_enabled() {
            self.driver.make_trace(key);
        }
    }

    fn enter(&mut self, key: Key) {
        if let Some(trace) = self.driver.traces.get(key) {
            let entered = trace.op.enter();
            self.active = Some((key, trace, entered));
        }
    }

    fn pending(self) {
        if let Some((_, _, entered)) = &self.active {
            entered.report_poll(false);
        }
    }

    fn item(self) {
        if let Some((_, trace, entered)) = &self.active {
            trace.report_bytes();
            entered.report_poll(true);
        }
    }

    fn ready(self, answer: RawResult) {
        if let Some((key, trace, entered)) = &self.active {
            trace.report_end(answer);
            entered.report_poll(true);
            self.driver.traces.remove(*key);
        }
    }
}

impl OpTrace {
    fn add(&self, bytes: u32) {
        for counter in [&self.bytes, &self.unreported] {
            counter.set(counter.get() + u64::from(bytes));
        }
    }

    /// The spans are entered.
    fn report_bytes(&self) {
        let bytes = self.unreported.take();
        if bytes == 0 || !self.kind.moves_bytes() {
            return;
        }
        trace!(
            target: "runtime::resource::async_op::state_update",
            bytes,
            bytes.op = "add",
            bytes.unit = "B",
        );
        // A splice has two descriptors.
        if matches!(self.kind, OpKind::Read | OpKind::Recv) {
            trace!(
                target: "runtime::resource::state_update",
                bytes_in = bytes,
                bytes_in.op = "add",
                bytes_in.unit = "B",
            );
        } else if matches!(self.kind, OpKind::Write | OpKind::Send) {
            trace!(
                target: "runtime::resource::state_update",
                bytes_out = bytes,
                bytes_out.op = "add",
                bytes_out.unit = "B",
            );
        }
    }

    /// The spans are entered.
    fn report_end(&self, answer: RawResult) {
        let span = self.op.span();
        match answer {
            Ok(bytes) => self.add(bytes),
            Err(code) => {
                let error = io::Error::from_raw_os_error(code);
                if is_cancelled(&error) {
                    span.record("cancelled", true);
                }
                let error = error.to_string();
                let error = error.as_str();
                span.record("error", error);
                trace!(
                    target: "runtime::resource::async_op::state_update",
                    error,
                    error.op = "override",
                );
            }
        }
        self.report_bytes();
        if self.kind.moves_bytes() {
            span.record("bytes", self.bytes.get());
        }
    }
}
