//! Wakers and destructors that call the runtime, also while it or its thread ends (scenario 27): no
//! state is borrowed while they run.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    process::Command,
    rc::Rc,
    task::{Context, RawWaker, RawWakerVTable, Waker},
    thread,
    time::{Duration, Instant},
};

use compio::{
    io::AsyncRead,
    op::Nop,
    runtime::{Runtime, submit},
    task::{JoinHandle, block_on, spawn, yield_now},
    time::{Sleep, sleep},
};

use crate::support::{Deaths, Flag, LONG, on_drop, run, streams};

/// A destructor that calls the runtime in many ways.
pub(super) fn meddler(deaths: &Deaths) -> impl Sized + use<> {
    let guard = deaths.guard();
    on_drop(move || {
        let mut cx = Context::from_waker(Waker::noop());
        drop(spawn(async move {
            let _guard = guard;
            sleep(Duration::from_secs(1_000)).await;
        }));
        // Polled once, and dropped.
        let _ = pin!(sleep(Duration::from_secs(1_000))).poll(&mut cx);
        let _ = pin!(submit(Nop::new())).poll(&mut cx);
        let (mut one, _other) = streams();
        let _ = pin!(one.read(Vec::with_capacity(8))).poll(&mut cx);
    })
}

pub(super) async fn hold<T>(what: T) {
    let _held = what;
    std::future::pending::<()>().await;
}

#[test]
fn s27_a_destructor_meddles_with_a_runtime_that_runs() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let task = spawn(hold(meddler(&deaths)));
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    drop(runtime);
    assert_eq!(deaths.count(), 1);
}

#[test]
fn s27_a_destructor_meddles_with_a_runtime_that_is_dropped() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn(hold(meddler(&deaths))));
    runtime.run();
    drop(runtime);
    assert_eq!(deaths.count(), 1);
}

#[test]
fn s27_a_destructor_of_a_buffer_meddles_with_a_runtime_that_is_dropped() {
    /// An empty buffer with a destructor.
    struct Meddling<T>(T);
    // SAFETY: an empty buffer.
    unsafe impl<T: 'static> compio::buf::IoBuf for Meddling<T> {
        fn as_init(&self) -> &[u8] {
            assert!(size_of_val(&self.0) > 0);
            b"x"
        }
    }
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    runtime.block_on(async {
        // Until the socket buffer is full.
        for _ in 0..64 {
            let write = compio::io::AsyncWrite::write(&mut ours, vec![0; 1 << 20]);
            let given_up = compio::time::timeout(Duration::from_millis(2), write).await;
            if given_up.is_err() {
                break;
            }
        }
        let buffer = Meddling(meddler(&deaths));
        drop(spawn(async move {
            compio::io::AsyncWrite::write(&mut ours, buffer).await.0
        }));
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(deaths.count(), 1);
    drop(theirs);
}

#[test]
fn s27_a_destructor_blocks_on_the_runtime_that_is_dropped() {
    let runtime = Runtime::new().unwrap();
    let slept = Flag::default();
    let mark = slept.clone();
    let sleeper = on_drop(move || {
        block_on(sleep(Duration::from_millis(1)));
        mark.raise();
    });
    drop(runtime.spawn(hold(sleeper)));
    runtime.run();
    drop(runtime);
    assert!(slept.is_raised());
}

#[test]
fn s27_a_waker_of_a_timer_sets_and_drops_timers() {
    let runtime = Runtime::new().unwrap();
    let fired = Flag::default();
    let mark = fired.clone();
    let bell = crate::support::waker(move || {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..200 {
            let _ = pin!(sleep(Duration::from_secs(1))).poll(&mut cx);
        }
        drop(spawn(sleep(Duration::from_millis(1))));
        mark.raise();
    });
    runtime.block_on(async {
        let mut nap = sleep(LONG);
        assert!(
            pin!(&mut nap)
                .poll(&mut Context::from_waker(&bell))
                .is_pending()
        );
        nap.reset(Instant::now() + Duration::from_millis(1));
        fired.taken().await;
        drop(nap);
        sleep(Duration::from_millis(3)).await;
    });
}

thread_local! {
    static ON_CLONE: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// A waker whose clone turns the runtime.
fn turning_waker() -> Waker {
    fn clone(_: *const ()) -> RawWaker {
        let runtime = ON_CLONE.take().expect("a runtime");
        runtime.poll(Some(Duration::ZERO)).expect("a turn");
        RawWaker::new(std::ptr::null(), Waker::noop().vtable())
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| {}, |_| {}, |_| {});
    // SAFETY: there is no data, and none of the functions uses any.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
}

#[test]
fn s27_a_timer_that_fires_while_its_waker_is_cloned_is_not_lost() {
    let runtime = Rc::new(Runtime::new().unwrap());
    runtime.enter(|| {
        let mut nap = sleep(LONG);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(&mut nap).poll(&mut cx).is_pending());
        nap.reset(Instant::now() + Duration::from_millis(1));
        thread::sleep(Duration::from_millis(3));
        ON_CLONE.set(Some(runtime.clone()));
        let waker = turning_waker();
        assert!(
            pin!(&mut nap)
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        );
    });
}

#[test]
fn s27_a_task_drops_its_own_handle_and_its_neighbours() {
    run(async {
        type Handles = Rc<RefCell<Vec<JoinHandle<()>>>>;
        let handles: Handles = Rc::default();
        let all = handles.clone();
        let cleared = Rc::new(Cell::new(false));
        let mark = cleared.clone();
        handles.borrow_mut().push(spawn(async move {
            let taken = std::mem::take(&mut *all.borrow_mut());
            for handle in &taken {
                handle.abort();
            }
            drop(taken);
            mark.set(true);
        }));
        handles.borrow_mut().push(spawn(std::future::pending()));
        yield_now().await;
        yield_now().await;
        assert!(cleared.get());
    });
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn exits_in_a_task() {
    let deaths = Deaths::default();
    block_on(async {
        let mut nap: Sleep = sleep(Duration::from_secs(1_000));
        crate::support::begin(&mut nap).await;
        let (mut ours, _theirs) = streams();
        drop(spawn(async move { ours.read(Vec::with_capacity(8)).await }));
        drop(spawn(hold(meddler(&deaths))));
        yield_now().await;
        let exits = spawn(async { std::process::exit(42) });
        exits.await.unwrap();
    });
}

#[test]
fn s16_a_task_that_exits_the_process_gives_it_its_code() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "soundness::reentrancy::exits_in_a_task",
            "--ignored",
        ])
        .args(["--test-threads", "1"])
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(42), "{status}");
}
