//! Cancel tokens: cancellation without loss.

use std::time::Duration;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    runtime::{CancelToken, Runtime},
    task,
    time::{cancel_after, sleep},
};

use crate::support::{First, bounded, run, select, tcp_pair};

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn clones_of_cancelled_token_report_it() {
    let token = CancelToken::new();
    let clone = token.clone();
    assert!(!token.is_cancelled() && !clone.is_cancelled());
    token.cancel();
    assert!(token.is_cancelled() && clone.is_cancelled());
}

#[test]
fn a_cancel_after_completion_has_no_effect() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        server.write_all("soon").await.0.unwrap();
        let (result, buffer) =
            cancel_after(Duration::from_secs(60), client.read_exact([0; 4])).await;
        result.unwrap();
        assert_eq!(&buffer, b"soon");
    });
}

#[test]
fn operations_begun_after_the_cancel_are_refused() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        let token = CancelToken::new();
        let reads = token.run(async {
            let (first, buffer) = client.read(Vec::with_capacity(10)).await;
            let (second, _) = client.read(buffer).await;
            (first.is_err(), second.is_err())
        });
        let canceller = token.clone();
        let cancelled = task::spawn(async move { canceller.cancel() });
        assert_eq!(reads.await, (true, true));
        cancelled.await.unwrap();
        token.cancelled().await;
    });
}

#[test]
fn a_spawned_task_and_a_timer_are_not_cancelled() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let token = CancelToken::new();
        token.cancel();
        let mut task = None;
        token
            .run(async {
                sleep(MOMENT).await;
                let read = async move { client.read(Vec::with_capacity(10)).await };
                task = Some(task::spawn(read));
            })
            .await;
        let task = task.expect("spawned");
        server.write_all("x").await.0.unwrap();
        assert_eq!(task.await.unwrap().0.unwrap(), 1);
    });
}

#[test]
fn waiting_for_a_cancel_can_be_dropped() {
    run(async {
        let token = CancelToken::new();
        let first = select(token.cancelled(), sleep(MOMENT)).await;
        assert_eq!(first, First::Right(()));
        token.cancel();
        bounded(token.cancelled()).await;
    });
}

#[test]
fn a_zero_timeout_cancels_a_read_and_returns_a_ready_output() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        for _ in 0..100 {
            let (result, buffer) = cancel_after(Duration::ZERO, client.read(vec![1; 3])).await;
            result.unwrap_err();
            assert_eq!(buffer, [1; 3]);
        }
        assert_eq!(cancel_after(Duration::ZERO, async { 7 }).await, 7);
        drop(server);
    });
}

#[test]
fn a_future_may_cancel_itself() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        let token = CancelToken::new();
        let handle = token.clone();
        let (result, buffer) = token
            .run(async move {
                handle.cancel();
                handle.cancelled().await;
                client.read(vec![1; 3]).await
            })
            .await;
        result.unwrap_err();
        assert_eq!(buffer, [1; 3]);
    });
}

#[test]
fn a_nested_runtime_is_not_cancelled() {
    run(async {
        let token = CancelToken::new();
        token.cancel();
        let read = token.run(async {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let (mut client, mut server) = tcp_pair().await;
                server.write_all("x").await.0.unwrap();
                client.read(Vec::with_capacity(10)).await.0.unwrap()
            })
        });
        assert_eq!(read.await, 1);
    });
}
