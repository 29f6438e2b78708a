//! A compio runtime as a part of a Tokio task.

use std::{
    cell::Cell,
    future::pending,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    thread,
    time::Duration,
};

use compio::{
    compat::tokio::run_until,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Runtime,
    task,
};
use compio_testkit::{
    LONG,
    check::check_kind,
    future::{begin, both},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    task::LocalSet,
};

/// A future's output inside of tokio, with a limit of time.
fn inside<F: Future>(future: F) -> F::Output {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let limited = async { tokio::time::timeout(LONG, future).await };
    tokio
        .unwrap()
        .block_on(limited)
        .expect("this takes too long")
}

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn future_and_tasks_use_both_runtimes() {
    let runtime = Runtime::new().unwrap();
    let sum = inside(run_until(&runtime, async {
        let task = task::spawn(async {
            tokio::time::sleep(SHORT).await;
            compio::time::sleep(SHORT).await;
            1
        });
        let blocking = task::spawn_blocking(|| 2);
        compio::time::sleep(SHORT).await;
        tokio::time::sleep(SHORT).await;
        let spawned = tokio::spawn(async { 4 });
        task.await.unwrap() + blocking.await.unwrap() + spawned.await.unwrap()
    }));
    assert_eq!(sum.unwrap(), 7);
}

#[test]
fn sockets_of_both_talk() {
    let runtime = Runtime::new().unwrap();
    let echoed = inside(run_until(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = task::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            for _ in 0..1000 {
                let (read, bytes) = stream.read_exact([0; 8]).await;
                read?;
                stream.write_all(bytes).await.0?;
            }
            io::Result::Ok(())
        });
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        for number in 0..1000 {
            stream.write_u64(number).await?;
            assert_eq!(stream.read_u64().await?, number);
        }
        server.await.unwrap()
    }));
    echoed.unwrap().unwrap();
}

/// A wake that is lost stops this until its limit. Both tasks are on one thread.
#[test]
fn ping_pong_between_tasks_loses_no_wake() {
    const COUNT: usize = 100_000;
    let runtime = Runtime::new().unwrap();
    let (ping, mut pings) = mpsc::channel(1);
    let (pong, mut pongs) = mpsc::channel(1);
    let echo = async move {
        while let Some(number) = pings.recv().await {
            pong.send(number).await.unwrap();
        }
    };
    let count = async move {
        for number in 0..COUNT {
            ping.send(number).await.unwrap();
            assert_eq!(pongs.recv().await, Some(number));
        }
    };
    // The echo is a task of compio, the count one of tokio.
    let echo = runtime.spawn(echo);
    let local = LocalSet::new();
    let all = async {
        local.spawn_local(count);
        both(run_until(&runtime, echo), local).await.0
    };
    inside(all).unwrap().unwrap();
}

/// As above, between threads: compio's task is woken while its thread sleeps in tokio.
#[test]
fn ping_pong_with_other_thread_loses_no_wake() {
    const COUNT: usize = 100_000;
    let runtime = Runtime::new().unwrap();
    let (ping, mut pings) = mpsc::channel(1);
    let (pong, mut pongs) = mpsc::channel(1);
    let other = thread::spawn(move || {
        while let Some(number) = pings.blocking_recv() {
            pong.blocking_send(number).unwrap();
        }
    });
    let count = runtime.spawn(async move {
        for number in 0..COUNT {
            ping.send(number).await.unwrap();
            assert_eq!(pongs.recv().await, Some(number));
        }
    });
    inside(run_until(&runtime, count)).unwrap().unwrap();
    other.join().unwrap();
}

#[test]
fn tasks_continue_in_next_call() {
    let runtime = Runtime::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let task = runtime.spawn(async move {
        for _ in 0..3 {
            compio::time::sleep(SHORT).await;
            counted.set(counted.get() + 1);
        }
    });
    inside(async {
        // Dropped while it waits.
        begin(run_until(&runtime, pending::<()>())).await;
        run_until(&runtime, async {
            while count.get() == 0 {
                compio::time::sleep(SHORT).await;
            }
        })
        .await
        .unwrap();
        assert!(!task.is_finished());
        run_until(&runtime, task).await.unwrap().unwrap();
    });
    assert_eq!(count.get(), 3);
    // And without tokio.
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn second_call_for_one_runtime_fails() {
    let runtime = Runtime::new().unwrap();
    let result = inside(run_until(&runtime, async {
        run_until(&runtime, async {}).await
    }));
    check_kind(result.unwrap(), io::ErrorKind::AlreadyExists);
}

#[test]
fn two_runtimes_run_side_by_side() {
    let one = Runtime::new().unwrap();
    let other = Runtime::new().unwrap();
    let (there, mut inbox) = mpsc::channel(1);
    let send = async move {
        for number in 0..1000 {
            there.send(number).await.unwrap();
            task::yield_now().await;
        }
        compio::time::sleep(SHORT).await;
    };
    let receive = async move {
        let mut sum = 0;
        while let Some(number) = inbox.recv().await {
            sum += number;
        }
        sum
    };
    let (sent, sum) = inside(both(run_until(&one, send), run_until(&other, receive)));
    sent.unwrap();
    assert_eq!(sum.unwrap(), 499_500);
}

#[test]
fn panic_of_future_passes() {
    let runtime = Runtime::new().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        inside(run_until(&runtime, async { panic!("as intended") }))
    }));
    assert!(panicked.map(|_: io::Result<()>| ()).is_err());
    assert_eq!(inside(run_until(&runtime, async { 7 })).unwrap(), 7);
}

/// Tasks that are always ready leave time for tokio's.
#[test]
fn busy_tasks_do_not_starve_tokio() {
    let runtime = Runtime::new().unwrap();
    runtime.spawn(async {
        loop {
            task::yield_now().await;
        }
    });
    let ticks = inside(run_until(&runtime, async {
        let ticks = tokio::spawn(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            7
        });
        ticks.await.unwrap()
    }));
    assert_eq!(ticks.unwrap(), 7);
}
