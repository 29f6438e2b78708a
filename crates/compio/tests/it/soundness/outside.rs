//! Sockets, sleeps, handles, operations and runtimes that are dropped outside of any running runtime:
//! in a thread local's destructor, during unwinding (scenario 16).

use std::{
    cell::{OnceCell, RefCell},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use compio::{
    io::AsyncRead,
    net::TcpListener,
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
    time::sleep,
};

use super::reentrancy::{hold, meddler};
use crate::support::{Canary, Deaths, Flag, LONG, begin, on_drop, run, streams};

thread_local! {
    static KEPT: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
    static EXPLICIT: OnceCell<Runtime> = const { OnceCell::new() };
}

/// On a new thread, keeps the value of `make` until the thread's end, in a thread local that is
/// destroyed before the thread's own runtime or after it.
fn check_kept(make: impl Fn() -> Box<dyn std::any::Any> + Send + Sync + 'static) {
    let make = std::sync::Arc::new(make);
    for runtime_first in [true, false] {
        let make = make.clone();
        let thread = thread::spawn(move || {
            if runtime_first {
                block_on(async {});
            }
            KEPT.with_borrow(Vec::len);
            let kept = make();
            KEPT.with_borrow_mut(|all| all.push(kept));
        });
        thread.join().expect("a quiet end");
    }
}

#[test]
fn s16_a_thread_local_keeps_a_sleep_to_the_end() {
    check_kept(|| {
        let mut nap = sleep(Duration::from_secs(1_000));
        block_on(begin(&mut nap));
        Box::new(nap)
    });
}

#[test]
fn s16_a_thread_local_keeps_a_handle_to_the_end() {
    check_kept(|| {
        let mut handle = None;
        block_on(async { handle = Some(spawn(std::future::pending::<()>())) });
        Box::new(handle)
    });
}

#[test]
fn s16_a_thread_local_keeps_a_socket_to_the_end() {
    check_kept(|| Box::new(streams()));
}

#[test]
fn s16_a_thread_local_keeps_an_operation_in_flight_to_the_end() {
    check_kept(|| {
        let (mut ours, theirs) = streams();
        let mut read = Box::pin(async move { ours.read(Vec::with_capacity(8)).await });
        block_on(begin(&mut read));
        block_on(yield_now());
        Box::new((read, theirs))
    });
}

#[test]
fn s16_a_thread_local_keeps_a_runtime_to_the_end() {
    check_kept(|| {
        let runtime = Runtime::new().unwrap();
        let deaths = Deaths::default();
        drop(runtime.spawn(hold(meddler(&deaths))));
        runtime.run();
        Box::new(runtime)
    });
}

#[test]
fn s16_an_explicit_runtime_runs_while_its_thread_ends() {
    let done = thread::spawn(|| {
        let done = Flag::default();
        let mark = done.clone();
        // Destroyed after the thread's own runtime.
        EXPLICIT.with(|runtime| runtime.set(Runtime::new().unwrap()).unwrap());
        KEPT.with_borrow_mut(|all| {
            all.push(Box::new(on_drop(move || {
                let runtime = Runtime::new().unwrap();
                let answer = runtime.block_on(async {
                    sleep(Duration::from_millis(1)).await;
                    spawn(async { 42 }).await.unwrap()
                });
                if answer == 42 {
                    mark.raise();
                }
            })))
        });
        block_on(sleep(Duration::from_millis(1)));
        done
    })
    .join()
    .unwrap();
    assert!(done.is_raised());
}

#[test]
fn s16_a_destructor_meddles_while_its_thread_ends() {
    let counted = thread::spawn(|| {
        let deaths = Deaths::default();
        let counted = Flag::default();
        let (mark, at_the_end) = (counted.clone(), deaths.clone());
        block_on(async {
            drop(spawn(hold(meddler(&deaths))));
            let checker = on_drop(move || {
                if at_the_end.count() == 1 {
                    mark.raise();
                }
            });
            drop(spawn(hold(checker)));
            yield_now().await;
        });
        counted
    })
    .join()
    .unwrap();
    assert!(counted.is_raised());
}

/// A future of `block_on` and a task that unwind drop their sockets and operations in flight.
#[test]
fn s16_sockets_and_operations_are_dropped_during_unwinding() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let mut peers = Vec::new();
    let mut half_read = |deaths: &Deaths| {
        let (mut ours, theirs) = streams();
        peers.push(theirs.into_std().unwrap());
        let buffer = Canary::new(deaths);
        Box::pin(async move { ours.read(buffer).await.0 })
    };
    let mut read = half_read(&deaths);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            begin(&mut read).await;
            yield_now().await;
            let _dropped_while_unwinding = read;
            panic!("on purpose");
        })
    }));
    assert!(unwound.is_err());
    let mut read = half_read(&deaths);
    let task = runtime.spawn(async move {
        begin(&mut read).await;
        yield_now().await;
        panic!("on purpose");
    });
    assert!(runtime.block_on(task).unwrap_err().is_panic());
    runtime.block_on(async {
        while deaths.count() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    });
    for mut peer in peers {
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
}

/// Sockets close without a living runtime.
#[test]
fn s16_sockets_are_dropped_after_the_death_of_their_runtime() {
    let runtime = Runtime::new().unwrap();
    let (listener, ours, mut peer) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut ours, theirs) = streams();
        // Known to the backend, too.
        drop(compio::time::timeout(Duration::from_millis(1), ours.read([0; 8])).await);
        drop(compio::time::timeout(Duration::from_millis(1), listener.accept()).await);
        (listener, ours, theirs.into_std().unwrap())
    });
    drop(runtime);
    let address = listener.local_addr().unwrap();
    drop((listener, ours));
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    let refused = std::net::TcpStream::connect_timeout(&address, LONG).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    run(async {});
}
