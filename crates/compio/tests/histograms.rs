//! Latencies of operations and times of polls. A process of its own: a recording is for all runtimes.

use std::{
    io::Write,
    net::TcpListener,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use compio::{
    io::AsyncReadExt,
    metrics::{self, Histogram, OpKind, TextFormat},
    net::TcpStream,
    op::Nop,
    runtime::{self, Handle, Runtime},
    task,
    time::{Duration, sleep},
};

/// Tests run one at a time.
static SERIAL: Mutex<()> = Mutex::new(());

/// Runs the future in a runtime that records from its first turn on.
fn record<T>(future: impl Future<Output = T>) -> T {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let _recording = metrics::record_histograms();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        sleep(Duration::from_millis(1)).await;
        future.await
    })
}

fn check(histogram: &Histogram, count: u64, max: Duration) {
    assert_eq!(histogram.count(), count, "{histogram:?}");
    assert!(histogram.max() <= max + max / 50, "{histogram:?}");
    assert!(histogram.sum() <= max * count as u32, "{histogram:?}");
}

#[test]
fn latency_of_a_receive_contains_its_wait() {
    const PAUSE: Duration = Duration::from_millis(20);
    record(async {
        let metrics = Handle::current().metrics();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut peer = listener.accept().unwrap().0;
        task::yield_now().await;
        let begin = Instant::now();
        let sender = thread::spawn(move || {
            thread::sleep(PAUSE);
            peer.write_all(b"x").unwrap();
            peer
        });
        stream.read_exact([0; 1]).await.0.unwrap();
        sleep(Duration::from_millis(1)).await;
        let elapsed = begin.elapsed();
        let latencies = metrics.latencies(OpKind::Recv);
        check(&latencies, latencies.count(), elapsed + PAUSE);
        assert!(latencies.max() >= PAUSE, "{latencies:?}");
        drop(sender.join().unwrap());
    });
}

#[test]
fn every_completed_operation_is_in_its_histogram() {
    record(async {
        let metrics = Handle::current().metrics();
        let before = metrics.operations(OpKind::Nop).completed;
        for _ in 0..1000 {
            runtime::submit(Nop::new()).await.unwrap();
        }
        let completed = metrics.operations(OpKind::Nop).completed - before;
        // The recording ends its turn first.
        sleep(Duration::from_millis(1)).await;
        let count = metrics.latencies(OpKind::Nop).count();
        assert!(count >= completed, "{count} of {completed}");
        let all = metrics.operations(OpKind::Nop).completed;
        assert!(count <= all, "{count} of {all}");
    });
}

#[test]
fn time_of_a_poll_is_recorded() {
    const BUSY: Duration = Duration::from_millis(30);
    record(async {
        let metrics = Handle::current().metrics();
        let before = metrics.poll_times();
        task::spawn(async {
            thread::sleep(BUSY);
            task::yield_now().await;
        })
        .await
        .unwrap();
        sleep(Duration::from_millis(1)).await;
        let after = metrics.poll_times();
        assert!(after.count() >= before.count() + 2);
        assert!(after.max() >= BUSY, "{after:?}");
        let long = after.count() - after.count_up_to(BUSY / 2);
        assert_eq!(long, 1, "{after:?}");
    });
}

#[test]
fn nothing_is_recorded_without_a_request() {
    let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        task::spawn_blocking(|| ()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    });
    assert_eq!(metrics.latencies(OpKind::Blocking).count(), 0);
    assert_eq!(metrics.poll_times().count(), 0);
    // A recording that ends keeps its contents.
    let recording = metrics::record_histograms();
    runtime.block_on(sleep(Duration::from_millis(1)));
    runtime.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
    runtime.block_on(sleep(Duration::from_millis(1)));
    drop(recording);
    let recorded = metrics.latencies(OpKind::Blocking).count();
    assert_eq!(recorded, 1);
    runtime.block_on(sleep(Duration::from_millis(1)));
    runtime.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
    runtime.block_on(sleep(Duration::from_millis(1)));
    assert_eq!(metrics.latencies(OpKind::Blocking).count(), recorded);
    drop(serial);
}

#[test]
fn reader_on_another_thread_sees_growing_counts() {
    record(async {
        let metrics = Handle::current().metrics();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let reader = thread::spawn(move || {
            let mut last = 0;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let count = metrics.latencies(OpKind::Nop).count();
                assert!(count >= last, "{count} after {last}");
                last = count;
            }
        });
        for _ in 0..20_000 {
            runtime::submit(Nop::new()).await.unwrap();
        }
        drop(stop);
        reader.join().unwrap();
    });
}

#[test]
fn text_has_cumulative_buckets() {
    record(async {
        task::spawn_blocking(|| ()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        let text = metrics::text(TextFormat::OpenMetrics);
        let number = Handle::current().metrics().runtime_number();
        let label = format!("runtime=\"{number}\"");
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("compio_operation_latency_seconds_bucket"))
            .filter(|line| line.contains(&label) && line.contains("kind=\"blocking\""))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(buckets.len(), 22, "{text}");
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&1));
        assert!(text.contains("# TYPE compio_task_poll_duration_seconds histogram\n"));
    });
}
