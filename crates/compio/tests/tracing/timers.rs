//! The spans of timers.

use std::{panic::Location, time::Duration};

use compio::{
    task::Builder,
    time::{interval, sleep, timeout},
};

use crate::recorder::record;

const SHORT: Duration = Duration::from_millis(3);

#[test]
fn sleep_is_resource_with_one_operation() {
    let here = Location::caller();
    let records = record(async {
        let sleeps = async { sleep(SHORT).await };
        Builder::new().name("sleeps").spawn(sleeps).await.unwrap();
    });
    let operations = records.operations("Sleep");
    assert_eq!(operations.len(), 1);
    let task_id = records.task("sleeps").fields.number("task.id");
    assert!(operations[0].has("task.id", task_id));
    assert_eq!(records.polls(operations[0]), [false, true]);
    assert_eq!(operations[0].enters, 2);
    assert_eq!(operations[0].fields.get("cancelled"), None);
    let timer = records.resource_of(operations[0]);
    assert!(timer.has("kind", "timer"));
    assert!(timer.has("concrete_type", "Sleep"));
    assert!(timer.has("loc.file", here.file()));
    assert!(timer.has("loc.line", u64::from(here.line()) + 2));
    let updates = records.events_in(timer, "runtime::resource::state_update");
    assert_eq!(updates.len(), 1);
    assert!(updates[0].fields.number("duration") <= 3);
    assert!(updates[0].fields.has("duration.unit", "ms"));
    assert!(updates[0].fields.has("duration.op", "override"));
}

#[test]
fn interval_is_one_resource_with_an_operation_for_each_tick() {
    let records = record(async {
        let mut ticks = interval(SHORT);
        for _ in 0..3 {
            ticks.tick().await;
        }
    });
    let operations = records.operations("Interval");
    // The fourth tick is not awaited.
    assert_eq!(operations.len(), 4);
    let timer = records.resource_of(operations[0]).id;
    for operation in &operations {
        assert_eq!(records.resource_of(operation).id, timer);
    }
    assert!(records.polls(operations[3]).is_empty());
    assert!(operations[3].has("cancelled", true));
    assert_eq!(operations[0].fields.get("cancelled"), None);
}

#[test]
fn timer_of_unused_timeout_is_cancelled() {
    let records = record(async {
        let done = timeout(Duration::from_secs(600), async { sleep(SHORT).await });
        done.await.unwrap();
    });
    let operations = records.operations("Timeout");
    assert_eq!(operations.len(), 1);
    assert!(operations[0].has("cancelled", true));
    assert!(!records.polls(operations[0]).contains(&true));
}
