//! The client as a service.

use bytes::Bytes;
use compio_http::Client;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use tower::{Service, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;

use super::peer::{Peer, read_request};
use crate::support::run;

/// "hello" by gzip.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86, 0xa6,
    0x10, 0x36, 0x05, 0, 0, 0,
];

#[test]
fn layer_decodes_responses() {
    let peer = Peer::start(|_, stream| {
        let (head, _) = read_request(stream).unwrap();
        assert!(head.contains("accept-encoding: gzip"), "{head}");
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            GZIP.len()
        );
        let response = [head.as_bytes(), GZIP].concat();
        std::io::Write::write_all(stream, &response).unwrap();
    });
    run(async {
        let mut client = ServiceBuilder::new()
            .layer(DecompressionLayer::new())
            .service(Client::new());
        let request = Request::get(peer.url("/")).body(Full::<Bytes>::default());
        let response = client.call(request.unwrap()).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    });
}
