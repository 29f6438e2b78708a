//! Connections over TLS.

use std::io;

use compio::{net::TcpListener, task};
use compio_testkit::{future::both, tls::Authority};
use compio_tls::{TlsAcceptor, TlsConnector};
use compio_ws::{Config, Message, accept, client, connect_tls};

use crate::{
    messages::{LENS, echo_all},
    support::{run, tcp_pair},
};

/// A client that trusts the server `localhost`.
fn tls() -> (TlsConnector, TlsAcceptor) {
    let authority = Authority::new();
    let server = authority.issue(&["localhost"]).server();
    (authority.client().into(), server.into())
}

#[test]
fn messages_of_all_lengths_return_over_tls() {
    run(async {
        let (connector, acceptor) = tls();
        let (left, right) = tcp_pair().await;
        let connecting = async {
            let tls = connector.connect("localhost", left).await.unwrap();
            client(tls, "wss://localhost/").await.unwrap().0
        };
        let accepting = async {
            accept(acceptor.accept(right).await.unwrap())
                .await
                .unwrap()
                .0
        };
        let (client, server) = both(connecting, accepting).await;
        echo_all(client, server, &LENS).await;
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_client_connects_to_wss_and_refuses_an_untrusted_server() {
    run(async {
        let (trusting, acceptor) = tls();
        let (other, _) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = task::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "it is not trusted");
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let (mut socket, _) = accept(stream).await.unwrap();
            socket.send("secret").await.unwrap();
            assert!(socket.recv().await.unwrap().unwrap().is_close());
            socket.close(1000.into(), "").await.unwrap();
        });
        let error = connect_tls(&url, &other, Config::new()).await.unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidData);
        let (mut socket, _) = connect_tls(&url, &trusting, Config::new()).await.unwrap();
        let message = socket.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("secret"));
        socket.close(1000.into(), "").await.unwrap();
        serving.await.unwrap();
    });
}
