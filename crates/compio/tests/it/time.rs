//! Sleeps and timeouts.

use std::{
    cell::RefCell,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    runtime::{Runtime, submit},
    task::{block_on, spawn, yield_now},
    time::{Elapsed, Sleep, sleep, sleep_until, timeout, timeout_at},
};

use crate::support::{
    First, Flag, LONG, begin, check_code, code, on_drop, run, select, std_streams, tcp_pair, waker,
};

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        // Long enough for all to begin before the first ends.
        let start = Instant::now() + Duration::from_millis(100);
        let tasks: Vec<_> = [30, 10, 20, 0, 15]
            .into_iter()
            .map(|ms| {
                let order = order.clone();
                spawn(async move {
                    let deadline = start + Duration::from_millis(ms);
                    sleep_until(deadline).await;
                    order.borrow_mut().push(ms);
                    assert!(deadline <= Instant::now());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 10, 15, 20, 30]);
    });
}

#[test]
fn sleeps_with_equal_deadlines_end_in_the_order_of_their_first_polls() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let deadline = Instant::now() + Duration::from_millis(10);
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let order = order.clone();
                spawn(async move {
                    sleep_until(deadline).await;
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(order.borrow().is_sorted());
    });
}

#[test]
fn a_zero_sleep_ends_at_its_first_poll() {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(sleep(Duration::ZERO)).poll(&mut cx).is_ready());
    let past = Instant::now() - Duration::from_secs(1);
    assert!(pin!(sleep_until(past)).poll(&mut cx).is_ready());
}

#[test]
fn an_endless_sleep_keeps_no_runtime_awake_and_can_be_dropped() {
    for ever in [
        Duration::MAX,
        Duration::from_secs(i64::MAX as u64 / 2),
        Duration::from_secs(86_400 * 365 * 300),
    ] {
        run(async {
            let short = sleep(Duration::from_millis(1));
            assert_eq!(select(sleep(ever), short).await, First::Right(()));
        });
    }
}

#[test]
fn a_dropped_sleep_wakes_no_task() {
    let runtime = Runtime::new().unwrap();
    let woken = Flag::default();
    let mark = woken.clone();
    let bell = waker(move || mark.raise());
    runtime.enter(|| {
        let mut nap = sleep(LONG);
        assert!(
            pin!(&mut nap)
                .poll(&mut Context::from_waker(&bell))
                .is_pending()
        );
        nap.reset(Instant::now() + Duration::from_millis(1));
    });
    runtime.block_on(sleep(Duration::from_millis(5)));
    assert!(!woken.is_raised());
    assert_eq!(runtime.current_timeout(), None);
}

#[test]
fn a_waker_may_drop_timers_and_set_others() {
    thread_local! {
        static NAPS: RefCell<Vec<Sleep>> = const { RefCell::new(Vec::new()) };
    }
    fn set(deadline: Instant, bell: &Waker) {
        let mut nap = sleep(LONG);
        let polled = pin!(&mut nap).poll(&mut Context::from_waker(bell));
        assert!(polled.is_pending());
        nap.reset(deadline);
        NAPS.with_borrow_mut(|naps| naps.push(nap));
    }
    let runtime = Runtime::new().unwrap();
    let woken = Flag::default();
    let mark = woken.clone();
    let last = waker(move || mark.raise());
    // Drops the timers that are due with it, the later one, and the timer of an earlier wake.
    let bell = waker(move || {
        drop(NAPS.take());
        set(Instant::now() + Duration::from_millis(1), &last);
    });
    runtime.enter(|| {
        let deadline = Instant::now() + Duration::from_millis(1);
        (0..10).for_each(|_| set(deadline, &bell));
        set(
            Instant::now() + LONG,
            &waker(|| panic!("a dropped timer fires")),
        );
    });
    while runtime.current_timeout().is_some() {
        runtime.poll(runtime.current_timeout()).unwrap();
    }
    assert!(woken.is_raised());
    drop(NAPS.take());
}

#[test]
fn a_reset_moves_an_awaited_sleep() {
    run(async {
        let nap = Rc::new(RefCell::new(sleep(Duration::from_secs(86_400))));
        let waiting = nap.clone();
        let waiter = spawn(std::future::poll_fn(move |cx| {
            pin!(&mut *waiting.borrow_mut()).poll(cx)
        }));
        yield_now().await;
        nap.borrow_mut()
            .reset(Instant::now() + Duration::from_millis(1));
        waiter.await.unwrap();
    });
}

#[test]
fn a_reset_puts_off_a_sleep_that_has_ended() {
    run(async {
        let mut nap = sleep(Duration::ZERO);
        (&mut nap).await;
        let deadline = Instant::now() + Duration::from_millis(5);
        nap.reset(deadline);
        assert_eq!(nap.deadline(), deadline);
        assert!(!nap.is_elapsed() || deadline <= Instant::now());
        nap.await;
        assert!(deadline <= Instant::now());
    });
}

#[test]
fn a_sleep_may_outlive_its_runtime() {
    let mut nap = sleep(LONG);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(begin(&mut nap));
    drop(runtime);
    let deadline = Instant::now() + Duration::from_millis(5);
    nap.reset(deadline);
    run(nap);
    assert!(deadline <= Instant::now());
}

#[test]
fn the_drop_of_its_runtime_wakes_a_task_that_awaits_a_sleep() {
    let runtime = Runtime::new().unwrap();
    let woken = Flag::default();
    let mark = woken.clone();
    let bell = waker(move || mark.raise());
    let mut nap = sleep(Duration::from_secs(86_400));
    runtime.enter(|| {
        assert!(
            pin!(&mut nap)
                .poll(&mut Context::from_waker(&bell))
                .is_pending()
        );
    });
    drop(runtime);
    assert!(woken.is_raised());
}

#[test]
fn a_ready_output_wins_over_an_elapsed_timeout() {
    run(async {
        assert_eq!(timeout(Duration::ZERO, async { 42 }).await, Ok(42));
        let past = Instant::now() - Duration::from_secs(1);
        assert_eq!(timeout_at(past, async { 42 }).await, Ok(42));
    });
}

#[test]
fn a_timeout_ends_a_slow_future() {
    run(async {
        let dropped = Flag::default();
        let mark = dropped.clone();
        let guard = on_drop(move || mark.raise());
        let start = Instant::now();
        let late = timeout(Duration::from_millis(5), async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        let elapsed: Elapsed = late.await.unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(dropped.is_raised());
        assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_timed_out_read_takes_nothing_from_the_socket() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let read = server.read(Vec::with_capacity(8));
        assert!(timeout(Duration::from_millis(5), read).await.is_err());
        client.write_all("hello").await.0.unwrap();
        let (read, buffer) = server.read(Vec::with_capacity(8)).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn a_late_success_wins_if_it_comes_before_the_poll() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let read = timeout(Duration::from_millis(1), server.read(Vec::with_capacity(8)));
        let busy = async {
            client.write_all("hello").await.0.unwrap();
            // The driver has no turn here, and so sees neither the bytes nor the deadline.
            std::thread::sleep(Duration::from_millis(5));
            std::future::pending::<()>().await;
        };
        let First::Right(read) = select(busy, read).await else {
            unreachable!("the loop never ends")
        };
        let (read, buffer) = read.expect("the bytes have arrived");
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn a_read_that_is_cancelled_in_time_gives_its_buffer_back() {
    use compio::{
        driver::{OwnedFd, SharedFd},
        op::Recv,
    };
    let (ours, theirs) = std_streams();
    let fd = SharedFd::from(OwnedFd::from(ours));
    run(async {
        let mut read = submit(Recv::new(fd, Vec::with_capacity(77), 0));
        let up = match select(&mut read, sleep(Duration::from_millis(5))).await {
            First::Left(_) => false,
            First::Right(()) => true,
        };
        assert!(up);
        read.cancel();
        let (result, buffer) = read.await;
        check_code(result, code::CANCELLED);
        assert!(buffer.is_empty() && buffer.capacity() >= 77);
    });
    drop(theirs);
}

#[test]
fn the_future_of_an_elapsed_timeout_can_be_continued() {
    run(async {
        let mut late = timeout(Duration::ZERO, Box::pin(sleep(Duration::from_millis(5))));
        assert!((&mut late).await.is_err());
        late.into_inner().await;
    });
}

#[test]
fn thousands_of_sleeps_all_end() {
    block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|number| {
                let deadline = start + Duration::from_micros(number * 7919 % 20_000);
                spawn(async move {
                    sleep_until(deadline).await;
                    assert!(deadline <= Instant::now());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
