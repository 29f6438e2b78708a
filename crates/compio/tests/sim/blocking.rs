//! Blocking work.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use compio::{net::TcpListener, sim, task, time};

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

#[test]
fn job_may_abort_a_task_with_an_operation_in_flight() {
    run_one(async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let accept = task::spawn(async move { listener.accept().await.map(drop) });
        time::sleep(Duration::from_secs(1)).await;
        let handle = accept.abort_handle();
        task::spawn_blocking(move || handle.abort()).await.unwrap();
        assert!(accept.await.unwrap_err().is_cancelled());
        time::sleep(Duration::from_secs(1)).await;
        // The operation has ended, and its socket is closed.
        TcpListener::bind("0.0.0.0:80").await?;
        Ok(())
    });
}
