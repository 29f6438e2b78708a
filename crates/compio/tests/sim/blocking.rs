//! Blocking work.

use std::sync::{Arc, Mutex};

use compio::{sim, task};

use super::run_one;

#[test]
fn jobs_run_one_after_the_other_in_their_order() {
    let thread = std::thread::current().id();
    run_one(async move {
        let order = Arc::<Mutex<Vec<usize>>>::default();
        let jobs: Vec<_> = (0..20)
            .map(|number| {
                let order = Arc::clone(&order);
                task::spawn_blocking(move || {
                    assert_eq!(std::thread::current().id(), thread);
                    order.lock().unwrap().push(number);
                    sim::host_name()
                })
            })
            .collect();
        for job in jobs {
            assert_eq!(job.await.unwrap().as_deref(), Some("client"));
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        Ok(())
    });
}
