//! Time limits, and other failures.

use std::{convert::Infallible, error::Error as _, future::pending, io, io::Write, time::Duration};

use compio::{
    net::{PollStream, TcpStream},
    time::sleep,
};
use compio_http::{
    Client,
    client::{Connect, Connected},
};
use hyper::Uri;

use super::peer::{Peer, never_answers, read_request, receive, says};
use crate::support::run;

const SHORT: Duration = Duration::from_millis(50);

struct Never;

impl Connect for Never {
    type Stream = PollStream<TcpStream>;

    async fn connect(&self, _: &Uri) -> io::Result<Connected<Self::Stream>> {
        pending::<Infallible>().await;
        unreachable!()
    }
}

#[test]
fn connection_that_takes_too_long_is_an_error() {
    run(async {
        let client = Client::builder()
            .connector(Never)
            .connect_timeout(SHORT)
            .connections_per_host(1)
            .build();
        // The second one has the place of the first one.
        for _ in 0..2 {
            let error = client.get("http://a/").send().await.unwrap_err();
            assert!(error.is_timeout() && error.is_connect(), "{error:?}");
        }
        assert_eq!(
            io::Error::from(client.get("http://a/").send().await.unwrap_err()).kind(),
            io::ErrorKind::TimedOut
        );
    });
}

#[test]
fn server_that_never_answers_is_an_error() {
    for is_total in [true, false] {
        let (peer, events) = never_answers();
        run(async {
            let client = Client::builder();
            let client = if is_total {
                client.timeout(SHORT)
            } else {
                client.read_timeout(SHORT)
            };
            let client = client.build();
            let error = client.get(peer.url("/")).send().await.unwrap_err();
            assert!(error.is_timeout() && !error.is_connect(), "{error:?}");
            let (_, events) = receive(events).await;
            // The connection was closed.
            receive(events).await;
        });
    }
}

#[test]
fn body_that_stops_is_an_error_of_the_body() {
    for is_total in [true, false] {
        let peer = Peer::start(|_, stream| {
            read_request(stream);
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
            stream.write_all(head.as_bytes()).unwrap();
            assert!(read_request(stream).is_none());
        });
        run(async {
            let request = Client::new().get(peer.url("/"));
            let request = if is_total {
                request.timeout(10 * SHORT)
            } else {
                request.read_timeout(SHORT)
            };
            let mut response = request.send().await.unwrap();
            assert_eq!(response.content_length(), Some(10));
            assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
            assert!(response.chunk().await.unwrap_err().is_timeout());
            // The limit has closed the connection: the peer ends.
            assert!(response.chunk().await.unwrap().is_none());
            compio::task::spawn_blocking(|| drop(peer)).await.unwrap();
        });
    }
}

/// The next bytes are always there when they are read.
#[test]
fn body_that_is_read_slowly_ends_with_the_timeout_of_the_request() {
    let peer = Peer::start(|_, stream| {
        read_request(stream);
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    run(async {
        let limit = 10 * SHORT;
        let request = Client::new().get(peer.url("/")).timeout(limit);
        let mut response = request.send().await.unwrap();
        response.chunk().await.unwrap().unwrap();
        sleep(limit).await;
        let error = response.chunk().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        // The limit has closed the connection: the peer ends.
        assert!(response.chunk().await.unwrap().is_none());
        compio::task::spawn_blocking(|| drop(peer)).await.unwrap();
    });
}

#[test]
fn refused_connection_is_an_error_with_its_source() {
    let address = compio_testkit::socket::deserted();
    run(async {
        let sent = Client::new().get(format!("http://{address}/")).send();
        let error = sent.await.unwrap_err();
        assert!(error.is_connect() && !error.is_timeout(), "{error:?}");
        let source = error.source().unwrap().downcast_ref::<io::Error>();
        assert_eq!(source.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            io::Error::from(error).kind(),
            io::ErrorKind::ConnectionRefused
        );
    });
}

#[test]
fn invalid_requests_are_not_sent() {
    run(async {
        let client = Client::new();
        let urls = [
            "/path",
            "example.com",
            "http://user:password@example.com/",
            "http://a b/",
        ];
        for url in urls {
            let error = client.get(url).send().await.unwrap_err();
            assert!(error.is_builder(), "{url}: {error:?}");
        }
        let error = client.get("http://a/").header("name", "a\nb").send().await;
        assert!(error.unwrap_err().is_builder());
        let error = client
            .method(hyper::Method::CONNECT, "http://a/")
            .send()
            .await;
        assert!(error.unwrap_err().is_builder());
        let error = client.get("https://a/").send().await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
fn statuses_are_errors_if_wanted() {
    let peer = says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    run(async {
        let response = Client::new().get(peer.url("/")).send().await.unwrap();
        assert_eq!(response.status(), 404);
        let error = response.error_for_status().unwrap_err();
        assert_eq!(error.status().unwrap(), 404);
    });
}

#[test]
fn response_that_is_no_http_is_an_error() {
    for response in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ] {
        let peer = says(response);
        run(async {
            let result = Client::new().get(peer.url("/")).send().await;
            assert!(result.unwrap_err().is_request(), "{response}");
        });
    }
}

#[test]
fn body_that_is_cut_off_is_an_error() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let peer = Peer::start(move |_, stream| {
            read_request(stream);
            stream.write_all(response.as_bytes()).unwrap();
        });
        run(async {
            let response = Client::new().get(peer.url("/")).send().await.unwrap();
            assert!(response.bytes().await.unwrap_err().is_body());
        });
    }
}
