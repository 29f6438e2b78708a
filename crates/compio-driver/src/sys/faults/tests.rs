//! Random programs on the real backends with fault injection. Known bytes pass over many sockets while
//! operations are cancelled and dropped, on a ring with almost no room, and with false readiness.
//!
//! `COMPIO_SEED` and `COMPIO_SEEDS` have the same meaning as for the programs of `sim/`. A seed does
//! not determine the behaviour of the real kernel.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use super::{Chances, Faults};
use crate::{
    backend::BackendKind,
    buffers::BufferPool,
    cancel::CancelToken,
    driver::{Driver, DriverBuilder},
    fd::SharedFd,
    op::{Blocking, Nop, Recv, Send},
    request::is_cancelled,
    spin::SpinPolicy,
    submit::Submit,
    sys::{OwnedFd, programs::seeds, rng::Rng},
};

/// Long enough for any event.
const LONG: Duration = Duration::from_secs(60);

/// The number of programs per backend, unless the environment sets another.
const PROGRAMS: u64 = 100;

/// The number of bytes over each wire.
const LEN: usize = 2000;

const WIRES: usize = 4;

const IN_FLIGHT_MAX: usize = 40;

struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Relaxed: one thread makes all accesses.
        self.0.store(true, Relaxed);
    }
}

struct Player {
    future: Pin<Box<dyn Future<Output = ()>>>,
    bell: Arc<Bell>,
}

struct Program {
    driver: Rc<Driver>,
    rng: Rc<RefCell<Rng>>,
    players: Vec<Player>,
    /// The token of new operations.
    token: CancelToken,
    /// A socket that receives no bytes, for the receives in the two lists below.
    quiet: SharedFd,
    _peer: OwnedFd,
    careless: Vec<Submit<Recv<Vec<u8>>>>,
    cancelled: Vec<Submit<Recv<Vec<u8>>>>,
}

fn byte(place: usize) -> u8 {
    (place / 7) as u8
}

async fn send_all(driver: Rc<Driver>, fd: SharedFd, rng: Rc<RefCell<Rng>>) {
    let mut place = 0;
    while place < LEN {
        let len = (1 + rng.borrow_mut().roll(300)).min(LEN - place);
        let bytes: Vec<_> = (place..place + len).map(byte).collect();
        match driver.submit(Send::new(fd.clone(), bytes, 0)).await.0 {
            Ok(len) => place += len,
            Err(error) => assert!(is_cancelled(&error), "{error}"),
        }
    }
}

async fn recv_all(driver: Rc<Driver>, fd: SharedFd, rng: Rc<RefCell<Rng>>) {
    let mut place = 0;
    while place < LEN {
        let room = Vec::with_capacity(1 + rng.borrow_mut().roll(300));
        let (received, buffer) = driver.submit(Recv::new(fd.clone(), room, 0)).await;
        match received {
            Ok(0) => panic!("the end after {place} bytes"),
            Ok(_) => check(&mut place, &buffer),
            Err(error) => assert!(is_cancelled(&error), "{error}"),
        }
    }
}

async fn stream_all(driver: Rc<Driver>, fd: SharedFd, pool: BufferPool) {
    let mut place = 0;
    let mut stream = driver.recv_stream(fd, &pool, 0);
    while place < LEN {
        match poll_fn(|cx| stream.poll_next(cx)).await {
            Some(Ok(buffer)) => check(&mut place, &buffer),
            Some(Err(error)) => assert!(is_cancelled(&error), "{error}"),
            None => panic!("the end after {place} bytes"),
        }
    }
}

/// Checks the next bytes.
fn check(place: &mut usize, bytes: &[u8]) {
    for received in bytes {
        assert_eq!(*received, byte(*place), "at {place}");
        *place += 1;
    }
}

/// Accepts `count` connections.
async fn accept_all(driver: Rc<Driver>, fd: SharedFd, count: usize) {
    let mut stream = driver.accept_stream(fd);
    let mut accepted = 0;
    while accepted < count {
        match poll_fn(|cx| stream.poll_next(cx)).await {
            Ok(_) => accepted += 1,
            Err(error) => assert!(is_cancelled(&error), "{error}"),
        }
    }
}

async fn work(driver: Rc<Driver>, times: usize) {
    for _ in 0..times {
        match driver.submit(Blocking::new(|| 7)).await {
            Ok(result) => assert_eq!(result.unwrap(), 7),
            Err(error) => assert!(is_cancelled(&error), "{error}"),
        }
        if let Err(error) = driver.submit(Nop::new()).await {
            assert!(is_cancelled(&error), "{error}");
        }
    }
}

fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

/// Two ends of a TCP connection or a Unix socket pair.
fn wire(is_tcp: bool) -> (SharedFd, SharedFd) {
    if is_tcp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (share(near), share(listener.accept().unwrap().0))
    } else {
        let (near, far) = UnixStream::pair().unwrap();
        (share(near), share(far))
    }
}

impl Program {
    fn new(driver: Driver, rng: Rng) -> Self {
        let (quiet, peer) = UnixStream::pair().unwrap();
        Self {
            driver: Rc::new(driver),
            rng: Rc::new(RefCell::new(rng)),
            players: Vec::new(),
            token: CancelToken::new(),
            quiet: share(quiet),
            _peer: peer.into(),
            careless: Vec::new(),
            cancelled: Vec::new(),
        }
    }

    fn roll(&self, sides: usize) -> usize {
        self.rng.borrow_mut().roll(sides)
    }

    fn seat(&mut self, future: impl Future<Output = ()> + 'static) {
        self.players.push(Player {
            future: Box::pin(future),
            bell: Arc::new(Bell(AtomicBool::new(true))),
        });
    }

    fn seat_all(&mut self) {
        let pool = BufferPool::new(&self.driver, 2, 64).unwrap();
        for _ in 0..WIRES {
            let (near, far) = wire(self.roll(2) == 0);
            let (driver, rng) = (Rc::clone(&self.driver), Rc::clone(&self.rng));
            self.seat(send_all(driver, near, rng));
            let (driver, rng) = (Rc::clone(&self.driver), Rc::clone(&self.rng));
            if self.roll(2) == 0 {
                self.seat(recv_all(driver, far, rng));
            } else {
                self.seat(stream_all(driver, far, pool.clone()));
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let driver = Rc::clone(&self.driver);
        self.seat(accept_all(driver, share(listener), 5));
        let connections: Vec<_> = (0..5)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        self.seat(async move {
            let _open = connections;
        });
        self.seat(work(Rc::clone(&self.driver), 5));
    }

    /// Polls the players that were woken.
    fn poll(&mut self) {
        let Self {
            driver,
            token,
            players,
            ..
        } = self;
        players.retain_mut(|player| {
            if !player.bell.0.swap(false, Relaxed) {
                return true;
            }
            let waker = Waker::from(Arc::clone(&player.bell));
            let _scope = driver.scope(token);
            let polled = player
                .future
                .as_mut()
                .poll(&mut Context::from_waker(&waker));
            polled.is_pending()
        });
    }

    fn do_something_else(&mut self) {
        match self.roll(8) {
            0 => std::mem::take(&mut self.token).cancel(),
            // A queue with almost no room completes no more than this.
            1..=3 if self.driver.in_flight() < IN_FLIGHT_MAX => {
                let receive = Recv::new(self.quiet.clone(), Vec::with_capacity(10), 0);
                let mut receive = self.driver.submit(receive);
                let mut context = Context::from_waker(Waker::noop());
                assert!(Pin::new(&mut receive).poll(&mut context).is_pending());
                self.careless.push(receive);
            }
            4 if !self.careless.is_empty() => {
                let which = self.roll(self.careless.len());
                drop(self.careless.swap_remove(which));
            }
            5 if !self.careless.is_empty() => {
                let which = self.roll(self.careless.len());
                let receive = self.careless.swap_remove(which);
                receive.cancel();
                self.cancelled.push(receive);
            }
            6 => self.driver.waker().wake(),
            7 => drop(self.driver.prepare_to_sleep()),
            _ => {}
        }
    }

    fn run(mut self) {
        self.seat_all();
        let began = Instant::now();
        while !self.players.is_empty() {
            self.poll();
            self.do_something_else();
            self.poll();
            if !self.players.is_empty() {
                self.driver.turn(Some(LONG)).unwrap();
            }
            assert!(
                began.elapsed() < LONG,
                "{} players remain",
                self.players.len()
            );
        }
        self.careless.clear();
        self.cancelled.clear();
        while self.driver.in_flight() > 0 {
            self.driver.turn(Some(LONG)).unwrap();
            assert!(began.elapsed() < LONG, "{:?}", self.driver);
        }
        let fd = self.quiet.try_unwrap();
        fd.expect("no operation may hold the descriptor");
    }
}

/// The driver. None if the system refuses this backend.
fn build(builder: DriverBuilder) -> Option<Driver> {
    match builder.build() {
        Ok(driver) => Some(driver),
        Err(error) => {
            let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];
            assert!(kinds.contains(&error.kind()), "{error}");
            eprintln!("not tested: {error}");
            None
        }
    }
}

fn run_programs(kind: BackendKind) {
    for seed in seeds(PROGRAMS) {
        let mut rng = Rng::new(seed);
        let chances = Chances {
            refuses: rng.pick(&[0, 30, 70]),
            is_full: rng.pick(&[0, 30, 70]),
            is_tiny: rng.pick(&[0, 100]),
            misleads: rng.pick(&[0, 50]),
        };
        let _faults = Faults::begin(rng.fork(), chances);
        let builder = DriverBuilder::new().backend(kind).spin(SpinPolicy::Off);
        let Some(driver) = build(builder.entries(rng.pick(&[1, 2, 8]))) else {
            return;
        };
        Program::new(driver, rng).run();
    }
}

#[test]
fn a_ring_loses_nothing_by_faults() {
    run_programs(BackendKind::IoUring);
}

#[test]
fn readiness_loses_nothing_by_faults() {
    run_programs(BackendKind::Poll);
}

#[test]
fn outer_loop_does_not_sleep_while_the_queue_has_entries() {
    let Some(driver) = build(DriverBuilder::new().backend(BackendKind::IoUring)) else {
        return;
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut nop = driver.submit(Nop::new());
    assert!(Pin::new(&mut nop).poll(&mut context).is_pending());
    let refuses = Chances {
        refuses: 100,
        is_full: 0,
        is_tiny: 0,
        misleads: 0,
    };
    let faults = Faults::begin(Rng::new(0), refuses);
    assert!(!driver.prepare_to_sleep());
    assert!(Pin::new(&mut nop).poll(&mut context).is_pending());
    drop(faults);
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert!(Pin::new(&mut nop).poll(&mut context).is_ready());
}
