//! A connection that the peer closes while a request is on its way.

use std::{
    collections::HashMap,
    net::TcpStream,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use compio_http::{Client, client::Error};
use hyper::{Method, Request};

use super::{
    bodies::Pieces,
    peer::{Peer, answer, read_request},
};
use crate::support::run;

type Log = Arc<Mutex<Vec<String>>>;

/// Answers the first request of each connection, reads a second one, and closes the connection instead of an answer.
fn closes_after_second_request() -> (Peer, Log) {
    let log = Log::default();
    let peer_log = Arc::clone(&log);
    let note = move |stream: &mut TcpStream| {
        let (head, body) = read_request(stream)?;
        let line = head.lines().next().unwrap();
        let line = line.strip_suffix(" HTTP/1.1").unwrap();
        let body = String::from_utf8(body).unwrap();
        peer_log.lock().unwrap().push(format!("{line} {body}"));
        Some(())
    };
    let peer = Peer::start(move |number, stream| {
        if note(stream).is_some() {
            answer(stream, &number.to_string());
            note(stream);
        }
    });
    (peer, log)
}

async fn send(client: &Client, method: Method, url: String) -> Result<String, Error> {
    let request = client.method(method, url).body("body");
    request.send().await?.text().await
}

#[test]
fn idempotent_request_is_sent_again() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (peer, log) = closes_after_second_request();
        run(async {
            // The repeated request takes the place of the connection that has ended.
            let client = Client::builder().connections_per_host(1).build();
            let first = send(&client, Method::GET, peer.url("/first")).await;
            assert_eq!(first.unwrap(), "0");
            let second = send(&client, method.clone(), peer.url("/second")).await;
            assert_eq!(second.unwrap(), "1");
        });
        drop(peer);
        let second = format!("{method} /second body");
        let expected = ["GET /first body", &second, &second];
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

#[test]
fn post_is_not_sent_again() {
    for method in [Method::POST, Method::PATCH] {
        let (peer, log) = closes_after_second_request();
        run(async {
            let client = Client::new();
            let first = send(&client, Method::GET, peer.url("/first")).await;
            assert_eq!(first.unwrap(), "0");
            let second = send(&client, method.clone(), peer.url("/second")).await;
            let error = second.unwrap_err();
            assert!(error.is_request() && !error.is_connect(), "{error:?}");
            assert!(error.as_hyper().unwrap().is_incomplete_message());
            // The connection has left the pool.
            let third = send(&client, Method::GET, peer.url("/third")).await;
            assert_eq!(third.unwrap(), "1");
        });
        drop(peer);
        let second = format!("{method} /second body");
        let expected = ["GET /first body", &second, "GET /third body"];
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

#[test]
fn body_that_is_a_stream_is_not_sent_again() {
    let (peer, _log) = closes_after_second_request();
    run(async {
        let client = Client::new();
        let first = send(&client, Method::GET, peer.url("/first")).await;
        assert_eq!(first.unwrap(), "0");
        let body = Pieces::with_length([Bytes::from("bo"), Bytes::from("dy")]);
        let second = Request::put(peer.url("/second")).body(body).unwrap();
        let error = client.request(second).await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
    });
}

#[test]
fn request_on_a_new_connection_is_not_sent_again() {
    let connections = Arc::new(Mutex::new(0));
    let count = Arc::clone(&connections);
    let peer = Peer::start(move |_, stream| {
        if read_request(stream).is_some() {
            *count.lock().unwrap() += 1;
        }
    });
    run(async {
        let result = send(&Client::new(), Method::GET, peer.url("/")).await;
        assert!(result.unwrap_err().is_request());
    });
    drop(peer);
    assert_eq!(*connections.lock().unwrap(), 1);
}

/// The close meets the next request at any time: before it, within it, or after it.
#[test]
fn close_race_loses_no_get_and_doubles_no_post() {
    let counts = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let peer_counts = Arc::clone(&counts);
    let peer = Peer::start(move |_, stream| {
        if let Some((head, _)) = read_request(stream) {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            *peer_counts.lock().unwrap().entry(path).or_default() += 1;
            answer(stream, "");
        }
    });
    let mut answered = Vec::new();
    run(async {
        let client = Client::new();
        for number in 0..200 {
            let get = send(&client, Method::GET, peer.url(&format!("/get{number}")));
            assert_eq!(get.await.unwrap(), "");
            let path = format!("/post{number}");
            let post = send(&client, Method::POST, peer.url(&path)).await;
            match post {
                Ok(_) => answered.push(path),
                Err(error) => assert!(error.is_request(), "{error:?}"),
            }
        }
    });
    drop(peer);
    let counts = counts.lock().unwrap();
    for (path, count) in counts.iter() {
        assert!(path.starts_with("/get") || *count == 1, "{path}: {count}");
    }
    for path in answered {
        assert_eq!(counts[&path], 1);
    }
}
