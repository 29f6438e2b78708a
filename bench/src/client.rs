//! The load client of the echo row: one and the same program whoever serves.
//!
//! A closed loop: every connection sends a request, waits for the whole reply, and sends the next,
//! until a fixed number of requests has been answered. It is a process of its own, so that its CPU
//! time is not the server's, and a single thread over edge-triggered epoll (`mio`), because a
//! thread per connection would measure the scheduler at 500 connections. It runs none of the
//! contenders.

use std::{
    env,
    io::{self, Read, Write},
    net::{self, SocketAddr},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::{
    PATIENCE,
    rows::{Load, echo::MESSAGE},
};

/// Requests up to here warm up; they are served and counted as CPU, but not timed.
const WARM_UP_SHARE: usize = 10;
/// Time for the server to accept the last connection before the first request.
const SETTLE: Duration = Duration::from_millis(50);

/// What the client saw.
pub struct Answered {
    /// Requests per second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// The latency, in microseconds, that 99 of 100 requests stay below.
    pub p99: f64,
}

/// Starts the client as a process of its own.
pub fn start(address: SocketAddr, load: Load) -> io::Result<Child> {
    assert!(address.ip().is_loopback(), "the client stays on loopback");
    Command::new(env::current_exe()?)
        .args(["client", "--address", &address.to_string()])
        .args(["--connections", &load.width.to_string()])
        .args(["--count", &load.count.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

/// Waits for the client's end and reads what it saw.
pub fn finish(client: Child) -> io::Result<Answered> {
    let output = client.wait_with_output()?;
    let line = String::from_utf8_lossy(&output.stdout);
    let values: Vec<f64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    match values[..] {
        [per_second, p50, p99] if output.status.success() => Ok(Answered {
            per_second,
            p50,
            p99,
        }),
        _ => Err(io::Error::other(format!("the client failed: {line}"))),
    }
}

/// The client's process: asks until `load.count` requests are answered and prints what it saw.
pub fn run(address: SocketAddr, load: Load) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut connections = connect(&poll, address, load.width)?;
    thread::sleep(SETTLE);

    let warm_up = load.count / WARM_UP_SHARE;
    let mut asked = 0;
    let mut answered = 0;
    let longest = PATIENCE.as_nanos() as u64;
    let mut latencies = Histogram::<u64>::new_with_max(longest, 3).map_err(io::Error::other)?;
    let mut started = Instant::now();
    for connection in &mut connections {
        connection.ask()?;
        asked += 1;
    }

    let mut events = Events::with_capacity(load.width);
    while answered < load.count {
        poll.poll(&mut events, None)?;
        for event in &events {
            let connection = &mut connections[event.token().0];
            let Some(latency) = connection.hear()? else {
                continue;
            };
            answered += 1;
            if answered == warm_up {
                started = Instant::now();
            } else if answered > warm_up {
                latencies.saturating_record(latency.as_nanos() as u64);
            }
            if asked < load.count {
                connection.ask()?;
                asked += 1;
            }
        }
    }

    let per_second = (load.count - warm_up) as f64 / started.elapsed().as_secs_f64();
    let micros = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    println!("{per_second} {} {}", micros(0.5), micros(0.99));
    Ok(())
}

fn connect(poll: &Poll, address: SocketAddr, connections: usize) -> io::Result<Vec<Connection>> {
    let connect = |index| {
        let stream = net::TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE;
        poll.registry()
            .register(&mut stream, Token(index), interest)?;
        Ok(Connection {
            stream,
            asked: Instant::now(),
            heard: MESSAGE,
        })
    };
    (0..connections).map(connect).collect()
}

struct Connection {
    stream: TcpStream,
    /// When the outstanding request was sent.
    asked: Instant,
    /// How much of its reply has arrived.
    heard: usize,
}

impl Connection {
    fn ask(&mut self) -> io::Result<()> {
        self.asked = Instant::now();
        self.heard = 0;
        // So small a message always fits into the empty send buffer.
        self.stream.write_all(&[b'x'; MESSAGE])
    }

    /// Takes what has arrived; gives the latency once the reply is whole. Not reading on until the
    /// socket is empty is sound with edge-triggered events: after a whole reply there is nothing
    /// left to read, and before it the missing part brings an event of its own.
    fn hear(&mut self) -> io::Result<Option<Duration>> {
        if self.heard == MESSAGE {
            return Ok(None);
        }
        let mut buffer = [0; MESSAGE];
        match self.stream.read(&mut buffer[self.heard..]) {
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
