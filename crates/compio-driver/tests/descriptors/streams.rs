//! Random orders of stream operations, with fixed seeds.

use std::{
    collections::HashMap,
    future::Future,
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use compio_driver::{
    AcceptStream, BufferPool, CancelToken, Driver, DriverBuilder, Loan, OwnedFd, PooledBuffer,
    RecvStream, SharedFd,
};
use compio_testkit::random::Dice;

use super::{LONG, check, drain, open_now};

/// The byte at this position of every connection.
fn pattern(place: usize) -> u8 {
    (place * 31 % 251) as u8
}

/// This many unread bytes certainly fit between two sockets.
const UNREAD_MAX: usize = 10_000;

/// The far end of a connection.
struct Client {
    socket: TcpStream,
    sent: usize,
}

/// The driver's end.
struct Server {
    fd: SharedFd,
    stream: Option<RecvStream>,
    got: usize,
    /// The bytes that it has received.
    peer: SocketAddr,
    is_over: bool,
}

struct Game {
    dice: Dice,
    driver: Driver,
    listener: SharedFd,
    address: SocketAddr,
    accepts: Option<AcceptStream>,
    pools: Vec<BufferPool>,
    clients: HashMap<SocketAddr, Client>,
    servers: Vec<Server>,
    held: Vec<PooledBuffer>,
    token: CancelToken,
}

impl Game {
    fn new(driver: Driver, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pools = [(1, 16), (2, 100), (16, 64)]
            .map(|(count, size)| BufferPool::new(&driver, count, size).unwrap());
        Self {
            dice: Dice(seed),
            driver,
            address: listener.local_addr().unwrap(),
            listener: SharedFd::from(OwnedFd::from(listener)),
            accepts: None,
            pools: pools.into(),
            clients: HashMap::new(),
            servers: Vec::new(),
            held: Vec::new(),
            token: CancelToken::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(24) {
            0..=1 if self.clients.len() < 12 => {
                let socket = TcpStream::connect(self.address).unwrap();
                let address = socket.local_addr().unwrap();
                self.clients.insert(address, Client { socket, sent: 0 });
            }
            2..=5 => self.accept(),
            6 if self.dice.roll(4) == 0 => self.accepts = None,
            7..=10 if !self.servers.is_empty() => {
                let which = self.dice.roll(self.servers.len());
                let len = 1 + self.dice.roll(400);
                self.send(which, len);
            }
            11..=15 if !self.servers.is_empty() => {
                let which = self.dice.roll(self.servers.len());
                let keeps = self.dice.roll(3) == 0;
                let is_scoped = self.dice.roll(4) == 0;
                self.receive(which, keeps, is_scoped);
            }
            16..=17 if !self.held.is_empty() => {
                let which = self.dice.roll(self.held.len());
                drop(self.held.swap_remove(which));
            }
            18 if !self.servers.is_empty() => {
                let which = self.dice.roll(self.servers.len());
                if let Some(stream) = &mut self.servers[which].stream {
                    stream.cancel();
                }
            }
            // Dropping a stream loses its unread bytes.
            19 if !self.servers.is_empty() && self.dice.roll(6) == 0 => {
                let which = self.dice.roll(self.servers.len());
                let server = self.servers.swap_remove(which);
                self.clients.remove(&server.peer);
            }
            20 if self.dice.roll(3) == 0 => {
                self.token.cancel();
                self.token = CancelToken::new();
            }
            21 if !self.servers.is_empty() => {
                let which = self.dice.roll(self.servers.len());
                let len = 1 + self.dice.roll(300);
                let fd = self.servers[which].fd.clone();
                let buffer = vec![1; len];
                if self.dice.roll(2) == 0 {
                    let buffers = vec![buffer; 1 + self.dice.roll(6)];
                    let send = self.driver.send_msg_zero_copy(fd, buffers, None, 0);
                    self.send_zero_copy(send);
                } else {
                    let send = self.driver.send_zero_copy(fd, buffer, 0);
                    self.send_zero_copy(send);
                }
            }
            _ => self.driver.turn(Some(Duration::ZERO)).unwrap(),
        }
    }

    /// Ends a send in one of several ways.
    fn send_zero_copy<B>(
        &mut self,
        mut send: impl Future<Output = (io::Result<usize>, Loan<B>)> + Unpin,
    ) {
        match self.dice.roll(4) {
            0 => drop(send),
            1 => drop(Pin::new(&mut send).poll(&mut Context::from_waker(Waker::noop()))),
            2 => drop(run(&self.driver, send)),
            _ => {
                let (_, loan) = run(&self.driver, send);
                run(&self.driver, loan);
            }
        }
    }

    fn accept(&mut self) {
        let Self {
            accepts,
            driver,
            listener,
            ..
        } = self;
        let accepts = accepts.get_or_insert_with(|| driver.accept_stream(listener.clone()));
        let Poll::Ready(fd) = accepts.poll_next(&mut Context::from_waker(Waker::noop())) else {
            return;
        };
        let socket = TcpStream::from(fd.unwrap());
        let peer = socket.peer_addr().unwrap();
        self.servers.push(Server {
            fd: SharedFd::from(OwnedFd::from(socket)),
            stream: None,
            got: 0,
            peer,
            is_over: false,
        });
    }

    fn send(&mut self, which: usize, len: usize) {
        let server = &self.servers[which];
        let client = self.clients.get_mut(&server.peer).unwrap();
        if client.sent + len - server.got > UNREAD_MAX {
            return;
        }
        let bytes: Vec<_> = (client.sent..client.sent + len).map(pattern).collect();
        client.socket.write_all(&bytes).unwrap();
        client.sent += len;
    }

    fn receive(&mut self, which: usize, keeps: bool, is_scoped: bool) {
        let pool = self.dice.roll(self.pools.len());
        let server = &mut self.servers[which];
        let stream = server.stream.get_or_insert_with(|| {
            self.driver
                .recv_stream(server.fd.clone(), &self.pools[pool], 0)
        });
        let scope = is_scoped.then(|| self.driver.scope(&self.token));
        let next = stream.poll_next(&mut Context::from_waker(Waker::noop()));
        drop(scope);
        match next {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(buffer))) => {
                for byte in &*buffer {
                    assert_eq!(*byte, pattern(server.got));
                    server.got += 1;
                }
                if keeps {
                    self.held.push(buffer);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{error}");
            }
            Poll::Ready(None) => {
                // At EOF or after a cancel: the next stream continues at the same position.
                server.stream = None;
                let client = &self.clients[&server.peer];
                server.is_over = server.got == client.sent;
            }
        }
    }

    /// Receives all bytes that are in flight.
    fn finish(&mut self) {
        self.held.clear();
        for server in &mut self.servers {
            server.is_over = false;
            let client = &self.clients[&server.peer];
            client.socket.shutdown(Shutdown::Write).unwrap();
        }
        let began = Instant::now();
        while self.servers.iter().any(|server| !server.is_over) {
            for which in 0..self.servers.len() {
                if !self.servers[which].is_over {
                    self.receive(which, false, false);
                }
            }
            self.driver.turn(Some(Duration::from_millis(1))).unwrap();
            assert!(began.elapsed() < LONG, "bytes are missing");
        }
        for server in self.servers.drain(..) {
            assert_eq!(server.got, self.clients[&server.peer].sent);
        }
        self.accepts = None;
        drain(&self.driver);
        for pool in &self.pools {
            assert_eq!(pool.handed_out(), 0);
        }
    }
}

fn run<F: Future + Unpin>(driver: &Driver, mut future: F) -> F::Output {
    loop {
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(output) = polled {
            return output;
        }
        driver.turn(Some(LONG)).unwrap();
    }
}

/// A small queue has no room for the completions.
fn driver(seed: u64) -> Driver {
    let entries = if seed.is_multiple_of(2) { 4 } else { 256 };
    DriverBuilder::new().entries(entries).build().unwrap()
}

#[test]
fn streams_lose_neither_bytes_nor_descriptors() {
    for seed in 1..=10 {
        check(|_| {
            eprintln!("seed {seed}");
            let mut game = Game::new(driver(seed), seed);
            for _ in 0..1500 {
                game.step();
            }
            game.finish();
        });
    }
}

#[test]
fn streams_of_a_driver_that_dies_first_lose_no_descriptor() {
    for seed in 1..=10 {
        check(|_| {
            eprintln!("seed {seed}");
            let mut game = Game::new(driver(seed), seed);
            for _ in 0..500 {
                game.step();
            }
            let Game {
                driver,
                held,
                pools,
                mut servers,
                ..
            } = game;
            drop(driver);
            for stream in servers
                .iter_mut()
                .filter_map(|server| server.stream.as_mut())
            {
                let _ = stream.poll_next(&mut Context::from_waker(Waker::noop()));
            }
            drop(servers);
            drop(held);
            assert!(pools.iter().all(|pool| pool.handed_out() == 0));
        });
    }
}

#[test]
fn an_accept_stream_without_polls_accepts_few() {
    check(|driver| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepts = driver.accept_stream(SharedFd::from(OwnedFd::from(listener)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(accepts.poll_next(&mut context).is_pending());
        let before = open_now().len();
        let mut clients = Vec::new();
        for _ in 0..120 {
            clients.push(TcpStream::connect(address).unwrap());
            // The clients connect one by one: the kernel would accept a whole backlog at once.
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        let ahead = open_now().len() - before - clients.len();
        assert!(ahead <= 50, "{ahead}");
        // All connections arrive when the stream is polled.
        let began = Instant::now();
        for _ in 0..clients.len() {
            while accepts
                .poll_next(&mut context)
                .map(Result::unwrap)
                .is_pending()
            {
                driver.turn(Some(LONG)).unwrap();
                assert!(began.elapsed() < LONG, "some are missing");
            }
        }
        drop(accepts);
        drain(driver);
    });
}
