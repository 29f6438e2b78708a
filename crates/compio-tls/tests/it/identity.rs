//! Certificates, names, protocols, and the errors of peers that are not acceptable.

use std::{io, sync::Arc};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use compio_testkit::{check::check_kind, future::both};
use compio_tls::{
    TlsConnector, is_plain_http, provider,
    rustls::{CertificateError, Error, ServerConfig, server::WebPkiClientVerifier},
};

use crate::support::{Authority, Pair, client_with, run, shared, tcp_pair};

/// The error of a client that connects to a server with this name.
async fn client_error(pair: Pair) -> Error {
    let (client, _) = pair.attempt(tcp_pair().await).await;
    let error = client.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    error.downcast().expect("an error of rustls")
}

#[test]
fn certificate_for_another_host_is_refused() {
    run(async {
        let authority = Authority::new();
        let error = client_error(Pair {
            connector: authority.client().into(),
            acceptor: authority.issue(&["other.example"]).server().into(),
        })
        .await;
        let text = error.to_string();
        assert!(
            text.contains("localhost") && text.contains("other.example"),
            "{text}"
        );
    });
}

#[test]
fn expired_certificate_is_refused() {
    run(async {
        let authority = Authority::new();
        let identity = authority.issue_with(&["localhost"], |params| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        let error = client_error(Pair {
            connector: authority.client().into(),
            acceptor: identity.server().into(),
        })
        .await;
        assert!(
            matches!(
                error,
                Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. }
                )
            ),
            "{error}"
        );
    });
}

#[test]
fn certificate_of_an_unknown_authority_is_refused() {
    run(async {
        let error = client_error(Pair {
            connector: Authority::new().client().into(),
            acceptor: Authority::new().issue(&["localhost"]).server().into(),
        })
        .await;
        assert_eq!(
            error,
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        );
    });
}

#[test]
fn name_that_is_no_host_is_invalid_input() {
    run(async {
        let (client, _server) = tcp_pair().await;
        let connector = TlsConnector::from(Authority::new().client());
        check_kind(
            connector.connect("not a host", client).await,
            io::ErrorKind::InvalidInput,
        );
    });
}

#[test]
fn ip_address_is_a_name() {
    run(async {
        let authority = Authority::new();
        let acceptor = compio_tls::TlsAcceptor::from(authority.issue(&["127.0.0.1"]).server());
        let connector = TlsConnector::from(authority.client());
        let (client, server) = tcp_pair().await;
        let (client, server) = both(
            connector.connect("127.0.0.1", client),
            acceptor.accept(server),
        )
        .await;
        client.unwrap();
        assert_eq!(server.unwrap().server_name(), None);
    });
}

/// A server that requires certificates of its clients.
fn strict(authority: &Authority) -> ServerConfig {
    let roots = Arc::new(authority.roots());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let identity = authority.issue(&["localhost"]);
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(identity.chain(), identity.key())
        .unwrap()
}

#[test]
fn client_certificate_is_verified_and_known_to_the_server() {
    run(async {
        let authority = Authority::new();
        let identity = authority.issue(&["client.example"]);
        let pair = Pair {
            connector: client_with(&authority, &identity).into(),
            acceptor: strict(&authority).into(),
        };
        let (mut client, mut server) = pair.over_tcp().await;
        assert_eq!(server.peer_certificates().unwrap(), identity.chain());
        client.write_all("hello").await.0.unwrap();
        assert_eq!(server.read_exact([0; 5]).await.1, *b"hello");
    });
}

#[test]
fn client_without_an_acceptable_certificate_is_refused_with_an_alert() {
    run(async {
        let authority = Authority::new();
        let stranger = Authority::new().issue(&["client.example"]);
        for (config, alert) in [
            (authority.client(), "CertificateRequired"),
            (client_with(&authority, &stranger), "UnknownCA"),
        ] {
            let pair = Pair {
                connector: config.into(),
                acceptor: strict(&authority).into(),
            };
            let (client, server) = pair.attempt(tcp_pair().await).await;
            check_kind(server, io::ErrorKind::InvalidData);
            // TLS 1.3: the client has completed the handshake before it reads the alert.
            let mut client = client.unwrap();
            let error = client.read_exact([0; 1]).await.0.unwrap_err();
            assert!(error.to_string().contains(alert), "{error}");
        }
    });
}

#[test]
fn alpn_and_sni_are_known_to_both_sides() {
    run(async {
        let authority = Authority::new();
        let mut client = authority.client();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut server = authority.issue(&["localhost"]).server();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let pair = Pair {
            connector: client.into(),
            acceptor: server.into(),
        };
        let (client, server) = pair.over_tcp().await;
        assert_eq!(server.server_name().as_deref(), Some("localhost"));
        assert_eq!(client.server_name(), None);
        for stream in [client, server] {
            assert_eq!(stream.alpn_protocol().unwrap(), b"http/1.1");
        }
    });
}

#[test]
fn sides_without_a_common_protocol_fail() {
    run(async {
        let authority = Authority::new();
        let mut client = authority.client();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let mut server = authority.issue(&["localhost"]).server();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let error = client_error(Pair {
            connector: client.into(),
            acceptor: server.into(),
        })
        .await;
        assert!(
            error.to_string().contains("NoApplicationProtocol"),
            "{error}"
        );
    });
}

#[test]
fn http_without_tls_is_named_by_the_error_of_the_server() {
    run(async {
        let pair = Pair::new();
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n",
        ] {
            for is_lazy in [false, true] {
                let (mut client, server) = tcp_pair().await;
                client.write_all(request).await.0.unwrap();
                let error = if is_lazy {
                    let mut accept = compio_tls::LazyAccept::new(server);
                    accept.client_hello().await.map(drop).unwrap_err()
                } else {
                    pair.acceptor.accept(server).await.unwrap_err()
                };
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(
                    error.to_string().contains("HTTP request without TLS"),
                    "{error}"
                );
                assert!(is_plain_http(&error));
                // An alert would be no answer of HTTP.
                let (read, answer) = client.read_to_end(Vec::new()).await;
                assert!(answer.is_empty(), "{answer:?} {read:?}");
            }
        }
        // Other nonsense is not called HTTP.
        let (mut client, server) = tcp_pair().await;
        client.write_all("SSH-2.0-OpenSSH\r\n").await.0.unwrap();
        let error = pair.acceptor.accept(server).await.unwrap_err();
        assert!(!error.to_string().contains("HTTP"), "{error}");
        assert!(!is_plain_http(&error));
    });
}

#[test]
fn http_server_without_tls_is_named_by_the_error_of_the_client() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut server: TcpStream = server;
        let answered = async {
            let answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
            server.write_all(answer).await.0.unwrap();
        };
        let connector = TlsConnector::from(Authority::new().client());
        let (client, ()) = both(connector.connect("localhost", client), answered).await;
        let error = client.unwrap_err();
        assert!(error.to_string().contains("not a TLS port"), "{error}");
    });
}

#[cfg(any(
    feature = "platform-verifier",
    feature = "webpki-roots",
    feature = "native-certs"
))]
#[test]
fn public_roots_do_not_trust_a_private_authority() {
    run(async {
        let connectors = [
            #[cfg(feature = "platform-verifier")]
            TlsConnector::with_platform_verifier(),
            #[cfg(feature = "webpki-roots")]
            TlsConnector::with_webpki_roots(),
            #[cfg(feature = "native-certs")]
            TlsConnector::with_native_certs(),
        ];
        for connector in connectors {
            let connector = match connector {
                Ok(connector) => connector,
                Err(error) => {
                    compio_testkit::process::skip("roots of the system", &error.to_string());
                    continue;
                }
            };
            let error = client_error(Pair {
                connector,
                acceptor: Authority::new().issue(&["localhost"]).server().into(),
            })
            .await;
            assert_eq!(
                error,
                Error::InvalidCertificate(CertificateError::UnknownIssuer)
            );
        }
    });
}

#[test]
fn replaced_configuration_is_the_one_of_the_next_connection() {
    run(async {
        let authority = Authority::new();
        let (old, new) = (
            authority.issue(&["localhost"]),
            authority.issue(&["localhost"]),
        );
        let pair = shared(authority.client(), old.server());
        // A handshake that has begun keeps its configuration.
        let (client, server) = tcp_pair().await;
        let server = pair.acceptor.stream(server).unwrap();
        let clone = pair.acceptor.clone();
        std::thread::spawn({
            let config = new.server();
            move || clone.replace(config)
        })
        .join()
        .unwrap();
        let (client, accepted) = both(
            pair.connector.connect("localhost", client),
            server.handshake(),
        )
        .await;
        accepted.unwrap();
        assert_eq!(client.unwrap().peer_certificates().unwrap(), old.chain());
        // The client has a session of the old one, which the new one does not know.
        let (client, server) = pair.over_tcp().await;
        assert_eq!(client.peer_certificates().unwrap(), new.chain());
        drop((client, server));
    });
}
