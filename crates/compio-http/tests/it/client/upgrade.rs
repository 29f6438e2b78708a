//! Connections that leave HTTP.

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{PollStream, TcpStream},
};
use compio_http::{Client, upgrade::into_stream};
use hyper::service::service_fn;

use crate::{
    support::{run, start},
    upgrade::switch,
};

#[test]
fn upgraded_connection_outlives_the_client() {
    let server = start(|http| http, || service_fn(switch));
    run(async {
        let client = Client::builder().connections_per_host(1).build();
        for _ in 0..2 {
            let request = client.get(format!("http://{}/", server.address));
            let request = request.header("connection", "upgrade");
            let response = request.header("upgrade", "five").send().await.unwrap();
            assert_eq!(response.status(), 101);
            let upgraded = hyper::upgrade::on(response.into_hyper()).await.unwrap();
            let (stream, first) = into_stream::<PollStream<TcpStream>>(upgraded).unwrap();
            assert!(first.is_empty());
            let mut stream = stream.into_inner();
            // It does not count as a connection of the pool: the second one has its place.
            stream.write_all("hello").await.0.unwrap();
            let (read, bytes) = stream.read_exact(vec![0; 5]).await;
            read.unwrap();
            assert_eq!(bytes, b"hello");
        }
    });
}
