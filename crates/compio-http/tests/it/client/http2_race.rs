//! An HTTP/2 server that refuses a stream, or closes its connection, while a request is on its way.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use compio::{
    net::{PollStream, TcpListener, TcpStream},
    task::{self, AbortOnDropHandle},
};
use compio_http::{Client, client::Error};
use h2::{Reason, server::Connection};
use hyper::{Method, Response};

use crate::support::run;

/// The end of the second request of the first connection.
#[derive(Debug, Clone, Copy)]
enum End {
    Refuse,
    Reset,
    /// GOAWAY does not say whether the request was processed.
    GoAway,
    Close,
}

type Log = Rc<RefCell<Vec<String>>>;

/// Answers each request with the number of its connection, except for the second one.
async fn serve(
    mut connection: Connection<PollStream<TcpStream>, Bytes>,
    number: usize,
    end: End,
    log: Log,
) {
    let mut requests = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let line = format!("{} {}", request.method(), request.uri().path());
        log.borrow_mut().push(line);
        requests += 1;
        if number == 0 && requests == 2 {
            match end {
                End::Refuse => respond.send_reset(Reason::REFUSED_STREAM),
                End::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
                End::GoAway => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                End::Close => return,
            }
            continue;
        }
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(number.to_string().into(), true).unwrap();
    }
}

async fn start(end: End) -> (String, Log, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let served = Rc::clone(&log);
    let server = task::spawn(async move {
        let mut tasks = task::JoinSet::new();
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = PollStream::new(stream).unwrap();
            let log = Rc::clone(&served);
            tasks.spawn(async move {
                let connection = h2::server::handshake(stream).await.unwrap();
                serve(connection, number, end, log).await;
            });
        }
    });
    (url, log, AbortOnDropHandle::new(server))
}

async fn ask(client: &Client, method: Method, url: String) -> Result<String, Error> {
    client.method(method, url).send().await?.text().await
}

async fn check(end: End, method: Method, expected: Option<&str>) {
    let (url, log, _server) = start(end).await;
    let client = Client::builder().http2_prior_knowledge().build();
    let first = ask(&client, Method::GET, format!("{url}/first")).await;
    assert_eq!(first.unwrap(), "0");
    let second = ask(&client, method.clone(), format!("{url}/second")).await;
    let mut lines = vec!["GET /first".to_owned(), format!("{method} /second")];
    match expected {
        Some(number) => {
            assert_eq!(second.unwrap(), number);
            lines.push(format!("{method} /second"));
        }
        None => {
            let error = second.unwrap_err();
            assert!(error.is_request(), "{error:?}");
        }
    }
    assert_eq!(*log.borrow(), lines, "{end:?}");
}

#[test]
fn idempotent_request_is_sent_again() {
    run(async {
        // The connection is still good.
        check(End::Refuse, Method::GET, Some("0")).await;
        check(End::GoAway, Method::GET, Some("1")).await;
        check(End::Close, Method::PUT, Some("1")).await;
    });
}

#[test]
fn post_is_not_sent_again() {
    run(async {
        for end in [End::Refuse, End::GoAway, End::Close] {
            check(end, Method::POST, None).await;
        }
    });
}

#[test]
fn request_that_has_failed_is_not_sent_again() {
    run(async {
        check(End::Reset, Method::GET, None).await;
    });
}
