//! Host names, addresses, and Unix sockets.

use std::{io, net::SocketAddr};

use compio::{
    net::{Connector, Resolve, TcpListener},
    task,
};
use compio_http::{Client, client::HttpConnector, serve};
use compio_testkit::process::skip;
use hyper::service::service_fn;

use crate::support::{echo, run};

async fn ask(address: &str, url: impl FnOnce(u16) -> String) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return skip(
                "host_is_a_name_or_an_address",
                &format!("{address}: {error}"),
            );
        }
    };
    let port = listener.local_addr().unwrap().port();
    let server = task::spawn(async move { serve(listener, service_fn(echo)).await });
    let response = Client::new().get(url(port)).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "GET / ");
    server.abort();
}

#[test]
fn host_is_a_name_or_an_address() {
    run(async {
        ask("127.0.0.1:0", |port| format!("http://127.0.0.1:{port}/")).await;
        ask("127.0.0.1:0", |port| format!("http://localhost:{port}/")).await;
        ask("127.0.0.1:0", |port| format!("HTTP://LocalHost:{port}/")).await;
        ask("[::1]:0", |port| format!("http://[::1]:{port}/")).await;
    });
}

struct Fixed(SocketAddr);

impl Resolve for Fixed {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!((host, port), ("db.internal", 80));
        Ok(vec![self.0])
    }
}

#[test]
fn names_are_resolved_by_a_given_resolver() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let resolver = Fixed(listener.local_addr().unwrap());
        let server = task::spawn(async move { serve(listener, service_fn(echo)).await });
        let connector = HttpConnector::with_connector(Connector::with_resolver(resolver));
        let client = Client::builder().connector(connector).build();
        let response = client.get("http://db.internal/a").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "GET /a ");
        server.abort();
    });
}

#[cfg(unix)]
#[test]
fn unix_socket_serves_all_hosts() {
    use compio::net::UnixListener;
    use compio_http::client::UnixConnector;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    run(async {
        let listener = UnixListener::bind(&path).unwrap();
        let server = task::spawn(async move { serve(listener, service_fn(echo)).await });
        let connector = UnixConnector::new(&path);
        let client = Client::builder().connector(connector).build();
        for host in ["a", "b"] {
            let sent = client.get(format!("http://{host}/")).send().await;
            assert_eq!(sent.unwrap().text().await.unwrap(), "GET / ");
        }
        server.abort();
    });
}
