//! Connections: their use for several requests, their limit, and their end.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use compio::task;
use compio_http::Client;

use super::peer::{Peer, answer, never_answers, numbers, read_request, receive};
use crate::support::run;

const SHORT: Duration = Duration::from_millis(50);

pub(super) async fn get(client: &Client, url: &str) -> String {
    client.get(url).send().await.unwrap().text().await.unwrap()
}

#[test]
fn requests_use_one_connection_in_turn() {
    let peer = numbers();
    run(async {
        let client = Client::new();
        for _ in 0..50 {
            assert_eq!(get(&client, &peer.url("/")).await, "0");
        }
    });
}

#[test]
fn requests_wait_for_connections_of_their_host() {
    let peer = numbers();
    let other = numbers();
    run(async {
        let client = Client::builder().connections_per_host(2).build();
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let client = client.clone();
                let url = if number % 2 == 0 {
                    peer.url("/")
                } else {
                    other.url("/")
                };
                task::spawn(async move { (number % 2, get(&client, &url).await) })
            })
            .collect();
        let mut connections = BTreeSet::new();
        for task in tasks {
            connections.insert(task.await.unwrap());
        }
        let all = [(0, "0"), (0, "1"), (1, "0"), (1, "1")];
        assert_eq!(connections, all.map(|(h, n)| (h, n.to_owned())).into());
    });
}

/// Answers a request after its permission.
pub(super) fn held() -> (Peer, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (arrived_send, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let peer = Peer::start(move |_, stream| {
        while let Some((head, _)) = read_request(stream) {
            arrived_send.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            answer(stream, head.split(' ').nth(1).unwrap());
        }
    });
    (peer, arrived, release)
}

#[test]
fn waiting_request_that_is_dropped_gives_up_its_turn() {
    let (peer, arrived, release) = held();
    run(async {
        let client = Client::builder().connections_per_host(1).build();
        let spawn = |path: &str| {
            let (client, url) = (client.clone(), peer.url(path));
            task::spawn(async move { get(&client, &url).await })
        };
        let first = spawn("/first");
        let ((), arrived) = receive(arrived).await;
        let dropped = spawn("/dropped");
        let last = spawn("/last");
        // Both wait in this order.
        task::yield_now().await;
        dropped.abort();
        assert!(dropped.await.is_err());
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), "/first");
        receive(arrived).await;
        release.send(()).unwrap();
        assert_eq!(last.await.unwrap(), "/last");
    });
}

#[test]
fn wait_for_a_connection_counts_as_time_of_the_request() {
    let (peer, arrived, release) = held();
    run(async {
        let client = Client::builder().connections_per_host(1).build();
        let (first, url) = (client.clone(), peer.url("/first"));
        let first = task::spawn(async move { get(&first, &url).await });
        receive(arrived).await;
        let second = client.get(peer.url("/second")).timeout(SHORT).send().await;
        assert!(second.unwrap_err().is_timeout());
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), "/first");
    });
}

#[test]
fn idle_connection_ends_after_its_time() {
    let (ended_send, ended) = mpsc::channel();
    let peer = Peer::start(move |number, stream| {
        while read_request(stream).is_some() {
            answer(stream, &number.to_string());
        }
        let _ = ended_send.send(number);
    });
    run(async {
        let client = Client::builder().idle_timeout(SHORT).build();
        assert_eq!(get(&client, &peer.url("/")).await, "0");
        let (number, _ended) = receive(ended).await;
        assert_eq!(number, 0);
        assert_eq!(get(&client, &peer.url("/")).await, "1");
    });
}

#[test]
fn dropped_request_closes_its_connection() {
    let (peer, events) = never_answers();
    run(async {
        let client = Client::new();
        let (asking, url) = (client.clone(), peer.url("/"));
        let request = task::spawn(async move { asking.get(url).send().await });
        let (_, events) = receive(events).await;
        request.abort();
        assert!(request.await.is_err());
        // The peer has read to the end.
        receive(events).await;
        drop(client);
    });
}

#[test]
fn dropped_response_closes_its_connection() {
    let (ended_send, ended) = mpsc::channel();
    let peer = Peer::start(move |number, stream| {
        if number > 0 {
            read_request(stream);
            return answer(stream, "another");
        }
        read_request(stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
        stream.write_all(head.as_bytes()).unwrap();
        assert!(read_request(stream).is_none());
        ended_send.send(()).unwrap();
    });
    run(async {
        let client = Client::new();
        let mut response = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
        drop(response);
        receive(ended).await;
        assert_eq!(get(&client, &peer.url("/")).await, "another");
    });
}

#[test]
fn drop_of_client_closes_idle_connections() {
    let (ended_send, ended) = mpsc::channel();
    let peer = Peer::start(move |_, stream| {
        while read_request(stream).is_some() {
            answer(stream, "");
        }
        let _ = ended_send.send(());
    });
    run(async {
        let client = Client::new();
        get(&client, &peer.url("/")).await;
        drop(client);
        receive(ended).await;
    });
}

#[test]
fn response_outlives_its_client() {
    let peer = Peer::start(|_, stream| {
        read_request(stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 4_000_000]).unwrap();
    });
    run(async {
        let response = Client::new().get(peer.url("/")).send().await.unwrap();
        task::yield_now().await;
        assert_eq!(response.bytes().await.unwrap().len(), 4_000_000);
    });
}

#[test]
fn client_is_used_by_two_runtimes_in_turn() {
    let peer = numbers();
    let client = Client::builder().connections_per_host(1).build();
    for number in ["0", "1"] {
        run(async {
            assert_eq!(get(&client, &peer.url("/")).await, number);
        });
    }
}
