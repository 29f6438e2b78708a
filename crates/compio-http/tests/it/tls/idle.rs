//! The memory of idle connections: the heap of the server, without kernel memory.
//!
//! `COMPIO_IDLE_TLS=10000 cargo test --release -p compio-http --all-features --test it -- --nocapture tls::idle` measures many
//! connections. The clients are a child process: both sides together would have too many descriptors.

use std::{
    convert::Infallible,
    env,
    io::{BufRead, BufReader, Read, Write, stdin},
    net::TcpStream,
    process::Stdio,
    sync::Arc,
};

use compio_testkit::{
    allocator::{Counting, OfThread},
    process::this_test,
};
use compio_tls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};

use super::support::{Site, ask, describe};
use crate::support::{Running, start};

#[global_allocator]
static ALLOCATOR: Counting<OfThread> = Counting(OfThread);

/// The protocols of the clients.
const PROTOCOLS: [&str; 3] = ["plain", "http/1.1", "h2"];

/// Answers with the memory of the server's thread.
async fn memory<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/memory" {
        let memory = OfThread::live_bytes().to_string();
        return Ok(Response::new(Full::new(memory.into())));
    }
    describe(request).await
}

fn memory_of(server: &Running) -> isize {
    ask(&mut server.connect(), "/memory").parse().unwrap()
}

/// The bytes of one idle connection.
fn idle_memory(protocol: &str, connections: usize) -> isize {
    let site = Site::new();
    let files = site.authority.files(&site.identity);
    let tls = (protocol != "plain").then(|| site.acceptor.clone());
    let server = start(
        |http| {
            let http = http.idle_timeout(None);
            match tls {
                Some(tls) => http.tls(tls),
                None => http,
            }
        },
        || service_fn(memory),
    );
    let measure = || match protocol {
        "plain" => memory_of(&server),
        _ => {
            let name = "localhost".try_into().unwrap();
            let connection = ClientConnection::new(Arc::new(site.client()), name).unwrap();
            let mut stream = StreamOwned::new(connection, server.connect());
            ask(&mut stream, "/memory").parse().unwrap()
        }
    };
    // The runtime and the caches of rustls reach their size.
    for _ in 0..3 {
        measure();
    }
    let before = measure();
    let mut clients = this_test("tls::idle::clients")
        .env("IDLE_CLIENTS", protocol)
        .env("IDLE_COUNT", connections.to_string())
        .env("IDLE_ADDRESS", server.address.to_string())
        .env("IDLE_ROOT", files.path("root.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(clients.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("all are idle")));
    let after = measure();
    drop(clients.stdin.take());
    assert!(clients.wait().unwrap().success());
    (after - before) / isize::try_from(connections).unwrap()
}

#[test]
fn idle_connections_hold_little_memory() {
    let connections = env::var("COMPIO_IDLE_TLS").ok();
    let connections = connections.map_or(100, |count| count.parse().unwrap());
    for (protocol, max) in PROTOCOLS.into_iter().zip([36_000, 48_000, 56_000]) {
        let memory = idle_memory(protocol, connections);
        println!("{protocol}: {memory} bytes for each of {connections} idle connections");
        assert!(memory < max, "{protocol}: {memory} bytes");
    }
}

/// One request of HTTP/2, without a library.
fn ask_http2(stream: &mut (impl Read + Write)) {
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        let len = u8::try_from(payload.len()).unwrap();
        [&[0, 0, len, kind, flags, 0, 0, 0, id], payload].concat()
    };
    // `GET`, `/`, `https` of the static table, and the authority as a literal.
    let head = [&[0x82, 0x84, 0x87, 0x41, 9][..], b"localhost"].concat();
    let request = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, &[]),
        &frame(1, 5, 1, &head),
    ];
    stream.write_all(&request.concat()).unwrap();
    stream.flush().unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).unwrap();
        let (kind, flags) = (head[3], head[4]);
        match kind {
            // DATA with the end of the stream.
            0 if flags & 1 == 1 => return assert_eq!(payload, b"HTTP/2.0 /"),
            // Acknowledges SETTINGS.
            4 if flags & 1 == 0 => stream.write_all(&frame(4, 1, 0, &[])).unwrap(),
            _ => {}
        }
    }
}

#[test]
#[ignore = "the child process of the test before"]
fn clients() {
    let Ok(protocol) = env::var("IDLE_CLIENTS") else {
        return;
    };
    let variable = |name| env::var(name).unwrap();
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(variable("IDLE_ROOT")).unwrap();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(compio_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.clone().into_bytes()];
    // Each handshake is a full one.
    config.resumption = compio_tls::rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    let count: usize = variable("IDLE_COUNT").parse().unwrap();
    let sockets: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut tcp = TcpStream::connect(variable("IDLE_ADDRESS")).unwrap();
            if protocol == "plain" {
                ask(&mut tcp, "/");
                return tcp;
            }
            let name = "localhost".try_into().unwrap();
            let connection = ClientConnection::new(Arc::clone(&config), name).unwrap();
            let mut stream = StreamOwned::new(connection, tcp);
            match protocol.as_str() {
                "h2" => ask_http2(&mut stream),
                _ => drop(ask(&mut stream, "/")),
            }
            stream.sock
        })
        .collect();
    println!("all are idle");
    stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(sockets);
}
