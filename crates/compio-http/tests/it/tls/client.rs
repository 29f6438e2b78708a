//! The client, with the server of this crate, with blocking peers, and with foreign servers.

use std::{
    error::Error as _,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use compio::task;
use compio_http::{
    Client,
    client::{Error, HttpsConnector},
};
use compio_testkit::{process::has, tls::Authority};
use compio_tls::rustls::{
    self, CertificateError, ClientConfig, ServerConfig, ServerConnection, StreamOwned,
};

use super::support::Site;
use crate::support::run;

type HttpsClient = Client<HttpsConnector>;

fn client(config: ClientConfig) -> HttpsClient {
    Client::builder().tls(config).build()
}

async fn get(client: &HttpsClient, url: &str) -> String {
    client.get(url).send().await.unwrap().text().await.unwrap()
}

#[test]
fn server_chooses_the_version() {
    let site = Site::new();
    run(async {
        let client = client(site.client());
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (client, url) = (client.clone(), site.url(&format!("/{number}")));
                task::spawn(async move {
                    assert_eq!(get(&client, &url).await, format!("HTTP/2.0 /{number}"));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let mut config = site.identity.server();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    site.acceptor.replace(config);
    run(async {
        let client = client(site.client());
        for _ in 0..5 {
            assert_eq!(get(&client, &site.url("/one")).await, "HTTP/1.1 /one");
        }
    });
}

#[test]
fn protocols_of_the_configuration_are_offered() {
    let site = Site::new();
    let mut config = site.client();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    run(async {
        let client = client(config);
        assert_eq!(get(&client, &site.url("/old")).await, "HTTP/1.1 /old");
    });
}

#[test]
fn address_is_a_host() {
    let site = Site::new();
    run(async {
        let url = format!("https://{}/", site.server.address);
        assert_eq!(get(&client(site.client()), &url).await, "HTTP/2.0 /");
    });
}

#[test]
fn urls_without_tls_are_requested_as_well() {
    let server = crate::support::start_echo(|http| http);
    run(async {
        let url = format!("http://{}/plain", server.address);
        let client = client(Authority::new().client());
        assert_eq!(get(&client, &url).await, "GET /plain ");
        let other = client.get("ftp://localhost/").send().await.unwrap_err();
        assert!(other.is_connect(), "{other:?}");
    });
}

/// The I/O error that is the source, and the error of rustls in it.
fn reason(error: &Error) -> (String, Option<rustls::Error>) {
    assert!(error.is_connect(), "{error:?}");
    let source = error.source().unwrap();
    let source: &io::Error = source.downcast_ref().unwrap();
    let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
    (source.to_string(), inner.cloned())
}

async fn failure(config: ClientConfig, url: &str) -> (String, Option<rustls::Error>) {
    reason(&client(config).get(url).send().await.unwrap_err())
}

#[test]
fn invalid_certificates_are_named() {
    use rustls::Error::InvalidCertificate;

    let site = Site::new();
    run(async {
        let (text, error) = failure(Authority::new().client(), &site.url("/")).await;
        let unknown = InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(error, Some(unknown), "{text}");
        assert!(text.contains("UnknownIssuer"), "{text}");

        let other = site.authority.issue(&["example.com"]);
        site.acceptor.replace(other.server());
        let (text, error) = failure(site.client(), &site.url("/")).await;
        assert!(matches!(error, Some(InvalidCertificate(_))), "{text}");
        assert!(text.contains("not valid for name \"localhost\""), "{text}");
        assert!(text.contains("example.com"), "{text}");

        let expired = site.authority.issue_with(&["localhost"], |params| {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        });
        site.acceptor.replace(expired.server());
        let (text, error) = failure(site.client(), &site.url("/")).await;
        assert!(matches!(error, Some(InvalidCertificate(_))), "{text}");
        assert!(text.contains("expired"), "{text}");
    });
}

/// Serves one connection on a thread.
fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || serve(listener.accept().unwrap().0));
    (format!("https://localhost:{port}/"), thread)
}

/// Completes a handshake without ALPN, reads the request, and sends this.
fn tls_peer(
    config: ServerConfig,
    answer: &'static str,
    is_closed: bool,
) -> (String, JoinHandle<()>) {
    peer(move |tcp| {
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        if is_closed {
            stream.conn.send_close_notify();
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the client has closed the connection.
        let _ = stream.sock.read_to_end(&mut Vec::new());
    })
}

#[test]
fn body_that_is_cut_without_close_notify_is_an_error() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let until_close = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello";
    let with_length = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    for (answer, is_closed, is_complete) in [
        (until_close, true, true),
        (until_close, false, false),
        (with_length, true, false),
        (with_length, false, false),
    ] {
        let (url, peer) = tls_peer(identity.server(), answer, is_closed);
        run(async {
            let response = client(authority.client()).get(url).send().await.unwrap();
            match response.text().await {
                Ok(body) => assert!(is_complete && body == "hello"),
                Err(error) => {
                    assert!(!is_complete && error.is_body(), "{error:?}");
                    let is_truncation = format!("{error:?}").contains("close_notify");
                    assert_eq!(is_truncation, !is_closed, "{error:?}");
                }
            }
        });
        peer.join().unwrap();
    }
}

#[test]
fn server_without_tls_is_named() {
    run(async {
        let (url, peer) = peer(|mut tcp| {
            let _ = tcp.read(&mut [0; 4096]);
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let (text, _) = failure(Authority::new().client(), &url).await;
        assert!(text.contains("not a TLS port"), "{text}");
        peer.join().unwrap();
        // The end, or a reset, within the handshake.
        let (url, peer) = self::peer(drop);
        let (text, _) = failure(Authority::new().client(), &url).await;
        assert!(!text.is_empty());
        peer.join().unwrap();
    });
}

#[test]
fn handshake_counts_as_time_of_the_connection() {
    let (url, peer) = peer(|mut tcp| {
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    run(async {
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(50))
            .tls(Authority::new().client())
            .build();
        let error = client.get(url).send().await.unwrap_err();
        assert!(error.is_timeout() && error.is_connect(), "{error:?}");
    });
    // The drop has closed the connection.
    peer.join().unwrap();
}

#[test]
fn client_without_tls_refuses_https() {
    run(async {
        let error = Client::new().get("https://localhost/").send().await;
        let error = error.unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(
            error.is_connect() && source.contains("ClientBuilder::tls"),
            "{error:?}"
        );
    });
}

/// A child process that is killed at the end of the test.
struct Peer(Child, BufReader<ChildStdout>);

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self(child, output)
    }

    /// The number at the end of the first line that begins so.
    fn port(&mut self, begin: &str) -> u16 {
        let mut line = String::new();
        while self.1.read_line(&mut line).unwrap() > 0 {
            if line.starts_with(begin) {
                let digits = line.trim().rsplit([' ', ':']).next().unwrap();
                return digits.parse().unwrap();
            }
            line.clear();
        }
        panic!("the peer does not print `{begin}`");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_server_answers() {
    if !has("openssl", "version") {
        return;
    }
    let authority = Authority::new();
    let files = authority.files(&authority.issue(&["localhost"]));
    for version in ["-tls1_2", "-tls1_3"] {
        let mut peer = Peer::start(
            Command::new("openssl")
                .args([
                    "s_server",
                    "-www",
                    "-accept",
                    "127.0.0.1:0",
                    version,
                    "-cert",
                ])
                .arg(files.path("chain.pem"))
                .arg("-key")
                .arg(files.path("key.pem")),
        );
        let port = peer.port("ACCEPT ");
        run(async {
            let client = client(authority.client());
            let page = get(&client, &format!("https://localhost:{port}/")).await;
            assert!(page.contains("s_server"), "{page}");
        });
    }
}

/// Serves HTTP/1.1 with connections that stay, and large bodies.
const PYTHON_SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-port", str(self.client_address[1]))
        self.end_headers()
        self.wfile.write(body)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.set_alpn_protocols(["http/1.1"])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("PORT", server.server_address[1], flush=True)
server.serve_forever()
"#;

#[test]
fn python_server_echoes_on_one_connection() {
    if !has("python3", "--version") {
        return;
    }
    let authority = Authority::new();
    let files = authority.files(&authority.issue(&["localhost"]));
    let mut peer = Peer::start(
        Command::new("python3")
            .args(["-c", PYTHON_SERVER])
            .arg(files.path("chain.pem"))
            .arg(files.path("key.pem")),
    );
    let url = format!("https://localhost:{}/", peer.port("PORT"));
    run(async {
        let client = client(authority.client());
        let mut ports = std::collections::BTreeSet::new();
        for len in [0, 1, 20_000, 3_000_000] {
            let body = compio_testkit::buffer::pattern(len);
            let response = client.post(&*url).body(body.clone()).send().await.unwrap();
            ports.insert(response.headers()["x-port"].clone());
            assert!(response.bytes().await.unwrap() == body);
        }
        assert_eq!(ports.len(), 1);
    });
}
