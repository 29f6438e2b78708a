//! HTTP/2 with prior knowledge, and as a connector has negotiated.

use std::{cell::Cell, convert::Infallible, io, pin::Pin, rc::Rc, sync::mpsc, time::Duration};

use bytes::Bytes;
use compio::{
    event::Event,
    net::{PollStream, TcpStream},
    task,
};
use compio_http::{
    Client, RequestBody,
    client::{Connect, Connected},
};
use http_body_util::Full;
use hyper::{Request, Response, Uri, Version, service::Service};

use super::peer::receive;
use crate::support::{Running, run, start};

type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>>>>;

/// Each connection has a clone, which answers with its number.
struct Numbered<F> {
    connections: Rc<Cell<usize>>,
    number: usize,
    wait: Rc<F>,
}

impl<F> Clone for Numbered<F> {
    fn clone(&self) -> Self {
        let number = self.connections.get();
        self.connections.set(number + 1);
        Self {
            connections: Rc::clone(&self.connections),
            number,
            wait: Rc::clone(&self.wait),
        }
    }
}

impl<F: AsyncFn(String) + 'static> Service<Request<RequestBody>> for Numbered<F> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<RequestBody>) -> Answer {
        assert_eq!(request.version(), Version::HTTP_2);
        let (number, wait) = (self.number, Rc::clone(&self.wait));
        Box::pin(async move {
            wait(request.uri().path().to_owned()).await;
            Ok(Response::new(Full::new(number.to_string().into())))
        })
    }
}

/// Answers with the number of the connection, after `wait` with the path.
fn start_numbered<F: AsyncFn(String) + 'static>(
    wait: impl FnOnce() -> F + Send + 'static,
    idle: impl Into<Option<Duration>> + Send + 'static,
) -> Running {
    start(
        |http| http.idle_timeout(idle),
        || Numbered {
            connections: Rc::default(),
            number: 0,
            wait: Rc::new(wait()),
        },
    )
}

async fn get<C: Connect>(client: &Client<C>, server: &Running, path: &str) -> String {
    let url = format!("http://{}{path}", server.address);
    client.get(url).send().await.unwrap().text().await.unwrap()
}

struct Negotiated;

impl Connect for Negotiated {
    type Stream = PollStream<TcpStream>;

    async fn connect(&self, uri: &Uri) -> io::Result<Connected<Self::Stream>> {
        let stream = TcpStream::connect(uri.authority().unwrap().as_str()).await?;
        Ok(Connected::http2(PollStream::new(stream)?))
    }
}

/// No request is answered before all have arrived.
#[test]
fn requests_share_one_connection_at_the_same_time() {
    const REQUESTS: usize = 20;
    let barrier = || {
        let (arrived, all) = (Cell::new(0), Event::new());
        async move |_| {
            arrived.set(arrived.get() + 1);
            if arrived.get() == REQUESTS {
                all.handle().notify();
            }
            all.wait().await;
        }
    };
    let server = Rc::new(start_numbered(barrier, None));
    run(async {
        let client = Client::builder().http2_prior_knowledge().build();
        let tasks: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let (client, server) = (client.clone(), Rc::clone(&server));
                task::spawn(async move { get(&client, &server, "/").await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "0");
        }
    });
}

#[test]
fn connector_chooses_the_protocol() {
    let server = start_numbered(|| async |_| {}, None);
    run(async {
        let client = Client::builder().connector(Negotiated).build();
        for _ in 0..3 {
            assert_eq!(get(&client, &server, "/").await, "0");
        }
    });
}

#[test]
fn requests_share_the_connection_that_is_first() {
    let server = Rc::new(start_numbered(|| async |_| {}, None));
    run(async {
        let client = Client::builder().connector(Negotiated).build();
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (client, server) = (client.clone(), Rc::clone(&server));
                task::spawn(async move { get(&client, &server, "/").await })
            })
            .collect();
        let mut connections = std::collections::BTreeSet::new();
        for task in tasks {
            connections.insert(task.await.unwrap());
        }
        assert_eq!(connections.len(), 1);
    });
}

/// Reports its drop.
struct OnDrop(mpsc::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A handler of `/wait` reports its begin and its drop, and never answers.
fn start_waiting() -> (Running, mpsc::Receiver<()>) {
    let (send, events) = mpsc::channel();
    let wait = move || {
        async move |path: String| {
            if path == "/wait" {
                send.send(()).unwrap();
                let _dropped = OnDrop(send.clone());
                std::future::pending::<()>().await;
            }
        }
    };
    (start_numbered(wait, None), events)
}

#[test]
fn dropped_request_resets_its_stream_alone() {
    let (server, events) = start_waiting();
    let server = Rc::new(server);
    run(async {
        let client = Client::builder().http2_prior_knowledge().build();
        let (asking, asked) = (client.clone(), Rc::clone(&server));
        let request = task::spawn(async move { get(&asking, &asked, "/wait").await });
        let ((), events) = receive(events).await;
        request.abort();
        assert!(request.await.is_err());
        receive(events).await;
        assert_eq!(get(&client, &server, "/").await, "0");
    });
}

#[test]
fn drop_of_client_with_requests_in_progress_ends_its_connection() {
    let (server, events) = start_waiting();
    let server = Rc::new(server);
    run(async {
        let client = Client::builder().http2_prior_knowledge().build();
        let asked = Rc::clone(&server);
        let request = task::spawn(async move { get(&client, &asked, "/wait").await });
        let ((), events) = receive(events).await;
        request.abort();
        receive(events).await;
    });
}

#[test]
fn connection_that_the_server_has_ended_is_replaced() {
    let server = start_numbered(|| async |_| {}, Duration::from_millis(20));
    run(async {
        let client = Client::builder().http2_prior_knowledge().build();
        assert_eq!(get(&client, &server, "/").await, "0");
        // Each request has an answer, also if it meets the end of a connection.
        while get(&client, &server, "/").await == "0" {
            compio::time::sleep(Duration::from_millis(40)).await;
        }
    });
}

#[test]
fn idle_connection_ends_after_its_time() {
    let server = start_numbered(|| async |_| {}, None);
    run(async {
        let client = Client::builder()
            .http2_prior_knowledge()
            .idle_timeout(Duration::from_millis(20))
            .build();
        assert_eq!(get(&client, &server, "/").await, "0");
        while get(&client, &server, "/").await == "0" {
            compio::time::sleep(Duration::from_millis(40)).await;
        }
    });
}

#[test]
fn large_bodies_arrive_in_both_directions() {
    let server = crate::support::start_echo(|http| http);
    run(async {
        let client = Client::builder().http2_prior_knowledge().build();
        let body = Bytes::from(vec![b'x'; 4 << 20]);
        let request = client.post(format!("http://{}/", server.address));
        let response = request.body(body.clone()).send().await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        let answer = response.bytes().await.unwrap();
        assert!(answer[7..] == body);
    });
}
