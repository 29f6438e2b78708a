//! Dumps of tasks and their waits.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    io,
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use compio::{
    driver::{Operation, Owned, RawFd, request::Request},
    dump::{Content, OperationPlace, RuntimeDump, TaskDump, TaskState, Wait, all},
    io::AsyncReadExt,
    metrics::{self, OpKind},
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

/// The stream's operation stays in flight while its task waits for something else.
#[compio::test]
async fn stream_between_two_items_is_no_wait_of_its_task() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = task::spawn(async move {
        let mut incoming = listener.incoming();
        let connection = incoming.next().await;
        sleep(Duration::from_secs(60)).await;
        drop(connection);
    });
    let client = TcpStream::connect(address).await.unwrap();
    let sleeps = || {
        let (_, tasks) = tasks();
        let mut waits = find(&tasks, server.id()).waits.iter();
        waits.any(|wait| matches!(wait, Wait::Timer { .. }))
    };
    while !sleeps() {
        sleep(Duration::from_millis(1)).await;
    }
    let (dump, tasks) = tasks();
    let waits = &find(&tasks, server.id()).waits;
    assert!(matches!(waits[..], [Wait::Timer { .. }]), "{dump}");
    drop((server, client));
}

/// The deadline is moved by another task than the one that waits.
#[compio::test]
async fn timer_stays_with_its_task_after_a_reset_by_another_one() {
    let timer = Rc::new(RefCell::new(Box::pin(sleep(Duration::from_secs(60)))));
    let polled = Rc::clone(&timer);
    let waits = task::spawn(poll_fn(move |cx| polled.borrow_mut().as_mut().poll(cx)));
    task::yield_now().await;
    let resets = task::spawn(async move {
        let deadline = Instant::now() + Duration::from_secs(90);
        timer.borrow_mut().as_mut().reset(deadline);
        pending::<()>().await;
    });
    task::yield_now().await;
    let (dump, tasks) = tasks();
    assert_eq!(find(&tasks, resets.id()).waits.len(), 0, "{dump}");
    assert_eq!(find(&tasks, waits.id()).waits.len(), 1, "{dump}");
}

/// Timers keep the state of their runtime for as long as they exist.
#[test]
fn dropped_runtime_is_not_listed_while_its_timer_exists() {
    let runtime = Runtime::new().unwrap();
    let number = runtime.metrics().runtime_number();
    let mut timer = Box::pin(sleep(Duration::from_secs(60)));
    runtime.enter(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.as_mut().poll(&mut cx).is_pending());
    });
    let is_listed = || {
        metrics::all()
            .iter()
            .any(|one| one.runtime_number() == number)
    };
    assert!(is_listed());
    drop(runtime);
    assert!(!is_listed());
    drop(timer);
}

/// Counts the records that are made of it.
struct Described;

static DESCRIPTIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the request points to nothing.
unsafe impl Operation for Described {
    type Output = io::Result<usize>;

    unsafe fn descriptor(_: *const Self) -> Option<RawFd> {
        DESCRIPTIONS.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn request(&mut self) -> Request {
        Request::Nop
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Described {}

#[test]
fn loop_makes_no_dump_for_requests_that_have_given_up() {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (thread, handle) = start(async move || {
        let mut operation = Box::pin(compio::runtime::submit(Described));
        poll_fn(|cx| {
            let _ = operation.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        begun.send(()).unwrap();
        let _ = released.recv();
        task::yield_now().await;
    });
    has_begun.recv().unwrap();
    let requesters: Vec<_> = (0..8)
        .map(|_| {
            let handle = handle.clone();
            thread::spawn(move || matches!(handle.dump().content(), Content::Busy(_)))
        })
        .collect();
    for requester in requesters {
        assert!(requester.join().unwrap());
    }
    release.send(()).unwrap();
    thread.join().unwrap();
    // One for requests of other tests, which call `all`.
    assert!(DESCRIPTIONS.load(Ordering::Relaxed) <= 1);
}

/// Control characters of a name could imitate other lines.
#[cfg(unix)]
#[compio::test]
async fn each_wait_has_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line\n  task 1: forged");
    let listener = compio::net::UnixListener::bind(&path).unwrap();
    let accepts = task::spawn(async move { listener.accept().await.map(drop) });
    task::yield_now().await;
    let (dump, tasks) = tasks();
    let text = find(&tasks, accepts.id()).to_string();
    assert_eq!(text.lines().count(), 2, "{dump}");
    assert!(text.contains("forged"), "{dump}");
}

/// Threads that request dumps all the time never miss a loop that runs.
#[test]
fn concurrent_requests_are_all_answered() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (thread, handle) = start(async move || drop(stopped.await));
    let requesters: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle.clone();
            thread::spawn(move || {
                (0..2000).all(|_| !matches!(handle.dump().content(), Content::Ended))
            })
        })
        .collect();
    for requester in requesters {
        assert!(requester.join().unwrap());
    }
    stop.send(()).unwrap();
    thread.join().unwrap();
}

/// Ends the park of a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn embedded_runtime_answers() {
    let (send, receive) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        let sleeper = runtime.spawn(sleep(Duration::from_secs(60)));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        send.send(runtime.handle()).unwrap();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let timeout = runtime.poll_with(&mut cx).unwrap();
            thread::park_timeout(timeout.unwrap_or(Duration::from_secs(60)));
        }
        drop(sleeper);
    });
    let handle = receive.recv().unwrap();
    for _ in 0..100 {
        let dump = handle.dump();
        assert_eq!(dump.tasks().len(), 1, "{dump}");
    }
    drop(stop);
    thread.thread().unpark();
    thread.join().unwrap();
}

/// Each of two loops waits for the other one, and gives up.
#[test]
fn loops_that_dump_each_other_continue() {
    let barrier = Arc::new(Barrier::new(2));
    let threads = [Arc::clone(&barrier), barrier].map(|barrier| {
        let (thread, _) = start(async move || {
            barrier.wait();
            assert!(all().len() >= 2);
            barrier.wait();
        });
        thread
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The destructors of tasks run while their runtime is dropped.
#[test]
fn destructor_of_a_task_dumps_its_runtime() {
    struct Dumps(mpsc::Sender<bool>);
    impl Drop for Dumps {
        fn drop(&mut self) {
            let dump = Handle::current().dump();
            let number = dump.metrics().runtime_number();
            let is_listed = metrics::all()
                .iter()
                .any(|one| one.runtime_number() == number);
            let has_answered = matches!(dump.content(), Content::Tasks(_));
            self.0.send(has_answered && is_listed).unwrap();
        }
    }
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for send in [send.clone(), send] {
            let dumps = Dumps(send);
            let task = async move {
                let _dumps = dumps;
                pending::<()>().await;
            };
            task::spawn(task).detach();
        }
        task::yield_now().await;
    });
    drop(runtime);
    assert_eq!(receive.iter().collect::<Vec<_>>(), [true, true]);
}

#[compio::test]
async fn ending_task_is_not_omitted_from_a_dump() {
    struct Dumps(mpsc::Sender<RuntimeDump>);
    impl Drop for Dumps {
        fn drop(&mut self) {
            self.0.send(Handle::current().dump()).unwrap();
        }
    }
    let (send, receive) = mpsc::channel();
    let dumps = Dumps(send);
    let ending = task::spawn(async move {
        let _dumps = dumps;
        pending::<()>().await;
    });
    task::yield_now().await;
    ending.abort();
    assert!(ending.await.unwrap_err().is_cancelled());
    let dump = receive.recv().unwrap();
    let Content::Tasks(tasks) = dump.content() else {
        panic!("{dump}");
    };
    assert_eq!((tasks.tasks.len(), tasks.omitted), (0, 0));
}
