//! Futures that are dropped at each await.

use compio::task::{spawn, yield_now};
use compio_testkit::buffer::pattern;
use compio_ws::{CloseCode, Message};

use crate::support::{attempt, in_memory, run};

/// Each call is polled once and dropped, so that each of its awaits is the last one of some call.
#[test]
fn messages_arrive_whole_and_in_order_although_each_future_is_dropped() {
    run(async {
        for capacity in [1, 3, 100, 5000] {
            let (mut client, mut server) = in_memory(capacity);
            let mut received = Vec::new();
            let lens = [0, 5, 200, 9000, 70_000, 3];
            let (mut next, mut is_accepted) = (0, false);
            while received.len() < lens.len() {
                if next < lens.len() && !is_accepted {
                    // A fed message is accepted if the future is ready.
                    is_accepted = attempt(client.feed(pattern(lens[next]))).is_some_and(|fed| {
                        fed.unwrap();
                        true
                    });
                }
                if is_accepted {
                    (next, is_accepted) = (next + 1, false);
                }
                if let Some(flushed) = attempt(client.flush()) {
                    flushed.unwrap();
                }
                if let Some(message) = attempt(server.recv()) {
                    received.push(message.unwrap().unwrap());
                }
                yield_now().await;
            }
            for (message, len) in received.into_iter().zip(lens) {
                assert!(
                    message == Message::binary(pattern(len)),
                    "{len} of {capacity}"
                );
            }
        }
    });
}

#[test]
fn a_dropped_send_is_sent_by_the_next_receive() {
    run(async {
        let (mut client, mut server) = in_memory(10);
        assert!(attempt(client.send(pattern(1000))).is_none());
        let receiving = compio::task::spawn(async move { client.recv().await });
        let message = server.recv().await.unwrap().unwrap();
        assert!(message == Message::binary(pattern(1000)));
        server.send("thanks").await.unwrap();
        let answer = receiving.await.unwrap().unwrap().unwrap();
        assert_eq!(answer, Message::text("thanks"));
    });
}

#[test]
fn a_send_that_waits_for_room_is_not_sent_if_it_is_dropped() {
    run(async {
        let (mut client, mut server) = in_memory(10);
        assert!(attempt(client.send(pattern(1_000_000))).is_none());
        assert!(attempt(client.send("dropped")).is_none());
        assert!(attempt(client.feed("dropped, too")).is_none());
        let sending = compio::task::spawn(async move { client.send("sent").await });
        assert_eq!(server.recv().await.unwrap().unwrap().len(), 1_000_000);
        let message = server.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("sent"));
        sending.await.unwrap().unwrap();
    });
}

#[test]
fn a_close_whose_future_is_dropped_after_each_poll_completes() {
    run(async {
        for capacity in [1, 4, 100] {
            let (mut client, mut server) = in_memory(capacity);
            let (mut is_client_closed, mut messages) = (false, Vec::new());
            let mut is_server_ended = false;
            while !is_client_closed || !is_server_ended {
                if !is_client_closed {
                    let closed = attempt(client.close(CloseCode::Normal, "as agreed"));
                    is_client_closed = closed.is_some_and(|closed| {
                        closed.unwrap();
                        true
                    });
                }
                match attempt(server.recv()) {
                    Some(Some(message)) => messages.push(message.unwrap()),
                    Some(None) => is_server_ended = true,
                    None => {}
                }
                if is_server_ended && attempt(server.close(CloseCode::Normal, "")).is_some() {
                    break;
                }
                yield_now().await;
            }
            assert_eq!(messages.len(), 1, "{messages:?}");
            assert!(messages[0].is_close());
        }
    });
}

/// The receiving half waits for a message. It sends the rest of the dropped one.
#[test]
fn rest_of_a_dropped_send_leaves_by_the_other_half() {
    run(async {
        let (left, mut right) = in_memory(1024);
        let (mut sender, mut receiver) = left.split();
        let receiving = spawn(async move { receiver.recv().await });
        yield_now().await;
        let message = pattern(1 << 20);
        assert!(attempt(sender.send(message.clone())).is_none());
        let received = right.recv().await.unwrap().unwrap();
        assert!(received == Message::binary(message));
        right.send("answer").await.unwrap();
        let answer = receiving.await.unwrap().unwrap().unwrap();
        assert_eq!(answer, Message::text("answer"));
    });
}

/// The send waits for room behind a message that was fed, of which it has sent the beginning.
#[test]
fn rest_of_a_message_before_a_dropped_send_leaves_by_the_other_half() {
    run(async {
        let (left, mut right) = in_memory(1024);
        let (mut sender, mut receiver) = left.split();
        let receiving = spawn(async move { receiver.recv().await });
        yield_now().await;
        let message = pattern(1 << 20);
        sender.feed(message.clone()).await.unwrap();
        assert!(attempt(sender.send("dropped")).is_none());
        let received = right.recv().await.unwrap().unwrap();
        assert!(received == Message::binary(message));
        right.send("answer").await.unwrap();
        let answer = receiving.await.unwrap().unwrap().unwrap();
        assert_eq!(answer, Message::text("answer"));
    });
}
