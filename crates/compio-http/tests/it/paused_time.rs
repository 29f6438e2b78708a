//! The limits of servers and clients in paused time.

use std::{convert::Infallible, time::Duration};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn,
    time::{now, sleep},
};
use compio_http::{Http, rt::RuntimeTimer};
use http_body_util::Full;
use hyper::{Response, body::Bytes, rt::Timer, service::service_fn};

const HOUR: Duration = Duration::from_secs(3600);

/// The address of a server with these limits, in a task.
async fn start(http: Http) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(async |_request| {
        sleep(24 * HOUR).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
    });
    spawn(async move { http.serve(listener, service).await }).detach();
    address
}

#[compio::test(start_paused)]
async fn server_limits_pass_exactly_in_paused_time() {
    let http = Http::new().head_timeout(HOUR).idle_timeout(2 * HOUR);
    let mut stream = TcpStream::connect(start(http).await).await.unwrap();
    let begin = now();
    stream
        .write_all("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .0
        .unwrap();
    let mut answer = vec![0; 15];
    (_, answer) = stream.read_exact(answer).await;
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    assert_eq!(now() - begin, 24 * HOUR);
    // The idle limit, after the response.
    let (rest, _) = stream.read_to_end(Vec::new()).await;
    rest.unwrap();
    assert_eq!(now() - begin, 26 * HOUR);
}

#[compio::test(start_paused)]
async fn head_limit_passes_exactly_in_paused_time() {
    let address = start(Http::new().head_timeout(HOUR)).await;
    sleep(24 * HOUR).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begin = now();
    stream.write_all("GET / HT").await.0.unwrap();
    let (rest, _) = stream.read_to_end(Vec::new()).await;
    drop(rest);
    assert_eq!(now() - begin, HOUR);
}

#[compio::test(start_paused)]
async fn timer_of_hyper_reads_the_paused_clock() {
    let begin = RuntimeTimer.now();
    RuntimeTimer.sleep(HOUR).await;
    assert_eq!(RuntimeTimer.now() - begin, HOUR);
    assert_eq!(RuntimeTimer.now(), now());
}
