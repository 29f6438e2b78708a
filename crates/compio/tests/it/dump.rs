//! Dumps of tasks and their waits.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    rc::Rc,
    sync::mpsc,
    task::Poll,
    thread,
};

use compio::{
    dump::{Content, OperationPlace, RuntimeDump, TaskDump, TaskState, Wait, all},
    io::AsyncReadExt,
    metrics::OpKind,
    net::{TcpListener, TcpStream},
    runtime::{Handle, Runtime},
    task,
    time::{Duration, Instant, sleep},
};

/// The tasks of the runtime that runs.
fn tasks() -> (RuntimeDump, Vec<TaskDump>) {
    let dump = Handle::current().dump();
    let tasks = dump.tasks().to_vec();
    (dump, tasks)
}

fn find(tasks: &[TaskDump], id: task::Id) -> &TaskDump {
    let task = tasks.iter().find(|task| task.meta.id() == id);
    task.expect("the task is alive")
}

/// A connection, and its peer, which sends nothing.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

#[compio::test]
async fn stuck_read_is_named_with_its_socket() {
    let (mut stream, peer) = connection().await;
    let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let reader = task::Builder::new().name("reader").spawn(async move {
        let _ = stream.read_exact(Vec::with_capacity(1)).await;
    });
    sleep(Duration::from_millis(20)).await;
    let (dump, tasks) = tasks();
    let task = find(&tasks, reader.id());
    assert_eq!(task.meta.name(), Some("reader"));
    assert_eq!((task.state, task.polls), (TaskState::Waiting, 1));
    let [Wait::Operation(wait)] = &task.waits[..] else {
        panic!("{dump}");
    };
    assert_eq!(wait.kind, OpKind::Recv);
    assert_eq!(wait.object, Some(format!("tcp {local} -> {remote}")));
    assert_eq!(wait.place, OperationPlace::Kernel);
    assert!(wait.since >= Duration::from_millis(10), "{dump}");
    assert!(task.age >= wait.since, "{dump}");
    assert!(dump.to_string().contains("recv on "), "{dump}");
    drop((reader, peer));
}

#[compio::test]
async fn each_kind_of_wait_has_its_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (release, released) = mpsc::channel::<()>();
    let sleeper = task::spawn(sleep(Duration::from_secs(60)));
    let accepts = task::spawn(async move { listener.accept().await.map(drop) });
    let blocks = task::spawn_blocking(move || released.recv());
    let waits_for_other = task::spawn(async move { sleeper.await.unwrap() });
    sleep(Duration::from_millis(5)).await;
    let (dump, tasks) = tasks();
    let text = |id| find(&tasks, id).to_string();
    assert!(text(accepts.id()).contains("accept on "), "{dump}");
    assert!(text(blocks.id()).contains("blocking work, "), "{dump}");
    let other = "the waker of another task or thread";
    assert!(text(waits_for_other.id()).contains(other), "{dump}");
    assert!(dump.to_string().contains("    sleep, "), "{dump}");
    drop(release);
    let _ = blocks.await;
}

#[compio::test]
async fn all_waits_of_a_task_are_listed_inside_of_combinators() {
    let (mut one, _peer) = connection().await;
    let (mut other, _other_peer) = connection().await;
    let task = task::spawn(async move {
        let mut reads = futures_util::stream::FuturesUnordered::new();
        for stream in [&mut one, &mut other] {
            reads.push(stream.read_exact(Vec::with_capacity(1)));
        }
        let first = futures_util::StreamExt::next(&mut reads);
        tokio::join!(first, sleep(Duration::from_secs(60)));
    });
    sleep(Duration::from_millis(1)).await;
    let (dump, tasks) = tasks();
    let waits = &find(&tasks, task.id()).waits;
    let receives = waits.iter().filter(
        |wait| matches!(wait, Wait::Operation(operation) if operation.kind == OpKind::Recv),
    );
    assert_eq!(receives.count(), 2, "{dump}");
    let timers = waits
        .iter()
        .filter(|wait| matches!(wait, Wait::Timer { .. }));
    assert_eq!(timers.count(), 1, "{dump}");
}

/// An operation that moves to another task is a wait of that task.
#[compio::test]
async fn wait_follows_its_future_to_another_task() {
    let (mut stream, _peer) = connection().await;
    let mut read = Box::pin(async move { stream.read_exact(Vec::with_capacity(1)).await });
    let first = task::spawn(async move {
        poll_fn(|cx| {
            assert!(read.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        Some(read)
    });
    let read = first.await.unwrap();
    let second = task::spawn(async move { read.unwrap().await.0 });
    task::yield_now().await;
    let (dump, tasks) = tasks();
    assert_eq!(find(&tasks, second.id()).waits.len(), 1, "{dump}");
    let Content::Tasks(content) = dump.content() else {
        panic!("{dump}");
    };
    assert!(content.other_waits.is_empty(), "{dump}");
}

#[compio::test]
async fn dump_polls_and_wakes_no_task() {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let task = task::spawn(async move {
        poll_fn(|_| {
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        })
        .await;
    });
    task::yield_now().await;
    for _ in 0..10 {
        tasks();
        task::yield_now().await;
    }
    assert_eq!(polls.get(), 1);
    drop(task);
}

/// A thread with a runtime that calls `body`, and its handle.
fn start(body: impl AsyncFnOnce() + Send + 'static) -> (thread::JoinHandle<()>, Handle) {
    let (send, receive) = mpsc::channel();
    let thread = thread::Builder::new().name("observed".into());
    let thread = thread.spawn(move || {
        let runtime = Runtime::new().unwrap();
        send.send(runtime.handle()).unwrap();
        runtime.block_on(body());
    });
    (thread.unwrap(), receive.recv().unwrap())
}

#[test]
fn dump_of_another_thread_has_its_tasks() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (thread, handle) = start(async move || {
        task::Builder::new().name("waits").spawn(pending::<()>());
        let _ = stopped.await;
    });
    let dump = handle.dump();
    let names: Vec<_> = dump.tasks().iter().map(|task| task.meta.name()).collect();
    assert_eq!(names, [Some("waits")], "{dump}");
    assert!(dump.to_string().contains("\"observed\""), "{dump}");
    stop.send(()).unwrap();
    thread.join().unwrap();
    assert!(matches!(handle.dump().content(), Content::Ended));
}

#[test]
fn loop_that_does_not_answer_is_named_with_its_task() {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (thread, handle) = start(async move || {
        let stuck = task::spawn(async move {
            begun.send(task::current().unwrap().id()).unwrap();
            let _ = released.recv();
        });
        stuck.await.unwrap();
    });
    let id = has_begun.recv().unwrap();
    let (other_stop, other_stopped) = tokio::sync::oneshot::channel::<()>();
    let (other, other_handle) = start(async move || drop(other_stopped.await));
    let began = Instant::now();
    let dumps = all();
    assert!(began.elapsed() < Duration::from_secs(20));
    let find = |handle: &Handle| {
        let number = handle.metrics().runtime_number();
        let dump = dumps
            .iter()
            .find(|dump| dump.metrics().runtime_number() == number);
        dump.unwrap()
    };
    let Content::Busy(busy) = find(&handle).content() else {
        panic!("{}", find(&handle));
    };
    assert_eq!(busy.task.as_ref().unwrap().id(), id);
    assert!(find(&handle).to_string().contains("dump.rs"));
    // The other loop has answered.
    assert!(matches!(find(&other_handle).content(), Content::Tasks(_)));
    release.send(()).unwrap();
    thread.join().unwrap();
    other_stop.send(()).unwrap();
    other.join().unwrap();
}

#[compio::test]
async fn hundred_thousand_tasks_are_dumped() {
    for _ in 0..50_000 {
        task::spawn(pending::<()>()).detach();
        task::spawn(sleep(Duration::from_secs(600))).detach();
    }
    // It is polled after them.
    task::spawn(async {}).await.unwrap();
    let (_, tasks) = tasks();
    assert_eq!(tasks.len(), 100_000);
    let sleeping = tasks.iter().filter(|task| task.waits.len() == 1);
    assert_eq!(sleeping.count(), 50_000);
}

#[compio::test]
async fn json_escapes_names() {
    task::Builder::new()
        .name("a \"quoted\\\n name")
        .spawn(pending::<()>());
    task::yield_now().await;
    let (dump, _) = tasks();
    let json = dump.to_json();
    assert!(
        json.contains(r#""name":"a \"quoted\\\u000a name","#),
        "{json}"
    );
    assert!(
        json.starts_with(r#"{"runtime":"#) && json.ends_with("}"),
        "{json}"
    );
}
