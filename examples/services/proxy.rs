//! A reverse proxy on all cores: it ends TLS, and passes the requests of HTTP/1.1 and HTTP/2 to a server without TLS.
//! SIGHUP reads the certificate again, and Ctrl-C stops it.
//!
//! `cargo run --release --example proxy -- 127.0.0.1:8080 cert.pem key.pem 127.0.0.1:8443`, and then for instance
//! `curl --cacert cert.pem https://localhost:8443/`

use std::{convert::Infallible, env, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use compio::{
    cores::Server,
    net::TcpStream,
    signal::{
        self,
        unix::{self, SignalKind},
    },
    task,
};
use compio_http::{
    Client, Http, RequestBody,
    client::ResponseBody,
    hyper::{
        HeaderMap, Request, Response, StatusCode, Uri, Version,
        body::Bytes,
        header::{self, HeaderName, HeaderValue},
        service::service_fn,
    },
};
use compio_tls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use http_body_util::{Either, Full};

type Answer = Response<Either<ResponseBody, Full<Bytes>>>;

thread_local! {
    /// Each core has a client with connections of its own.
    static CLIENT: Client = Client::builder().connect_timeout(Duration::from_secs(5)).build();
}

/// The headers of one connection, which a proxy does not pass on (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [upstream, certificate, key, address] = &arguments[..] else {
        return Err("usage: proxy UPSTREAM CERTIFICATE KEY ADDRESS".into());
    };
    let acceptor = TlsAcceptor::from(configuration(certificate, key)?);
    let reloaded = acceptor.clone();
    let (certificate, key) = (certificate.clone(), key.clone());
    let mut hangups = unix::signal(SignalKind::hangup())?;
    task::spawn(async move {
        while hangups.recv().await.is_ok() {
            match configuration(&certificate, &key) {
                Ok(configuration) => reloaded.replace(configuration),
                Err(error) => eprintln!("the old certificate stays: {error}"),
            }
        }
    })
    .detach();

    let upstream: Arc<str> = upstream.as_str().into();
    let server =
        Http::new()
            .tls(acceptor)
            .start_with(Server::bind(address).await?, {
                move |stream: &TcpStream| {
                    let peer = stream.peer_addr().ok();
                    let (client, upstream) = (CLIENT.with(Client::clone), Arc::clone(&upstream));
                    service_fn(move |request| {
                        let (client, upstream) = (client.clone(), Arc::clone(&upstream));
                        async move {
                            Ok::<_, Infallible>(forward(&client, &upstream, peer, request).await)
                        }
                    })
                }
            })?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    Ok(server.shutdown_timeout(Duration::from_secs(10)).await?)
}

/// The settings of TLS, with a certificate and a key of PEM files.
fn configuration(certificate: &str, key: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    Ok(ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

/// Passes a request on, and returns the answer. The bodies are passed on as they arrive.
async fn forward(
    client: &Client,
    upstream: &str,
    peer: Option<SocketAddr>,
    request: Request<RequestBody>,
) -> Answer {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{upstream}{path}").parse::<Uri>() else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    // HTTP/2 has the host in the URI.
    let host = head.uri.authority().map(|host| host.as_str().to_owned());
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok()) {
        head.headers.insert(header::HOST, host);
    }
    remove_hop_by_hop(&mut head.headers);
    head.headers
        .insert("x-forwarded-proto", HeaderValue::from_static("https"));
    if let Some(peer) = peer.and_then(|peer| HeaderValue::try_from(peer.ip().to_string()).ok()) {
        head.headers.append("x-forwarded-for", peer);
    }
    head.uri = uri;
    head.version = Version::HTTP_11;
    match client.request(Request::from_parts(head, body)).await {
        Ok(response) => {
            let mut response = response.into_hyper().map(Either::Left);
            remove_hop_by_hop(response.headers_mut());
            response
        }
        Err(error) if error.is_timeout() => refuse(StatusCode::GATEWAY_TIMEOUT),
        Err(_) => refuse(StatusCode::BAD_GATEWAY),
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed = headers.get_all(header::CONNECTION).iter();
    let listed: Vec<_> = listed
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn refuse(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = status;
    response
}
