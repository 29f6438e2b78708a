//! The watchdog, with a thread that is stuck until its report has arrived.

use std::{future::pending, sync::mpsc, thread};

use compio::{
    runtime::Runtime,
    task,
    time::{Duration, sleep},
    watchdog::{Report, Watchdog},
};

const LIMIT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(20);

/// A watchdog, and its reports about runtimes of this thread.
fn start(idle_limit: Option<Duration>) -> (Watchdog, mpsc::Receiver<Report>) {
    let (send, reports) = mpsc::channel();
    let here = thread::current().id();
    let watchdog = Watchdog::builder()
        .poll_limit(LIMIT)
        .idle_limit(idle_limit)
        .on_report(move |report| {
            let runtime = match report {
                Report::LongPoll(poll) => &poll.runtime,
                Report::PossibleDeadlock { runtime, .. } => runtime,
                _ => panic!("{report}"),
            };
            // Other tests have runtimes, too.
            if runtime.thread().id() == here {
                let _ = send.send(report.clone());
            }
        });
    (watchdog.start().unwrap(), reports)
}

#[test]
fn task_that_does_not_return_is_reported_once() {
    let (watchdog, reports) = start(None);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (send, receive) = mpsc::channel();
        let stuck = task::Builder::new().name("stuck").spawn(async move {
            let report = reports.recv_timeout(LONG).unwrap();
            send.send(reports).unwrap();
            report
        });
        let id = stuck.id();
        let Report::LongPoll(poll) = stuck.await.unwrap() else {
            panic!("another report");
        };
        assert_eq!((poll.task.id(), poll.task.name()), (id, Some("stuck")));
        assert!(poll.task.location().file().ends_with("watchdog.rs"));
        assert!(poll.elapsed >= LIMIT);
        // Linux tells about the thread, and some systems hide its system call.
        if let Some(thread) = poll.thread
            && std::fs::read("/proc/thread-self/syscall").is_ok()
        {
            // It waits in a futex.
            assert!(thread.system_call.is_some(), "{poll}");
        }
        // An idle loop is no stall.
        sleep(5 * LIMIT).await;
        drop(watchdog);
        let reports = receive.recv().unwrap();
        assert!(reports.try_recv().is_err());
    });
}

#[test]
fn busy_thread_is_no_blocked_one() {
    let (_watchdog, reports) = start(None);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let busy = task::spawn(async move {
            loop {
                if let Ok(report) = reports.try_recv() {
                    return report;
                }
            }
        });
        let Report::LongPoll(poll) = busy.await.unwrap() else {
            panic!("another report");
        };
        if let Some(thread) = poll.thread {
            assert!(thread.ran + thread.starved > Duration::ZERO, "{poll}");
        }
    });
}

#[test]
fn runtime_that_only_another_thread_can_wake_is_reported() {
    let (_watchdog, reports) = start(Some(LIMIT));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let rescuer = thread::spawn(move || {
        let report = reports.recv_timeout(LONG).unwrap();
        let Report::PossibleDeadlock { tasks, .. } = report else {
            panic!("{report}");
        };
        assert_eq!(tasks, 2);
        stop.send(()).unwrap();
    });
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        task::spawn(pending::<()>()).detach();
        let waits = task::spawn(async move { stopped.await.unwrap() });
        waits.await.unwrap();
    });
    rescuer.join().unwrap();
}

#[test]
fn watchdog_can_be_dropped_by_its_report() {
    let (give, given) = mpsc::channel::<Watchdog>();
    let (send, reported) = mpsc::channel();
    let watchdog = Watchdog::builder().poll_limit(LIMIT).on_report(move |_| {
        drop(given.recv().unwrap());
        let _ = send.send(());
    });
    give.send(watchdog.start().unwrap()).unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let stuck = task::spawn(async move { reported.recv_timeout(LONG).unwrap() });
        stuck.await.unwrap();
    });
}
