//! Panics in polls, destructors, outputs, payloads and wakers.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    panic::{panic_any, resume_unwind},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use compio_executor::{Executor, JoinHandle};

use crate::support::{
    Probe, bomb, check_cancelled, check_panicked, executor, quiet_panic, result, run, waiting_task,
};

#[test]
fn of_a_poll_is_reported_and_the_future_dropped() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    let handle = executor.spawn(poll_fn(move |_| -> Poll<()> {
        let _ = &probe;
        quiet_panic("poll")
    }));
    let other = executor.spawn(async { 1 });
    run(&executor);
    assert_eq!(drops.get(), 1);
    check_panicked(handle, "poll");
    assert_eq!(result(other).unwrap(), 1);
}

#[test]
fn payload_of_any_type_can_be_taken() {
    let executor = executor();
    let handle = executor.spawn(async { resume_unwind(Box::new(17_u16)) });
    run(&executor);
    let error = result::<()>(handle).unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.to_string(), format!("{} panicked", error.task()));
    assert_eq!(
        format!("{error:?}"),
        format!("JoinError::Panic({:?}, ..)", error.task())
    );
    assert_eq!(*error.into_panic().downcast::<u16>().unwrap(), 17);
}

#[test]
fn a_cancelled_task_has_no_payload() {
    let executor = executor();
    let handle = executor.spawn(pending::<()>());
    handle.abort();
    run(&executor);
    let error = result(handle).unwrap_err();
    let error = error.try_into_panic().unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        format!("JoinError::Cancelled({:?})", error.task())
    );
}

#[test]
fn of_a_destructor_after_ready_is_reported_and_the_output_dropped() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let mut output = Some(Probe::new(&drops));
    let bomb = bomb("destructor");
    let handle = executor.spawn(poll_fn(move |_| {
        let _ = &bomb;
        Poll::Ready(output.take().unwrap())
    }));
    run(&executor);
    assert_eq!(drops.get(), 1);
    check_panicked(handle, "destructor");
}

#[test]
fn of_a_destructor_and_the_output_it_replaces() {
    let executor = executor();
    let mut output = Some(bomb("output"));
    let bomb = bomb("destructor");
    let handle = executor.spawn(poll_fn(move |_| {
        let _ = &bomb;
        Poll::Ready(output.take().unwrap())
    }));
    run(&executor);
    check_panicked(handle, "destructor");
}

#[test]
fn of_poll_and_destructor_reports_the_first() {
    let executor = executor();
    let bomb = bomb("destructor");
    let handle = executor.spawn(poll_fn(move |_| -> Poll<()> {
        let _ = &bomb;
        quiet_panic("poll")
    }));
    run(&executor);
    check_panicked(handle, "poll");
}

#[test]
fn of_a_detached_output_is_caught() {
    let executor = executor();
    let output = bomb("output");
    drop(executor.spawn(async move { output }));
    let other = executor.spawn(async { 1 });
    run(&executor);
    assert_eq!(result(other).unwrap(), 1);
}

#[test]
fn of_an_output_dropped_with_its_handle_is_caught() {
    let executor = executor();
    let output = bomb("output");
    let handle = executor.spawn(async move { output });
    run(&executor);
    drop(handle);
}

#[test]
fn of_an_output_dropped_while_unwinding_is_caught() {
    let executor = executor();
    let output = bomb("output");
    let handle = executor.spawn(async move { output });
    run(&executor);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _handle = handle;
        quiet_panic("unwind");
    }));
    assert_eq!(*unwound.unwrap_err().downcast::<&str>().unwrap(), "unwind");
}

#[test]
fn of_a_payloads_destructor_is_caught() {
    // Without end: each payload's destructor panics with the next. (They have no size, so that a
    // leaked one leaks no memory.)
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new(Payload));
        }
    }
    let executor = executor();
    drop(executor.spawn(async { resume_unwind(Box::new(Payload)) }));
    run(&executor);
    let handle = executor.spawn(async { resume_unwind(Box::new(Payload)) });
    run(&executor);
    drop::<JoinHandle<()>>(handle);
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn of_destructors_do_not_stop_the_others_end() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let handles: Vec<_> = (0..6)
        .map(|task| {
            let probe = Probe::new(&drops);
            let bomb = (task % 2 == 0).then(|| bomb("destructor"));
            executor.spawn(async move {
                let _held = (probe, bomb);
                pending::<()>().await
            })
        })
        .collect();
    run(&executor);
    drop(executor);
    assert_eq!(drops.get(), 6);
    for (task, handle) in handles.into_iter().enumerate() {
        if task % 2 == 0 {
            check_panicked(handle, "destructor");
        } else {
            check_cancelled(handle);
        }
    }
}

#[test]
fn of_a_foreign_waker_is_caught() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            quiet_panic("waker");
        }
    }
    let executor = executor();
    let waker = Waker::from(Arc::new(Angry));
    let mut first = executor.spawn(async {});
    let mut second = executor.spawn(pending::<()>());
    for handle in [&mut first, &mut second] {
        assert!(
            pin!(handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    let third = executor.spawn(async { 3 });
    run(&executor);
    drop(executor);
    result(first).unwrap();
    check_cancelled(second);
    assert_eq!(result(third).unwrap(), 3);
}

#[test]
fn of_another_executors_unpark_is_caught() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            quiet_panic("unpark");
        }
    }
    // A task of an executor elsewhere waits, so to speak, for two tasks here.
    let (sender, receiver) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let executor = Executor::new(Waker::from(Arc::new(Angry)));
        for _ in 0..2 {
            let (_, waker, _) = waiting_task(&executor);
            sender.send(waker).unwrap();
        }
        wait.recv().unwrap_err();
    });
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let handles = receiver.iter().take(2).map(|waker| {
        let probe = Probe::new(&drops);
        let mut handle = executor.spawn(async move {
            let _probe = probe;
            pending::<()>().await
        });
        assert!(
            pin!(&mut handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        handle
    });
    let handles: Vec<_> = handles.collect();
    drop(executor);
    assert_eq!(drops.get(), 2);
    handles.into_iter().for_each(check_cancelled);
    drop(done);
    thread.join().unwrap();
}

#[test]
fn with_text_made_at_run_time() {
    let executor = executor();
    let handle = executor.spawn(async { panic_any(format!("number {}", 5)) });
    run(&executor);
    check_panicked::<()>(handle, "number 5");
}
