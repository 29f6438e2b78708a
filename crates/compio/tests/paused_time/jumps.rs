//! Jumps to the next deadline.

use std::{
    future::{pending, poll_fn},
    io,
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use compio::{
    event::Event,
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{RuntimeBuilder, is_cancelled},
    task::{spawn, yield_now},
    time::{
        MissedTickBehavior, cancel_after, interval, now, pause, resume, sleep, sleep_until,
        timeout, timeout_at,
    },
};

use crate::support::{HOUR, Limit, Log, MILLI, NANO, SECOND, builders, run_paused, tcp_pair};

#[test]
fn sleep_of_hours_ends_exactly_at_its_deadline() {
    run_paused(async || {
        for duration in [24 * 365 * HOUR, HOUR, MILLI, Duration::from_nanos(7), NANO] {
            let begin = now();
            sleep(duration).await;
            assert_eq!(now() - begin, duration);
        }
    });
}

#[test]
fn clock_stands_still_while_a_task_is_ready() {
    run_paused(async || {
        let begin = now();
        let sleeper = spawn(sleep(NANO));
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(now(), begin);
        assert!(!sleeper.is_finished());
        sleeper.await.unwrap();
        assert_eq!(now() - begin, NANO);
    });
}

#[test]
fn timers_fire_one_by_one_in_the_order_of_deadlines() {
    run_paused(async || {
        let log = Log::new();
        // Running time would serve all of them by one wake.
        let delays = [5, 1, 4, 2, 3, 2].map(|nanos| HOUR + nanos * NANO);
        let tasks = delays.map(|delay| {
            let log = log.clone();
            spawn(async move {
                sleep(delay).await;
                log.add(delay);
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        let mut expected = delays;
        expected.sort();
        log.check(&expected.map(|delay| (delay, delay)));
    });
}

#[test]
fn many_timers_fire_each_at_its_deadline() {
    run_paused(async || {
        let begin = now();
        let tasks: Vec<_> = (1..5000)
            .map(|number| {
                // In all wheels, and in no order.
                let delay = Duration::from_micros(number * 7_919_773 % 100_000_007);
                spawn(async move {
                    sleep(delay).await;
                    assert_eq!(now() - begin, delay);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn removed_timer_causes_no_jump() {
    run_paused(async || {
        let begin = now();
        for _ in 0..200 {
            let mut short = pin!(sleep(SECOND));
            poll_fn(|cx| {
                assert!(short.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            short.as_mut().reset(begin + 2 * HOUR);
        }
        assert_eq!(timeout(SECOND, async { 42 }).await, Ok(42));
        sleep(HOUR).await;
        assert_eq!(now() - begin, HOUR);
    });
}

#[test]
fn interval_ticks_exactly_and_treats_missed_ticks() {
    run_paused(async || {
        for (behavior, expected) in [
            (MissedTickBehavior::Burst, [35, 35, 35, 40, 50]),
            (MissedTickBehavior::Delay, [35, 45, 55, 65, 75]),
            (MissedTickBehavior::Skip, [35, 40, 50, 60, 70]),
        ] {
            let begin = now();
            let mut ticks = interval(10 * SECOND);
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.tick().await, begin);
            // The task is late for the ticks at 10, 20 and 30.
            sleep(35 * SECOND).await;
            for expected in expected {
                ticks.tick().await;
                assert_eq!(now() - begin, expected * SECOND, "{behavior:?}");
            }
        }
    });
}

#[test]
fn timeouts_pass_exactly_at_their_deadlines() {
    run_paused(async || {
        let begin = now();
        assert!(timeout(HOUR, pending::<()>()).await.is_err());
        assert_eq!(now() - begin, HOUR);
        assert!(timeout_at(begin + 2 * HOUR, pending::<()>()).await.is_err());
        assert_eq!(now() - begin, 2 * HOUR);
        // The future ends first.
        assert!(timeout(HOUR, sleep(HOUR - NANO)).await.is_ok());
        assert_eq!(now() - begin, 3 * HOUR - NANO);
        assert!(sleep_until(begin).is_elapsed());
        assert!(!sleep_until(begin + 3 * HOUR).is_elapsed());
    });
}

#[test]
fn read_of_a_silent_socket_does_not_hold_the_clock() {
    run_paused(async || {
        let (mut client, mut server) = tcp_pair().await;
        let begin = now();
        let read = client.read(Vec::with_capacity(8));
        assert!(timeout(HOUR, read).await.is_err());
        assert_eq!(now() - begin, HOUR);
        let (read, buffer) = cancel_after(HOUR, client.read(Vec::with_capacity(8))).await;
        assert!(is_cancelled(&read.unwrap_err()));
        assert_eq!(now() - begin, 2 * HOUR);

        // A read that begins before the sleep of its peer ends.
        let peer = spawn(async move {
            sleep(HOUR).await;
            server.write_all("hello").await.0.unwrap();
            server
        });
        let (read, buffer) = client.read(buffer).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
        assert_eq!(now() - begin, 3 * HOUR);
        drop(peer.await.unwrap());
    });
}

#[test]
fn tasks_of_one_runtime_exchange_bytes_within_no_time() {
    run_paused(async || {
        let (mut client, mut server) = tcp_pair().await;
        let begin = now();
        let peer = spawn(async move {
            for _ in 0..500 {
                let (read, buffer) = server.read_exact(vec![0; 4]).await;
                read.unwrap();
                server.write_all(buffer).await.0.unwrap();
            }
        });
        for _ in 0..500 {
            let exchange = async {
                client.write_all("ping").await.0.unwrap();
                client.read_exact(vec![0; 4]).await.0.unwrap();
            };
            timeout(NANO, exchange).await.expect("no time passes");
        }
        peer.await.unwrap();
        assert_eq!(now(), begin);
    });
}

#[test]
fn waiting_accept_does_not_hold_the_clock() {
    run_paused(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = spawn(async move { listener.accept().await.map(drop) });
        let begin = now();
        sleep(HOUR).await;
        assert_eq!(now() - begin, HOUR);
        assert!(!server.is_finished());
    });
}

#[test]
fn endless_sleep_causes_no_jump() {
    run_paused(async || {
        let begin = now();
        let endless = spawn(sleep(Duration::MAX));
        let event = Event::new();
        let handle = event.handle();
        let other = thread::spawn(move || handle.notify());
        event.wait().await;
        assert_eq!(now(), begin);
        assert!(!endless.is_finished());
        drop(other.join());
    });
}

#[test]
fn timer_of_running_time_fires_exactly_after_a_pause() {
    for builder in builders() {
        let _limit = Limit::new();
        builder.build().unwrap().block_on(async {
            let deadline = now() + HOUR;
            let tasks = [0, 1, 2].map(|nanos| {
                let deadline = deadline + nanos * NANO;
                spawn(async move {
                    sleep_until(deadline).await;
                    assert_eq!(now(), deadline);
                })
            });
            yield_now().await;
            pause();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn resumed_time_continues_from_the_paused_one() {
    run_paused(async || {
        let begin = now();
        sleep(HOUR).await;
        resume();
        let resumed = now();
        assert!(resumed - begin >= HOUR);
        let real = Instant::now();
        let waiting = spawn(sleep(2 * HOUR));
        sleep(5 * MILLI).await;
        assert!(real.elapsed() >= 5 * MILLI);
        assert!(now() - resumed >= 5 * MILLI);
        assert!(now() - begin < 2 * HOUR);
        // A timer of running time, in paused time.
        pause();
        waiting.await.unwrap();
        assert!(now() - resumed >= 2 * HOUR);
        resume();
        pause();
        sleep(HOUR).await;
    });
}

#[test]
fn time_of_the_system_is_read_outside_of_a_runtime() {
    let runtime = RuntimeBuilder::new().start_paused(true).build().unwrap();
    let paused = runtime.enter(now);
    let (before, outside, after) = (Instant::now(), now(), Instant::now());
    assert!(before <= outside && outside <= after);
    assert_eq!(runtime.enter(now), paused);
}

#[test]
fn lock_of_a_file_is_waited_for_in_paused_time() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("file");
    run_paused(async || {
        let owner = compio::fs::File::create(&path).unwrap();
        owner.lock().await.unwrap();
        let release = spawn(async move {
            sleep(60 * SECOND).await;
            owner.unlock().unwrap();
        });
        let begin = now();
        compio::fs::File::open(&path).unwrap().lock().await.unwrap();
        assert!(now() - begin >= 60 * SECOND);
        assert!(now() - begin < 61 * SECOND);
        release.await.unwrap();
    });
    Ok(())
}
