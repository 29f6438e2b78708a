//! The counters of a runtime, and its reader on another thread.

use std::{future::poll_fn, mem::MaybeUninit, sync::mpsc, thread};

use compio::{
    cores::{Dispatcher, Server},
    io::{AsyncReadExt, AsyncWriteExt},
    metrics::{self, ConnectionStats, OpKind},
    net::{PollStream, TcpListener, TcpStream},
    op::Nop,
    runtime::{self, Handle, Runtime, is_cancelled},
    task,
    time::{Duration, sleep, timeout},
};

#[test]
fn counters_of_tasks_and_operations_are_exact() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    const TASKS: u64 = 10_000;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| task::spawn(async { runtime::submit(Nop::new()).await.unwrap() }))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(metrics.spawned_tasks_count(), TASKS);
    assert_eq!(metrics.finished_tasks_count(), TASKS);
    assert_eq!(metrics.num_alive_tasks(), 0);
    let nops = metrics.operations(OpKind::Nop);
    assert_eq!((nops.completed, nops.in_flight, nops.errors), (TASKS, 0, 0));
    assert!(metrics.poll_count() >= TASKS);
    assert!(metrics.turn_count() >= metrics.park_count());
}

#[test]
fn bytes_and_errors_are_counted_by_kind() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    const LEN: usize = 100_000;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (mut server, _)) = (client.unwrap(), server.unwrap());
        let (sent, received) = tokio::join!(
            client.write_all(vec![1; LEN]),
            server.read_exact(Vec::with_capacity(LEN))
        );
        sent.0.unwrap();
        received.0.unwrap();
        assert_eq!(metrics.operations(OpKind::Send).bytes, LEN as u64);
        assert_eq!(metrics.operations(OpKind::Recv).bytes, LEN as u64);
        assert_eq!(metrics.operations(OpKind::Accept).completed, 1);

        let before = metrics.operations(OpKind::Recv);
        let token = runtime::CancelToken::new();
        let receive = server.read_exact(Vec::with_capacity(1));
        let receive = token.clone().run(receive);
        let (ended, ()) = tokio::join!(receive, async {
            task::yield_now().await;
            assert_eq!(metrics.operations(OpKind::Recv).in_flight, 1);
            token.cancel();
        });
        assert!(is_cancelled(&ended.0.unwrap_err()));
        let after = metrics.operations(OpKind::Recv);
        assert_eq!(after.errors, before.errors + 1);
        assert_eq!(after.in_flight, 0);
    });
}

#[test]
fn bytes_of_polled_stream_are_counted() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    const LEN: usize = 1_000_000;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut client = PollStream::new(client.unwrap()).unwrap();
        let mut server = PollStream::new(server.unwrap().0).unwrap();
        // More than the socket's buffers contain: both sides wait.
        let send = async {
            let mut sent = 0;
            while sent < LEN {
                sent += poll_fn(|cx| client.poll_write(cx, &vec![1; LEN - sent]))
                    .await
                    .unwrap();
            }
        };
        let receive = async {
            let mut room = vec![MaybeUninit::uninit(); 10_000];
            let mut received = 0;
            while received < LEN {
                received += poll_fn(|cx| server.poll_read(cx, &mut room)).await.unwrap();
            }
        };
        tokio::join!(send, receive);
    });
    let [sends, receives] = [OpKind::Send, OpKind::Recv].map(|kind| metrics.operations(kind));
    assert_eq!((sends.bytes, receives.bytes), (LEN as u64, LEN as u64));
    assert_eq!((sends.errors, sends.in_flight), (0, 0));
    assert!(sends.completed >= 1);
}

#[test]
fn queues_of_ready_and_sent_tasks_are_counted() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    for _ in 0..3 {
        drop(runtime.spawn(async {}));
    }
    let handle = runtime.handle();
    thread::spawn(move || drop(handle.spawn(async {})))
        .join()
        .unwrap();
    assert_eq!(metrics.local_queue_depth(), 3);
    assert_eq!(metrics.remote_queue_depth(), 1);
    runtime.block_on(task::yield_now());
    assert_eq!(metrics.local_queue_depth(), 0);
    assert_eq!(metrics.remote_queue_depth(), 0);
    assert_eq!(metrics.finished_tasks_count(), 4);
}

#[test]
fn completions_are_the_sum_of_all_kinds() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        for _ in 0..5 {
            runtime::submit(Nop::new()).await.unwrap();
        }
        task::spawn_blocking(|| ()).await.unwrap();
    });
    assert!(metrics.completed_operations_count() >= 6);
    assert!(metrics.blocking_pool().begun > 0);
}

#[test]
fn connections_of_a_server_are_counted_by_worker() {
    task::block_on(async {
        let server = Server::bind("127.0.0.1:0")
            .await
            .unwrap()
            .dispatcher(Dispatcher::builder().workers(2))
            .start(async |mut stream: TcpStream| {
                let _ = stream.read_exact([0; 1]).await;
            })
            .unwrap();
        let workers = server.workers().dispatch_to_each(|_| async {
            let metrics = Handle::current().metrics();
            let dump = Handle::current().dump();
            // The accept loops have a name.
            let is_named = dump
                .tasks()
                .iter()
                .any(|task| task.meta.name() == Some("accept"));
            (metrics, is_named)
        });
        let mut metrics = Vec::new();
        let mut accept_loops = 0;
        for worker in workers {
            let (of_worker, has_accept_loop) = worker.await.unwrap();
            metrics.push(of_worker);
            accept_loops += usize::from(has_accept_loop);
        }
        assert!(accept_loops > 0);
        let sum = |count: fn(&ConnectionStats) -> u64| -> u64 {
            metrics.iter().map(|one| count(&one.connections())).sum()
        };
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(server.local_addr()).await.unwrap());
        }
        let until = async |open| {
            while sum(|connections| connections.open) != open {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = Duration::from_secs(20);
        timeout(limit, until(10)).await.unwrap();
        drop(clients);
        timeout(limit, until(0)).await.unwrap();
        assert_eq!(sum(|connections| connections.accepted), 10);
        server.shutdown_timeout(limit).await.unwrap();
    });
}

#[test]
fn timers_and_panics_are_counted() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let sleeper = task::spawn(sleep(Duration::from_secs(60)));
        let panics = task::spawn(async { panic!("on purpose") });
        sleep(Duration::from_millis(1)).await;
        assert_eq!(metrics.num_timers(), 1);
        assert!(panics.await.is_err());
        assert_eq!(metrics.panicked_tasks_count(), 1);
        sleeper.abort();
        let _ = sleeper.await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(metrics.num_timers(), 0);
    });
}

#[test]
fn another_thread_reads_while_the_loop_is_busy_and_after_its_end() {
    let (send, receive) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let busy = thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            task::spawn(async move {
                send.send(Handle::current().metrics()).unwrap();
                // The loop is stuck here.
                released.recv().unwrap();
            })
            .await
            .unwrap();
        });
    });
    let metrics = receive.recv().unwrap();
    assert_eq!(metrics.num_alive_tasks(), 1);
    let task = metrics.current_task().unwrap();
    assert!(task.location().file().ends_with("metrics.rs"), "{task}");
    let number = metrics.runtime_number();
    let is_listed = || {
        metrics::all()
            .iter()
            .any(|one| one.runtime_number() == number)
    };
    assert!(is_listed());
    release.send(()).unwrap();
    busy.join().unwrap();
    assert!(!is_listed());
    assert_eq!(metrics.finished_tasks_count(), 1);
    assert_eq!(metrics.current_task_id(), None);
}

#[test]
fn blocking_pool_is_counted() {
    let runtime = Runtime::builder().max_blocking_threads(1).build().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = task::spawn_blocking(move || {
            begun.send(()).unwrap();
            released.recv().unwrap();
        });
        has_begun.recv().unwrap();
        let second = task::spawn_blocking(|| ());
        let pool = metrics.blocking_pool();
        assert_eq!((pool.threads, pool.queued), (1, 1));
        assert_eq!(metrics.operations(OpKind::Blocking).in_flight, 2);
        release.send(()).unwrap();
        let both = async { (first.await.unwrap(), second.await.unwrap()) };
        timeout(Duration::from_secs(20), both).await.unwrap();
        assert_eq!(metrics.operations(OpKind::Blocking).in_flight, 0);
    });
}
