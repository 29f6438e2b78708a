//! Results that are not `Send`, and the thread that they are dropped on (scenario 27).

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    sync::mpsc,
    task::{Poll, Waker},
    thread::{self, ThreadId},
};

use compio::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::{BufferPool, CancelToken, Runtime},
    task::{JoinHandle, spawn},
    time::{Interval, Sleep},
};

use crate::support::{Deaths, run};

/// Compiles only if `T` is not `Send`: otherwise there are two candidates for `_`.
macro_rules! assert_stays_on_its_thread {
    ($($type:ty),*) => {$(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn check() {}
            }
            struct IsSend;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
            let _ = <$type as Ambiguous<_>>::check;
        };
    )*};
}

// A runtime and its handles cannot be used on another thread (scenario 25): the outputs of tasks need
// not be `Send`.
assert_stays_on_its_thread!(
    Runtime,
    JoinHandle<()>,
    File,
    TcpStream,
    TcpListener,
    UdpSocket,
    BufferPool,
    CancelToken,
    Sleep,
    Interval
);

#[test]
fn s27_an_output_that_is_not_send_is_dropped_at_home() {
    run(async {
        let deaths = Deaths::default();
        let guard = deaths.guard();
        let task = spawn(async move { Rc::new(guard) });
        let output = task.await.unwrap();
        assert_eq!(deaths.count(), 0);
        drop(output);
        assert_eq!(deaths.count(), 1);
    });
}

/// Records the thread that drops it.
struct Homesick {
    died: Rc<Cell<Option<ThreadId>>>,
}

impl Drop for Homesick {
    fn drop(&mut self) {
        self.died.set(Some(thread::current().id()));
    }
}

/// An output is dropped on its home thread, with the last handle, the last waker or the runtime, though
/// other threads clone, wake and drop wakers of the task before, during and after the drop.
#[test]
fn s27_a_result_that_is_not_send_is_dropped_at_home_though_other_threads_have_its_wakers() {
    let home = thread::current().id();
    for runtime_first in [false, true] {
        for is_taken in [false, true] {
            let died = Rc::new(Cell::new(None));
            let output = Homesick {
                died: Rc::clone(&died),
            };
            let (give, take) = mpsc::channel::<Waker>();
            let elsewhere = thread::spawn(move || {
                for waker in take {
                    for _ in 0..100 {
                        waker.wake_by_ref();
                        drop(waker.clone());
                    }
                }
            });
            let runtime = Runtime::new().unwrap();
            let (mut output, mut polls) = (Some(output), 0);
            let giver = give.clone();
            let task = runtime.spawn(poll_fn(move |cx| {
                giver.send(cx.waker().clone()).unwrap();
                polls += 1;
                if polls < 3 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(output.take().unwrap())
            }));
            while !task.is_finished() {
                runtime.run();
            }
            assert_eq!(died.get(), None);
            let runtime = if runtime_first {
                drop(runtime);
                None
            } else {
                Some(runtime)
            };
            assert_eq!(died.get(), None, "its handle has it");
            if is_taken {
                drop(run(task).unwrap());
            } else {
                drop(task);
            }
            assert_eq!(died.get(), Some(home));
            drop(runtime);
            drop(give);
            elsewhere.join().unwrap();
        }
    }
}

/// The future of a task that never ends is dropped on its home thread, with the runtime.
#[test]
fn s27_a_future_that_is_not_send_is_dropped_at_home_though_its_waker_is_the_last_to_go() {
    let deaths = Deaths::default();
    let guard = deaths.guard();
    let (give, take) = mpsc::channel::<Waker>();
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn(poll_fn(move |cx| {
        let _held = &guard;
        let _ = give.send(cx.waker().clone());
        Poll::<()>::Pending
    })));
    runtime.run();
    drop(runtime);
    assert_eq!(deaths.count(), 1);
    let waker = take.recv().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn s27_a_detached_tasks_result_is_dropped_at_once_and_at_home() {
    run(async {
        let died = Rc::new(Cell::new(None));
        let output = Homesick {
            died: Rc::clone(&died),
        };
        drop(spawn(async move { output }));
        compio::task::yield_now().await;
        compio::task::yield_now().await;
        assert_eq!(died.get(), Some(thread::current().id()));
    });
}
