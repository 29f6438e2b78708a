//! The load client of the server rows: one program for all servers.
//!
//! A closed loop: every connection sends a request, waits for the whole reply, and sends the next,
//! until a fixed number of requests has been answered. It is a separate process, so that its CPU
//! time does not count as the server's. It is a single thread over edge-triggered epoll (`mio`),
//! because a thread per connection would measure the scheduler at 500 connections. It uses none of
//! the contenders.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpStream, UdpSocket, UnixStream},
};

use crate::workload::{Load, MESSAGE, PATIENCE};

/// The share of requests that warm up; they are served and counted as CPU, but not timed.
const WARM_UP_SHARE: usize = 10;
/// Time for the server to accept the last connection before the first request.
const SETTLE: Duration = Duration::from_millis(50);
/// After so many connections the client pauses, so that the server can accept them: its backlog is
/// finite, and a connection attempt that finds it full is repeated only after a second.
const CONNECTIONS_IN_A_ROW: usize = 64;
const BREATH: Duration = Duration::from_millis(2);

/// The client's workload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Over TCP, all connections send at once.
    Echo,
    /// Over TCP, one connection sends at a time.
    EchoInTurn,
    /// Over Unix sockets.
    EchoUnix,
    /// Over UDP.
    EchoUdp,
    /// Connects, waits for EOF, and connects again.
    Accept,
    /// One request on each connection; then it reports that and waits for EOF on its input.
    FallSilent,
}

const MANNERS: [(&str, Manner); 6] = [
    ("echo", Manner::Echo),
    ("echo-in-turn", Manner::EchoInTurn),
    ("echo-unix", Manner::EchoUnix),
    ("echo-udp", Manner::EchoUdp),
    ("accept", Manner::Accept),
    ("fall-silent", Manner::FallSilent),
];

impl Manner {
    /// Finds it by its name on the command line.
    pub fn find(name: &str) -> Option<Self> {
        let (_, manner) = MANNERS.iter().find(|(known, _)| *known == name)?;
        Some(*manner)
    }

    fn name(self) -> &'static str {
        let named = MANNERS.iter().find(|(_, manner)| *manner == self);
        named.expect("all are listed").0
    }
}

/// A running client.
pub struct Client {
    process: Child,
    /// Open until the client may exit.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// The client's measurements.
pub struct Answered {
    /// Requests per second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// The latency, in microseconds, that 99 of 100 requests stay below.
    pub p99: f64,
}

/// Starts the client as a process of its own. The address is a socket address or a path.
pub fn start(manner: Manner, address: &str, load: Load) -> io::Result<Client> {
    let mut process = Command::new(env::current_exe()?)
        .args(["client", "--manner", manner.name(), "--address", address])
        .args(["--connections", &load.width.to_string()])
        .args(["--count", &load.count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = process.stdout.take().expect("it is piped");
    Ok(Client {
        input: process.stdin.take(),
        output: BufReader::new(output),
        process,
    })
}

/// Waits until every connection of a client that falls silent has received its reply.
pub fn wait_for_silence(client: &mut Client) -> io::Result<()> {
    let mut line = String::new();
    client.output.read_line(&mut line)?;
    match line.as_str() {
        "silent\n" => Ok(()),
        _ => Err(io::Error::other("the client failed")),
    }
}

/// Stops the client, waits for its end and reads its measurements.
pub fn finish(mut client: Client) -> io::Result<Answered> {
    client.input = None;
    let mut line = String::new();
    client.output.read_to_string(&mut line)?;
    let status = client.process.wait()?;
    let values: Vec<f64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    match values[..] {
        [per_second, p50, p99] if status.success() => Ok(Answered {
            per_second,
            p50,
            p99,
        }),
        _ => Err(io::Error::other(format!("the client failed: {line}"))),
    }
}

/// The client's process: sends requests until `load.count` are answered, and prints its measurements.
pub fn run(manner: Manner, address: &str, load: Load) -> io::Result<()> {
    let started = Instant::now();
    let answered = match manner {
        Manner::Accept => come_and_go(address, load)?,
        _ => exchange(manner, address, load, started)?,
    };
    println!("{} {} {}", answered.per_second, answered.p50, answered.p99);
    Ok(())
}

fn exchange(
    manner: Manner,
    address: &str,
    load: Load,
    mut started: Instant,
) -> io::Result<Answered> {
    let mut poll = Poll::new()?;
    let mut connections = connect(&poll, manner, address, load.width)?;
    thread::sleep(SETTLE);

    let at_once = match manner {
        Manner::EchoInTurn => 1,
        Manner::FallSilent => CONNECTIONS_IN_A_ROW.min(load.width),
        _ => load.width,
    };
    let warm_up = load.count / WARM_UP_SHARE;
    let mut answered = 0;
    let longest = PATIENCE.as_nanos() as u64;
    let mut latencies = Histogram::<u64>::new_with_max(longest, 3).map_err(io::Error::other)?;
    for connection in &mut connections[..at_once] {
        connection.ask()?;
    }
    let mut asked = at_once;

    let mut events = Events::with_capacity(load.width.min(1024));
    while answered < load.count {
        poll.poll(&mut events, None)?;
        for event in &events {
            let index = event.token().0;
            let Some(latency) = connections[index].hear()? else {
                continue;
            };
            answered += 1;
            if answered == warm_up {
                started = Instant::now();
            } else if answered > warm_up {
                latencies.saturating_record(latency.as_nanos() as u64);
            }
            if asked < load.count {
                // If all connections send at once, the same one again.
                connections[(index + at_once) % load.width].ask()?;
                asked += 1;
            }
        }
    }

    let per_second = (load.count - warm_up) as f64 / started.elapsed().as_secs_f64();
    if manner == Manner::FallSilent {
        println!("silent");
        io::stdout().flush()?;
        io::stdin().read_to_end(&mut Vec::new())?;
    }
    let micros = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Answered {
        per_second,
        p50: micros(0.5),
        p99: micros(0.99),
    })
}

fn connect(
    poll: &Poll,
    manner: Manner,
    address: &str,
    connections: usize,
) -> io::Result<Vec<Connection>> {
    let connect = |index| {
        if index % CONNECTIONS_IN_A_ROW == CONNECTIONS_IN_A_ROW - 1 {
            thread::sleep(BREATH);
        }
        let mut stream = Stream::connect(manner, address)?;
        stream.register(poll, Token(index))?;
        Ok(Connection {
            stream,
            asked: Instant::now(),
            heard: MESSAGE,
        })
    };
    (0..connections).map(connect).collect()
}

/// The client of the accept row. A single attempt at a time waits like a blocking one; several
/// overlap.
fn come_and_go(address: &str, load: Load) -> io::Result<Answered> {
    let mut poll = Poll::new()?;
    let address = address.parse().map_err(io::Error::other)?;
    let attempt = |poll: &Poll, index| {
        let mut stream = TcpStream::connect(address)?;
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        io::Result::Ok((stream, Instant::now()))
    };
    let started = Instant::now();
    let mut latencies =
        Histogram::<u64>::new_with_max(PATIENCE.as_nanos() as u64, 3).map_err(io::Error::other)?;
    let mut attempts = (0..load.width)
        .map(|index| attempt(&poll, index))
        .collect::<io::Result<Vec<_>>>()?;
    let mut begun = load.width;
    let mut ended = 0;
    let mut events = Events::with_capacity(load.width);
    while ended < load.count {
        poll.poll(&mut events, None)?;
        for event in &events {
            let index = event.token().0;
            let (stream, since) = &mut attempts[index];
            match stream.read(&mut [0]) {
                Ok(0) => {}
                Ok(_) => return Err(io::Error::other("the server has sent data")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            latencies.saturating_record(since.elapsed().as_nanos() as u64);
            ended += 1;
            // Both ends have closed by then; after a reset, no port stays in `TIME_WAIT`.
            reset_on_close(stream)?;
            if begun < load.count {
                attempts[index] = attempt(&poll, index)?;
                begun += 1;
            }
        }
    }
    let per_second = load.count as f64 / started.elapsed().as_secs_f64();
    let micros = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Answered {
        per_second,
        p50: micros(0.5),
        p99: micros(0.99),
    })
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &at_once)?;
    Ok(())
}

struct Connection {
    stream: Stream,
    /// When the outstanding request was sent.
    asked: Instant,
    /// The number of received bytes of its reply.
    heard: usize,
}

impl Connection {
    fn ask(&mut self) -> io::Result<()> {
        self.asked = Instant::now();
        self.heard = 0;
        // Such a small message always fits into the empty send buffer.
        let sent = self.stream.send(&[b'x'; MESSAGE])?;
        assert_eq!(sent, MESSAGE, "all of it");
        Ok(())
    }

    /// Reads arrived bytes, and returns the latency once the reply is complete. It need not drain the
    /// socket, although events are edge-triggered: after a complete reply the socket is empty, and
    /// before that the missing part causes an event of its own.
    fn hear(&mut self) -> io::Result<Option<Duration>> {
        if self.heard == MESSAGE {
            return Ok(None);
        }
        let mut buffer = [0; MESSAGE];
        match self.stream.receive(&mut buffer[self.heard..]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.heard += length;
                let whole = self.heard == MESSAGE;
                Ok(whole.then(|| self.asked.elapsed()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
}

impl Stream {
    /// Connects and waits for the connection.
    fn connect(manner: Manner, address: &str) -> io::Result<Self> {
        Ok(match manner {
            Manner::EchoUnix => {
                let stream = std::os::unix::net::UnixStream::connect(address)?;
                stream.set_nonblocking(true)?;
                Self::Unix(UnixStream::from_std(stream))
            }
            Manner::EchoUdp => {
                let socket = net::UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                Self::Udp(UdpSocket::from_std(socket))
            }
            _ => {
                let stream = net::TcpStream::connect(address)?;
                stream.set_nonblocking(true)?;
                Self::Tcp(TcpStream::from_std(stream))
            }
        })
    }

    fn register(&mut self, poll: &Poll, token: Token) -> io::Result<()> {
        let (registry, interest) = (poll.registry(), Interest::READABLE);
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
            Self::Udp(socket) => registry.register(socket, token, interest),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Udp(socket) => socket.send(bytes),
        }
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(room),
            Self::Unix(stream) => stream.read(room),
            Self::Udp(socket) => socket.recv(room),
        }
    }
}
