//! The counters in a recorder of the crate `metrics`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use compio::{
    metrics::{Publisher, TextFormat, text},
    op::Nop,
    runtime::{self, Runtime},
};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit, with_local_recorder,
};

/// Keeps all values by name and labels.
#[derive(Clone, Default)]
struct Values(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    values: HashMap<Key, f64>,
    units: HashMap<String, Option<Unit>>,
    registrations: usize,
}

struct Value {
    key: Key,
    values: Values,
}

impl Value {
    fn new(key: &Key, values: &Values) -> Arc<Self> {
        let mut content = values.0.lock().unwrap();
        content.registrations += 1;
        let is_described = content.units.contains_key(key.name());
        assert!(is_described, "{key} has no description");
        drop(content);
        Arc::new(Self {
            key: key.clone(),
            values: values.clone(),
        })
    }
}

impl CounterFn for Value {
    fn increment(&self, _: u64) {
        panic!("counters are absolute");
    }

    fn absolute(&self, value: u64) {
        let mut content = self.values.0.lock().unwrap();
        let before = content.values.insert(self.key.clone(), value as f64);
        assert!(before.is_none_or(|before| before <= value as f64));
    }
}

impl GaugeFn for Value {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        let mut content = self.values.0.lock().unwrap();
        content.values.insert(self.key.clone(), value);
    }
}

impl Values {
    fn describe(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        assert!(!help.is_empty());
        let units = &mut self.0.lock().unwrap().units;
        assert_eq!(units.insert(name.as_str().to_owned(), unit), None);
    }

    fn of(&self, runtime: u64, name: &str, kind: Option<&str>) -> Option<f64> {
        let content = self.0.lock().unwrap();
        let has = |key: &Key, label, value: &str| {
            let mut labels = key.labels();
            labels.any(|one| one.key() == label && one.value() == value)
        };
        let is_wanted = |key: &&Key| {
            key.name() == name
                && has(key, "runtime", &runtime.to_string())
                && kind.is_none_or(|kind| has(key, "kind", kind))
        };
        let key = content.values.keys().find(is_wanted)?;
        Some(content.values[key])
    }

    fn registrations(&self) -> usize {
        self.0.lock().unwrap().registrations
    }
}

impl Recorder for Values {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        assert!(name.as_str().ends_with("_total"));
        self.describe(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(name, unit, help);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there are none");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Value::new(key, self))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Value::new(key, self))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there are none");
    }
}

async fn submit_nops(count: usize) {
    for _ in 0..count {
        runtime::submit(Nop::new()).await.unwrap();
    }
}

#[test]
fn recorder_has_counters_of_each_call_and_last_ones_of_ended_runtime() {
    let runtime = Runtime::new().unwrap();
    let number = runtime.metrics().runtime_number();
    let values = Values::default();
    let mut publisher = with_local_recorder(&values, Publisher::new);
    let mut publish = || with_local_recorder(&values, || publisher.publish());
    let nops = || values.of(number, "compio_operations_total", Some("nop"));
    publish();
    assert_eq!(nops(), None);
    runtime.block_on(submit_nops(5));
    publish();
    assert_eq!(nops(), Some(5.0));
    runtime.block_on(submit_nops(2));
    assert_eq!(nops(), Some(5.0));
    publish();
    assert_eq!(nops(), Some(7.0));

    drop(runtime.spawn(std::future::pending::<()>()));
    runtime.block_on(submit_nops(1));
    publish();
    let alive = || values.of(number, "compio_tasks_alive", None);
    assert_eq!(alive(), Some(1.0));
    runtime.block_on(submit_nops(1));
    drop(runtime);
    publish();
    assert_eq!(nops(), Some(9.0));
    assert_eq!(alive(), Some(0.0));
    let time = values.of(number, "compio_time_since_turn_seconds", None);
    assert_eq!(time, Some(0.0));
}

#[test]
fn recorder_is_asked_once_for_each_handle() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(submit_nops(1));
    let first = Values::default();
    let mut publisher = with_local_recorder(&first, Publisher::new);
    with_local_recorder(&first, || publisher.publish());
    assert!(first.registrations() > 0);
    // Of this runtime. Other tests add others.
    let second = Values::default();
    second.0.lock().unwrap().units = first.0.lock().unwrap().units.clone();
    with_local_recorder(&second, || publisher.publish());
    let number = runtime.metrics().runtime_number();
    assert!(first.of(number, "compio_turns_total", None).is_some());
    assert_eq!(second.of(number, "compio_turns_total", None), None);
}

#[test]
fn names_and_units_are_those_of_the_text() {
    let values = Values::default();
    let _publisher = with_local_recorder(&values, Publisher::new);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(submit_nops(1));
    let text = text(TextFormat::Prometheus);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    // Recorders take single values, and no histograms.
    let names = types.filter(|line| !line.ends_with(" histogram"));
    let units = &values.0.lock().unwrap().units;
    let mut count = 0;
    for name in names.map(|line| line.split(' ').next().unwrap()) {
        // A counter of the crate `metrics` is an integer.
        if name.ends_with("_seconds_total") {
            continue;
        }
        assert!(units.contains_key(name), "{name}");
        count += 1;
    }
    assert!(count >= 18);
    assert_eq!(units["compio_operation_bytes_total"], Some(Unit::Bytes));
    assert_eq!(units["compio_time_since_turn_seconds"], Some(Unit::Seconds));
    assert_eq!(units["compio_turns_total"], None);
}
