//! Look-ups with a name server on loopback, which runs on std's sockets.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use compio::{
    fs,
    net::{Connector, Resolve},
    runtime::Runtime,
    task::{block_on, spawn},
    time::{sleep, timeout},
};
use compio_hickory::{
    HickoryResolver, Provider,
    hickory_resolver::{
        Resolver,
        config::{ConnectionConfig, NameServerConfig, ResolverConfig},
        proto::{
            op::{Message, MessageType, ResponseCode},
            rr::{RData, Record, RecordType},
        },
    },
};

/// More than any look-up takes.
const LONG: Duration = Duration::from_secs(60);

/// The time limit of a query.
const LIMIT: Duration = Duration::from_millis(150);

/// A name server: it knows `host.test`, `long.test` (too long for UDP) and `v4.test`, and does not answer
/// questions about `silent.test`.
struct NameServer {
    address: SocketAddr,
    /// The questions over UDP.
    questions: Mutex<Receiver<String>>,
    /// The questions over TCP.
    tcp_questions: Mutex<Receiver<String>>,
}

impl NameServer {
    fn start() -> Arc<Self> {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
            // Another program may have this port of TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("an address");
        let (asked, questions) = mpsc::channel();
        let (tcp_asked, tcp_questions) = mpsc::channel();
        thread::spawn(move || serve_udp(&udp, &asked));
        thread::spawn(move || serve_tcp(&tcp, &tcp_asked));
        Arc::new(Self {
            address,
            questions: Mutex::new(questions),
            tcp_questions: Mutex::new(tcp_questions),
        })
    }

    /// A resolver that asks this server.
    fn resolver(&self) -> HickoryResolver {
        self.resolver_with_limit(LONG)
    }

    /// As [`resolver`](Self::resolver), with a time limit of its queries.
    fn resolver_with_limit(&self, limit: Duration) -> HickoryResolver {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = self.address.port();
        }
        let server = NameServerConfig::new(self.address.ip(), true, connections);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = Resolver::builder_with_config(config, Provider);
        let options = builder.options_mut();
        options.timeout = limit;
        options.attempts = 1;
        HickoryResolver::from(builder.build().expect("a resolver"))
    }

    /// The questions over UDP since the last call.
    fn asked(&self) -> Vec<String> {
        self.questions
            .lock()
            .expect("no panic")
            .try_iter()
            .collect()
    }
}

/// The answer to a query. `None` if there is none.
fn answer(query: &[u8], over_udp: bool, asked: &Sender<String>) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).expect("a query");
    let question = query.queries[0].clone();
    let (name, kind) = (question.name().clone(), question.query_type());
    let host = name.to_string();
    let _ = asked.send(format!("{host} {kind}"));
    let mut response = query;
    response.metadata.message_type = MessageType::Response;
    response.metadata.recursion_available = true;
    let address = match (host.as_str(), kind) {
        ("silent.test.", _) => return None,
        ("host.test.", RecordType::AAAA) => Some(RData::from(Ipv6Addr::LOCALHOST)),
        ("host.test." | "v4.test.", RecordType::A) => Some(RData::from(Ipv4Addr::LOCALHOST)),
        ("host.test." | "v4.test.", _) => None,
        ("long.test.", RecordType::A) if over_udp => {
            response.metadata.truncation = true;
            None
        }
        ("long.test.", RecordType::A) => {
            for last in 1..=200 {
                let address = RData::from(Ipv4Addr::new(127, 0, 1, last));
                response.add_answer(Record::from_rdata(name.clone(), 60, address));
            }
            None
        }
        ("long.test.", _) => None,
        _ => {
            response.metadata.response_code = ResponseCode::NXDomain;
            None
        }
    };
    if let Some(address) = address {
        response.add_answer(Record::from_rdata(name, 60, address));
    }
    Some(response.to_vec().expect("a message"))
}

fn serve_udp(socket: &UdpSocket, asked: &Sender<String>) {
    let mut buffer = [0; 4096];
    while let Ok((len, client)) = socket.recv_from(&mut buffer) {
        if let Some(response) = answer(&buffer[..len], true, asked) {
            let _ = socket.send_to(&response, client);
        }
    }
}

fn serve_tcp(listener: &TcpListener, asked: &Sender<String>) {
    for stream in listener.incoming() {
        let (mut stream, asked) = (stream.expect("a connection"), asked.clone());
        thread::spawn(move || {
            let mut len = [0; 2];
            while stream.read_exact(&mut len).is_ok() {
                let mut query = vec![0; u16::from_be_bytes(len).into()];
                stream.read_exact(&mut query)?;
                if let Some(response) = answer(&query, false, &asked) {
                    let len = u16::try_from(response.len()).expect("a message of DNS");
                    stream.write_all(&[&len.to_be_bytes(), &response[..]].concat())?;
                }
            }
            io::Result::Ok(())
        });
    }
}

/// Runs a test's future, with a time limit.
fn run<T>(test: impl Future<Output = T>) -> T {
    block_on(async { timeout(LONG, test).await.expect("no hang") })
}

#[test]
fn both_families_are_found_and_cached() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver();
        let expected: Vec<SocketAddr> = vec![
            (Ipv6Addr::LOCALHOST, 80).into(),
            (Ipv4Addr::LOCALHOST, 80).into(),
        ];
        let found = resolver.resolve("host.test", 80).await.expect("a host");
        assert_eq!(found, expected);
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(asked, ["host.test. A", "host.test. AAAA"]);

        let clone = resolver.clone();
        let found = clone.resolve("host.test.", 80).await.expect("a host");
        assert_eq!(found, expected);
        assert_eq!(server.asked(), [""; 0], "the cache answers");
    });
}

#[test]
fn an_unknown_name_is_not_found() {
    let server = NameServer::start();
    run(async {
        let error = server.resolver().resolve("unknown.test", 80).await;
        assert_eq!(error.expect_err("no host").kind(), ErrorKind::NotFound);
    });
}

#[test]
fn an_invalid_name_is_invalid_input() {
    let server = NameServer::start();
    run(async {
        let label = "a".repeat(64);
        for host in [label.as_str(), "a..test"] {
            let error = server.resolver().resolve(host, 80).await;
            let error = error.expect_err("no name");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{host}: {error}");
        }
        assert_eq!(server.asked(), [""; 0]);
    });
}

#[test]
fn addresses_need_no_query() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver();
        for host in ["127.0.0.1", "::1"] {
            let ip: IpAddr = host.parse().expect("an address");
            let found = resolver.resolve(host, 443).await.expect("an address");
            assert_eq!(found, [SocketAddr::new(ip, 443)]);
        }
        assert_eq!(server.asked(), [""; 0]);
    });
}

#[test]
fn a_silent_server_times_out() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver_with_limit(LIMIT);
        let error = resolver.resolve("silent.test", 80).await;
        assert_eq!(error.expect_err("no answer").kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_truncated_answer_continues_over_tcp() {
    let server = NameServer::start();
    run(async {
        let found = server.resolver().resolve("long.test", 80).await;
        assert_eq!(found.expect("a host").len(), 200);
        let asked: Vec<_> = server
            .tcp_questions
            .lock()
            .expect("no panic")
            .try_iter()
            .collect();
        assert_eq!(asked, ["long.test. A"]);
    });
}

#[test]
fn a_dropped_look_up_sends_no_further_queries() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver_with_limit(LIMIT * 5);
        let look_up = spawn({
            let resolver = resolver.clone();
            async move { resolver.resolve("silent.test", 80).await }
        });
        let mut asked = Vec::new();
        while asked.len() < 2 {
            sleep(Duration::from_millis(1)).await;
            asked.append(&mut server.asked());
        }
        asked.sort();
        assert_eq!(asked, ["silent.test. A", "silent.test. AAAA"]);
        look_up.abort();
        assert!(look_up.await.expect_err("aborted").is_cancelled());
        sleep(LIMIT * 8).await;
        assert_eq!(server.asked(), [""; 0]);
        resolver.resolve("host.test", 80).await.expect("a host");
    });
}

#[test]
fn a_thousand_hanging_look_ups_stall_no_file() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver();
        let look_ups: Vec<_> = (0..1000)
            .map(|_| {
                let resolver = resolver.clone();
                spawn(async move { resolver.resolve("silent.test", 80).await })
            })
            .collect();
        while server.asked().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(!fs::read(manifest).await.expect("a file").is_empty());
        assert!(look_ups.iter().all(|look_up| !look_up.is_finished()));
    });
}

#[test]
fn a_connector_connects_to_a_resolved_host() {
    let server = NameServer::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    run(async {
        let connector = Connector::with_resolver(server.resolver());
        let stream = connector.connect("v4.test", port).await.expect("a server");
        let (_, peer) = listener.accept().expect("a connection");
        assert_eq!(stream.local_addr().expect("an address"), peer);
    });
}

#[test]
fn a_resolver_may_be_dropped_after_its_runtime() {
    let server = NameServer::start();
    let runtime = Runtime::new().expect("a runtime");
    let resolver = server.resolver();
    runtime
        .block_on(timeout(LONG, resolver.resolve("long.test", 80)))
        .expect("no hang")
        .expect("a host");
    drop(runtime);
    drop(resolver);
}

#[test]
fn a_resolver_of_hickory_may_be_dropped_on_another_thread() {
    let server = NameServer::start();
    run(async {
        let resolver = server.resolver();
        // With an open connection of TCP.
        resolver.resolve("long.test", 80).await.expect("a host");
        let shared = resolver.get_ref().clone();
        drop(resolver);
        let dropped = compio::task::spawn_blocking(move || drop(shared));
        dropped.await.expect("no panic");
        // The sockets are dropped at home, in a later turn.
        server
            .resolver()
            .resolve("host.test", 80)
            .await
            .expect("a host");
    });
}
