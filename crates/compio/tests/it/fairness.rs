//! Fairness: busy tasks do not starve timers, sockets or other tasks.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio::{
    event::Event,
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, copy,
        duplex, repeat, sink,
    },
    runtime::Runtime,
    task::{consume_budget, spawn, unconstrained, yield_now},
    time::{interval, sleep, timeout},
};

use crate::support::{run, tcp_pair};

/// More tasks than are polled between two turns of the driver.
const BUSY_TASKS: usize = 200;

/// Keeps the runtime busy until the returned cell is set.
fn keep_busy() -> Rc<Cell<bool>> {
    let done = Rc::new(Cell::new(false));
    for _ in 0..BUSY_TASKS {
        let done = done.clone();
        drop(spawn(async move {
            while !done.get() {
                yield_now().await;
            }
        }));
    }
    done
}

#[test]
fn busy_tasks_starve_no_timer() {
    run(async {
        let done = keep_busy();
        sleep(Duration::from_millis(5)).await;
        done.set(true);
    });
}

#[test]
fn busy_tasks_starve_no_socket() {
    run(async {
        let done = keep_busy();
        let (mut client, mut server) = tcp_pair().await;
        let reader = spawn(async move { server.read(Vec::with_capacity(8)).await.1 });
        client.write_all("hello").await.0.unwrap();
        assert_eq!(reader.await.unwrap(), b"hello");
        done.set(true);
    });
}

#[test]
fn busy_tasks_starve_not_the_future_of_block_on() {
    run(async {
        let done = keep_busy();
        for _ in 0..100 {
            yield_now().await;
        }
        done.set(true);
    });
}

#[test]
fn a_busy_future_of_block_on_starves_neither_tasks_nor_timers() {
    run(async {
        let task = spawn(async {
            sleep(Duration::from_millis(5)).await;
            42
        });
        while !task.is_finished() {
            yield_now().await;
        }
        assert_eq!(task.await.unwrap(), 42);
    });
}

#[test]
fn busy_tasks_starve_no_timer_in_an_embedded_runtime() {
    let runtime = Runtime::new().unwrap();
    let done = runtime.enter(keep_busy);
    let finish = done.clone();
    let timer = runtime.spawn(async move {
        sleep(Duration::from_millis(5)).await;
        finish.set(true);
    });
    while !timer.is_finished() {
        runtime.run();
        runtime.poll(runtime.current_timeout()).unwrap();
    }
    assert!(done.get());
}

/// Runs a loop over `step` and a timer, which must end the loop.
fn check_timer_fires<F: Future>(mut step: impl FnMut() -> F) {
    run(async {
        let endless = async {
            loop {
                step().await;
            }
        };
        let ended = timeout(Duration::from_millis(5), endless).await;
        assert!(ended.is_err());
    });
}

#[test]
fn endless_zero_sleeps_starve_no_timer() {
    check_timer_fires(|| sleep(Duration::ZERO));
}

#[test]
fn endless_interval_starves_no_timer() {
    run(async {
        let mut interval = interval(Duration::from_nanos(1));
        let endless = async {
            loop {
                interval.tick().await;
            }
        };
        assert!(timeout(Duration::from_millis(5), endless).await.is_err());
    });
}

#[test]
fn endless_memory_copy_starves_no_timer() {
    check_timer_fires(|| async { copy(&mut repeat(7), &mut sink()).await });
}

#[test]
fn endless_duplex_exchange_starves_no_timer() {
    let (left, right) = duplex(16);
    let (left, right) = (&left, &right);
    check_timer_fires(|| async move {
        { left }.write_all("ping").await.0.unwrap();
        { right }.read_exact([0; 4]).await.0.unwrap();
    });
}

#[test]
fn endless_lines_of_memory_starve_no_timer() {
    let text = b"\n".repeat(10_000);
    check_timer_fires(|| async {
        let mut lines = BufReader::new(&text[..]).lines();
        while lines.next_line().await.unwrap().is_some() {}
    });
}

#[test]
fn endless_buffered_writes_starve_no_timer() {
    check_timer_fires(|| async {
        let mut writer = BufWriter::new(sink());
        for _ in 0..10_000 {
            writer.write_all("x").await.0.unwrap();
        }
    });
}

#[test]
fn unconstrained_loop_is_not_interrupted() {
    run(async {
        let steps = Rc::new(Cell::new(0));
        let counted = steps.clone();
        let task = spawn(unconstrained(async move {
            for _ in 0..10_000 {
                sleep(Duration::ZERO).await;
                counted.set(counted.get() + 1);
            }
        }));
        // One turn of the task.
        yield_now().await;
        assert_eq!(steps.get(), 10_000);
        task.await.unwrap();
    });
}

#[test]
fn consume_budget_gives_way_in_loop_of_foreign_futures() {
    check_timer_fires(|| async {
        std::future::ready(()).await;
        consume_budget().await;
    });
}

#[test]
fn task_within_budget_is_not_interrupted() {
    run(async {
        // The earlier polls of this turn may have used some of it.
        yield_now().await;
        let mut polls = 0;
        let mut work = std::pin::pin!(async {
            for _ in 0..100 {
                sleep(Duration::ZERO).await;
            }
        });
        std::future::poll_fn(|cx| {
            polls += 1;
            work.as_mut().poll(cx)
        })
        .await;
        assert!(polls <= 2, "{polls} polls");
    });
}

/// Runs equal tasks that never wait, and returns the number of steps of each.
fn busy_steps(count: usize, duration: Duration) -> Vec<usize> {
    let steps: Vec<_> = (0..count).map(|_| Rc::new(Cell::new(0))).collect();
    run(async {
        for steps in &steps {
            let steps = steps.clone();
            drop(spawn(async move {
                loop {
                    sleep(Duration::ZERO).await;
                    steps.set(steps.get() + 1);
                }
            }));
        }
        sleep(duration).await;
    });
    steps.iter().map(|steps| steps.get()).collect()
}

#[test]
fn equal_busy_tasks_share_the_thread() {
    for count in [2, 4, 8] {
        let runtime = Runtime::new().unwrap();
        let steps = runtime.enter(|| busy_steps(count, Duration::from_millis(20)));
        let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
        assert!(most - least <= 1024, "{steps:?}");
    }
}

#[test]
fn task_that_needs_one_unit_is_not_starved() {
    run(async {
        drop(spawn(async { copy(&mut repeat(1), &mut sink()).await }));
        sleep(Duration::from_millis(1)).await;
        let mut out = Vec::new();
        out.write_all("x").await.0.unwrap();
    });
}

#[test]
fn event_seen_with_empty_budget_stays_seen_after_reset() {
    run(async {
        let event = Event::new();
        event.handle().notify();
        let mut wait = event.wait();
        // Uses up the budget of this poll.
        let mut first = true;
        poll_fn(|cx| {
            while coop_is_left(cx) {}
            if std::mem::take(&mut first) {
                assert!(Pin::new(&mut wait).poll(cx).is_pending());
                event.reset();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        wait.await;
    });
}

fn coop_is_left(cx: &mut Context<'_>) -> bool {
    std::pin::pin!(consume_budget()).poll(cx).is_ready()
}

#[test]
fn deadline_that_has_passed_ends_busy_future() {
    run(async {
        let busy = async { copy(&mut repeat(1), &mut sink()).await };
        assert!(timeout(Duration::ZERO, busy).await.is_err());
    });
}

#[test]
fn busy_loop_within_one_poll_ends() {
    run(async {
        let mut zeros = repeat(0);
        for _ in 0..1000 {
            // As the `block_on` of another crate does.
            let mut read = std::pin::pin!(zeros.read([0; 1]));
            let mut cx = Context::from_waker(Waker::noop());
            while read.as_mut().poll(&mut cx).is_pending() {}
        }
    });
}
