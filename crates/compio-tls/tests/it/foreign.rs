//! Foreign TLS implementations: OpenSSL's programs, and Python's `ssl`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::{spawn, spawn_blocking},
};
use compio_testkit::{buffer::pattern, process::has};
use compio_tls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::support::{Authority, VERSIONS, listener, run};

/// A child process that is killed at the end of the test.
struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn say(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    /// The first line of the output that begins so, without this beginning.
    fn line(&mut self, begin: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the peer does not print `{begin}`");
    }

    /// The output up to its end.
    fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let mut text = Vec::new();
        self.output.read_to_end(&mut text).unwrap();
        self.child.wait().unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The option of OpenSSL for a version.
fn option(version: &compio_tls::rustls::SupportedProtocolVersion) -> &'static str {
    if version == VERSIONS[0] {
        "-tls1_2"
    } else {
        "-tls1_3"
    }
}

/// The messages of the protocol in this direction that OpenSSL has printed with `-msg`.
fn messages<'a>(output: &'a str, direction: &str, name: &str) -> Vec<&'a str> {
    output
        .lines()
        .filter(|line| line.starts_with(direction) && line.contains(name))
        .collect()
}

#[test]
fn openssl_client_sees_close_notify_and_data() {
    if !has("openssl", "version") {
        return;
    }
    for version in VERSIONS {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let files = authority.files(&identity);
        let acceptor = TlsAcceptor::from(identity.server());
        let output = run(async {
            let (listener, address) = listener().await;
            let mut peer = Peer::start(
                Command::new("openssl")
                    .args(["s_client", "-msg", "-ign_eof", "-verify_return_error"])
                    .args([option(version), "-servername", "localhost", "-connect"])
                    .arg(address.to_string())
                    .arg("-CAfile")
                    .arg(files.path("root.pem")),
            );
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            assert_eq!(tls.server_name().as_deref(), Some("localhost"));
            peer.say("from the peer\n");
            assert_eq!(tls.read_exact([0; 14]).await.1, *b"from the peer\n");
            tls.write_all("to the peer\n").await.0.unwrap();
            tls.shutdown().await.unwrap();
            // The peer answers with its own close_notify.
            assert_eq!(tls.read([0; 8]).await.0.unwrap(), 0);
            peer.finish()
        });
        assert!(output.contains("to the peer"), "{output}");
        let alerts = messages(&output, "<<<", "Alert");
        assert_eq!(alerts.len(), 1, "{output}");
        assert!(alerts[0].contains("close_notify"), "{output}");
    }
}

#[test]
fn key_update_of_the_openssl_client_is_answered() {
    if !has("openssl", "version") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let acceptor = TlsAcceptor::from(identity.server());
    run(async {
        let (listener, address) = listener().await;
        let mut peer = Peer::start(
            Command::new("openssl")
                .args(["s_client", "-msg", "-tls1_3", "-connect"])
                .arg(address.to_string()),
        );
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        // The program reads its commands at the beginnings of reads from its input, so each one waits for the
        // effect of the last one. `K` requests an update of both directions.
        peer.say("first\n");
        assert_eq!(tls.read_exact([0; 6]).await.1, *b"first\n");
        peer.say("K\n");
        // The server only waits to read: the reply arrives nevertheless.
        let read = spawn(async move { tls.read_exact([0; 7]).await });
        let waited = spawn_blocking(move || {
            peer.line("<<< TLS 1.3, Handshake [length 0005], KeyUpdate");
            peer.say("second\n");
            peer
        });
        let _peer = waited.await.unwrap();
        assert_eq!(read.await.unwrap().1, *b"second\n");
    });
}

#[test]
fn openssl_server_sees_close_notify_and_data() {
    if !has("openssl", "version") {
        return;
    }
    for version in VERSIONS {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let files = authority.files(&identity);
        let connector = TlsConnector::from(authority.client());
        let mut peer = Peer::start(
            Command::new("openssl")
                .args(["s_server", "-msg", "-rev", "-naccept", "1", option(version)])
                .args(["-accept", "127.0.0.1:0", "-cert"])
                .arg(files.path("chain.pem"))
                .arg("-key")
                .arg(files.path("key.pem")),
        );
        let address = peer.line("ACCEPT ");
        let output = run(async {
            let tcp = TcpStream::connect(address.as_str()).await.unwrap();
            let mut tls = connector.connect("localhost", tcp).await.unwrap();
            tls.write_all("hello\n").await.0.unwrap();
            tls.flush().await.unwrap();
            assert_eq!(tls.read_exact([0; 6]).await.1, *b"olleh\n");
            tls.shutdown().await.unwrap();
            let _ = tls.read([0; 8]).await;
            peer.finish()
        });
        let alerts = messages(&output, "<<<", "Alert");
        assert_eq!(alerts.len(), 1, "{output}");
        assert!(alerts[0].contains("close_notify"), "{output}");
    }
}

/// Receives to the end of the input, sends all of it back, and ends the connection in both directions.
const PYTHON_SERVER: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.set_alpn_protocols(["echo"])
listener = socket.create_server(("127.0.0.1", 0))
print("PORT", listener.getsockname()[1], flush=True)
tcp, _ = listener.accept()
tls = context.wrap_socket(tcp, server_side=True, suppress_ragged_eofs=False)
data = tls.recv(3)
while len(data) < 2000000:
    data += tls.recv(100000)
tls.sendall(data)
print("LEFT", tls.recv(1), flush=True)
tls.unwrap()
print("ENDED", flush=True)
"#;

/// Sends much, reads it back, and ends the connection in both directions.
const PYTHON_CLIENT: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
tcp = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
tls = context.wrap_socket(tcp, server_hostname="localhost", suppress_ragged_eofs=False)
data = bytes(range(256)) * 256
for _ in range(10):
    tls.sendall(data)
    back = b""
    while len(back) < len(data):
        back += tls.recv(100000)
    assert back == data
tls.unwrap()
print("ENDED", flush=True)
"#;

#[test]
fn python_server_echoes_2_mb_and_ends_both_directions() {
    if !has("python3", "--version") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let files = authority.files(&identity);
    let mut config = authority.client();
    config.alpn_protocols = vec![b"echo".to_vec()];
    let connector = TlsConnector::from(config);
    let mut peer = Peer::start(
        Command::new("python3")
            .args(["-c", PYTHON_SERVER])
            .arg(files.path("chain.pem"))
            .arg(files.path("key.pem")),
    );
    let port: u16 = peer.line("PORT").parse().unwrap();
    let output = run(async {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut tls = connector.connect("localhost", tcp).await.unwrap();
        assert_eq!(tls.alpn_protocol().unwrap(), b"echo");
        tls.write_all(pattern(2_000_000)).await.0.unwrap();
        tls.flush().await.unwrap();
        let (read, data) = tls.read_exact(vec![0; 2_000_000]).await;
        read.unwrap();
        assert!(data == pattern(2_000_000));
        tls.shutdown().await.unwrap();
        // The close_notify of the peer, not only the end of TCP.
        assert_eq!(tls.read([0; 8]).await.0.unwrap(), 0);
        peer.finish()
    });
    assert!(
        output.contains("LEFT b''") && output.contains("ENDED"),
        "{output}"
    );
}

#[test]
fn python_client_ends_both_directions() {
    if !has("python3", "--version") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let files = authority.files(&identity);
    let acceptor = TlsAcceptor::from(identity.server());
    let output = run(async {
        let (listener, address) = listener().await;
        let peer = Peer::start(
            Command::new("python3")
                .args(["-c", PYTHON_CLIENT])
                .arg(files.path("root.pem"))
                .arg(address.port().to_string()),
        );
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls: TlsStream<TcpStream> = acceptor.accept(tcp).await.unwrap();
        loop {
            let (read, mut data) = tls.read(Vec::with_capacity(50_000)).await;
            let len = read.unwrap();
            if len == 0 {
                break;
            }
            data.truncate(len);
            tls.write_all(data).await.0.unwrap();
            tls.flush().await.unwrap();
        }
        tls.shutdown().await.unwrap();
        peer.finish()
    });
    assert!(output.contains("ENDED"), "{output}");
}
