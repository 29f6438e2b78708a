//! A subscriber that records spans and events with the types of their fields.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

use compio::runtime::Runtime;
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::with_default,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// The value of a field, with the type of its record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    U64(u64),
    Bool(bool),
    Str(String),
    Other(String),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    /// `None` if the field has no value.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    pub(crate) fn has(&self, name: &str, value: impl Into<Value>) -> bool {
        self.get(name) == Some(value.into())
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::U64(number)) => number,
            other => panic!("{name} is {other:?}"),
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), Value::U64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), Value::Str(value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = Value::Other(format!("{value:?}"));
        self.0.insert(field.name(), value);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) parent: Option<u64>,
    pub(crate) fields: Fields,
    pub(crate) enters: u64,
    exits: u64,
    references: u64,
    /// The spans that were entered on the thread that made it.
    pub(crate) stack: Vec<u64>,
    /// How many events had come before its end.
    pub(crate) closed_at: Option<usize>,
}

impl Span {
    pub(crate) fn has(&self, name: &str, value: impl Into<Value>) -> bool {
        self.fields.has(name, value)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) target: String,
    pub(crate) fields: Fields,
    /// The spans that were entered on its thread, the outermost first.
    pub(crate) stack: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) spans: Vec<Span>,
    pub(crate) events: Vec<Recorded>,
    stacks: HashMap<ThreadId, Vec<u64>>,
}

impl Records {
    fn span_mut(&mut self, id: &Id) -> &mut Span {
        &mut self.spans[id.into_u64() as usize - 1]
    }

    fn stack(&mut self) -> &mut Vec<u64> {
        self.stacks.entry(thread::current().id()).or_default()
    }

    pub(crate) fn span(&self, id: u64) -> &Span {
        &self.spans[id as usize - 1]
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The task of this name.
    pub(crate) fn task(&self, name: &str) -> &Span {
        let tasks = self.named("runtime.spawn");
        let mut tasks = tasks.into_iter().filter(|span| span.has("task.name", name));
        let task = tasks.next().expect("it was spawned");
        assert!(tasks.next().is_none(), "two tasks are {name}");
        task
    }

    /// The operations with this source.
    pub(crate) fn operations(&self, source: &str) -> Vec<&Span> {
        let all = self.named("runtime.resource.async_op");
        all.into_iter()
            .filter(|span| span.has("source", source))
            .collect()
    }

    /// The resource of an operation, as tokio-console finds it: the innermost one that was entered.
    pub(crate) fn resource_of(&self, operation: &Span) -> &Span {
        self.innermost("runtime.resource", &operation.stack)
            .expect("it has a resource")
    }

    fn innermost(&self, name: &str, stack: &[u64]) -> Option<&Span> {
        let mut stack = stack.iter().rev().map(|id| self.span(*id));
        stack.find(|span| span.name == name)
    }

    /// The events with this target while the span was entered.
    pub(crate) fn events_in(&self, span: &Span, target: &str) -> Vec<&Recorded> {
        let events = self.events.iter();
        events
            .filter(|event| event.target == target && event.stack.contains(&span.id))
            .collect()
    }

    /// The results of the polls of an operation. In each, its task and its resource are entered as well.
    pub(crate) fn polls(&self, operation: &Span) -> Vec<bool> {
        let polls = self.events_in(operation, "runtime::resource::poll_op");
        let is_ready = |event: &&Recorded| {
            let names = event.stack.iter().map(|id| self.span(*id).name);
            let names: Vec<_> = names.collect();
            assert_eq!(
                names[names.len() - 4..],
                [
                    "runtime.spawn",
                    "runtime.resource",
                    "runtime.resource.async_op",
                    "runtime.resource.async_op.poll",
                ]
            );
            assert!(matches!(event.fields.get("op_name"), Some(Value::Str(_))));
            event.fields.has("is_ready", true)
        };
        polls.iter().map(is_ready).collect()
    }

    /// How many events of wakers a task has with this operation.
    pub(crate) fn waker_events(&self, task: &Span, op: &str) -> usize {
        let events = self.events.iter().filter(|event| {
            event.target == "runtime::waker"
                && event.fields.has("task.id", task.id)
                && event.fields.has("op", op)
        });
        events.count()
    }

    /// Checks the balance of enters, references and wakers at the end of a program.
    fn check(&self) {
        for span in &self.spans {
            assert_eq!(span.enters, span.exits, "{span:?}");
            assert_eq!(span.references, 0, "{span:?}");
            let is_root = span.name != "runtime.resource.async_op.poll";
            assert_eq!(span.parent.is_none(), is_root, "{span:?}");
        }
        assert!(self.stacks.values().all(Vec::is_empty));
        for task in self.named("runtime.spawn") {
            let ends = ["waker.drop", "waker.wake"].map(|op| self.waker_events(task, op));
            let clones = self.waker_events(task, "waker.clone");
            assert_eq!(clones, ends.iter().sum::<usize>(), "{task:?}");
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Records>>);

impl Recorder {
    /// Calls `code` with this recorder as the subscriber of the thread.
    pub(crate) fn observe<T>(&self, code: impl FnOnce() -> T) -> T {
        with_default(&Dispatch::new(self.clone()), code)
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Records {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with("compio") && metadata.is_span();
        is_ours || metadata.target().starts_with("runtime::") || metadata.target() == "test"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut records = self.0.lock().unwrap();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let stack = records.stack().clone();
        let parent = attributes.parent().map(Id::into_u64);
        let id = records.spans.len() as u64 + 1;
        records.spans.push(Span {
            id,
            name: attributes.metadata().name(),
            target: attributes.metadata().target(),
            parent: parent.or_else(|| {
                let by_context = attributes.is_contextual();
                by_context.then(|| stack.last().copied()).flatten()
            }),
            fields,
            enters: 0,
            exits: 0,
            references: 1,
            stack,
            closed_at: None,
        });
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut self.0.lock().unwrap().span_mut(span).fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut records = self.0.lock().unwrap();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let stack = records.stack().clone();
        records.events.push(Recorded {
            target: event.metadata().target().into(),
            fields,
            stack,
        });
    }

    fn enter(&self, span: &Id) {
        let mut records = self.0.lock().unwrap();
        records.span_mut(span).enters += 1;
        records.stack().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut records = self.0.lock().unwrap();
        records.span_mut(span).exits += 1;
        let last = records.stack().pop();
        assert_eq!(last, Some(span.into_u64()), "exits come in reverse order");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().span_mut(id).references += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut records = self.0.lock().unwrap();
        let events = records.events.len();
        let span = records.span_mut(&id);
        span.references -= 1;
        if span.references == 0 {
            span.closed_at = Some(events);
        }
        span.references == 0
    }
}

/// Runs a program on a runtime of its own, and returns the checked records of its whole life.
pub(crate) fn record<F: Future>(program: F) -> Records {
    let recorder = Recorder::default();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(program);
    });
    checked(&recorder)
}

/// The records of programs that have ended.
pub(crate) fn checked(recorder: &Recorder) -> Records {
    let records = recorder.records();
    records.check();
    records
}
