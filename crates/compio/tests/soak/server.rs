//! A thread with a runtime that serves wave after wave.

mod services;

use std::{
    cell::{Cell, RefCell},
    io,
    os::linux::net::SocketAddrExt,
    os::unix::net::SocketAddr as UnixSocketAddr,
    process,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use compio::{
    driver::ThreadPool,
    event::EventHandle,
    io::AsyncRead,
    net::{TcpListener, UnixListener, UnixStream},
    runtime::{BufferPool, CancelToken, Runtime, is_cancelled},
    task::spawn,
    time::{sleep, timeout},
};
use socket2::Domain;

use crate::{LONG, client::Place, random::Random};
pub(crate) use services::Service;
use services::{Stream, serve};

/// Operations in flight at once during the warm-up, which allocates the room for them; more than a wave
/// has.
const ROOM: usize = 500;

/// The microseconds that an accept waits before it checks whether the wave is over.
const LOOK: usize = 3000;

/// Another thread that signals events.
#[derive(Clone)]
pub(crate) struct Bell(Sender<EventHandle>);

impl Bell {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<EventHandle>();
        thread::spawn(move || receiver.into_iter().for_each(|event| event.notify()));
        Self(sender)
    }

    pub(crate) fn ring(&self, event: EventHandle) {
        self.0.send(event).expect("the thread lives on");
    }
}

/// Begins a wave.
struct Order {
    random: Random,
    stop: Arc<AtomicBool>,
    places: Sender<Place>,
    over: Sender<()>,
}

pub(crate) struct Server {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

/// A wave under way.
pub(crate) struct Wave {
    places: Receiver<Place>,
    over: Receiver<()>,
}

impl Server {
    pub(crate) fn start(pool: &ThreadPool, bell: &Bell) -> Self {
        let (sender, orders) = mpsc::channel();
        let (pool, bell) = (pool.clone(), bell.clone());
        Self {
            orders: sender,
            thread: thread::spawn(move || run(pool, bell, &orders)),
        }
    }

    pub(crate) fn begin(&self, random: Random, stop: &Arc<AtomicBool>) -> Wave {
        let (place_sender, places) = mpsc::channel();
        let (over_sender, over) = mpsc::channel();
        let order = Order {
            random,
            stop: Arc::clone(stop),
            places: place_sender,
            over: over_sender,
        };
        self.orders.send(order).expect("a server that lives");
        Wave { places, over }
    }

    pub(crate) fn end(self) {
        drop(self.orders);
        self.thread.join().expect("a server without a panic");
    }
}

impl Wave {
    /// The addresses of the listeners.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.places.iter().collect()
    }

    /// Waits for the end of the wave.
    pub(crate) fn end(self) {
        self.over.recv().expect("a server without a panic");
    }
}

/// Shared state of a server's tasks.
pub(crate) struct House {
    pub(crate) random: RefCell<Random>,
    pub(crate) buffers: BufferPool,
    pub(crate) bell: Bell,
    stop: Arc<AtomicBool>,
    /// Connections that are being served.
    guests: Cell<usize>,
    /// Failures of connections.
    failures: RefCell<Vec<String>>,
}

impl House {
    pub(crate) fn below(&self, end: usize) -> usize {
        self.random.borrow_mut().below(end)
    }

    pub(crate) fn once_in(&self, times: usize) -> bool {
        self.random.borrow_mut().once_in(times)
    }

    pub(crate) fn micros_below(&self, end: usize) -> Duration {
        self.random.borrow_mut().micros_below(end)
    }

    fn is_closing(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// Runs a server until the orders end.
fn run(pool: ThreadPool, bell: Bell, orders: &Receiver<Order>) {
    let runtime = Runtime::builder().pool(pool).build().expect("a runtime");
    runtime.block_on(make_room());
    // Fewer buffers than a wave uses.
    let buffers = runtime.enter(|| BufferPool::new(16, 1024)).expect("a pool");
    settle(&runtime);
    for order in orders {
        let house = Rc::new(House {
            random: RefCell::new(order.random),
            buffers: buffers.clone(),
            bell: bell.clone(),
            stop: order.stop,
            guests: Cell::new(0),
            failures: RefCell::default(),
        });
        runtime
            .block_on(wave(&house, order.places))
            .expect("no limit");
        settle(&runtime);
        assert_eq!(buffers.handed_out(), 0);
        let failures = house.failures.take();
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(Rc::strong_count(&house), 1);
        order.over.send(()).expect("a waiting thread");
    }
}

/// Begins many operations of either size, many tasks, many timers.
async fn make_room() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listener = Rc::new(listener);
    let mut tasks = Vec::new();
    for _ in 0..ROOM {
        let (mut near, far) = UnixStream::pair().expect("a pair");
        let listener = Rc::clone(&listener);
        tasks.push(spawn(async move {
            let _far = far;
            drop(timeout(LONG, near.read(vec![0; 1])).await);
        }));
        tasks.push(spawn(async move {
            drop(timeout(LONG, listener.accept()).await);
        }));
    }
    sleep(Duration::from_millis(1)).await;
    for task in tasks {
        task.abort();
        task.await.expect_err("it has been aborted");
    }
}

/// Waits until no operation is in flight, and no task is left.
fn settle(runtime: &Runtime) {
    let began = Instant::now();
    loop {
        let state = format!("{runtime:?}");
        if state.contains("tasks: 0,") && state.contains("in_flight: 0 ") {
            return;
        }
        assert!(began.elapsed() < LONG, "work is left: {state}");
        runtime.block_on(sleep(Duration::from_micros(200)));
    }
}

async fn wave(house: &Rc<House>, places: Sender<Place>) -> io::Result<()> {
    let mut listeners = Vec::new();
    for kind in 0..3 {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let address = tcp.local_addr()?.into();
        let place = Place {
            domain: Domain::IPV4,
            address,
        };
        places.send(place).expect("a waiting thread");
        let house_of_tcp = Rc::clone(house);
        listeners.push(spawn(
            async move { house_of_tcp.listen_tcp(tcp, kind).await },
        ));

        let (unix, place) = unix_listener()?;
        places.send(place).expect("a waiting thread");
        let house_of_unix = Rc::clone(house);
        listeners.push(spawn(
            async move { house_of_unix.listen_unix(unix, kind).await },
        ));
    }
    drop(places);
    for listener in listeners {
        listener.await.expect("no panic")?;
    }
    let began = Instant::now();
    while house.guests.get() > 0 {
        assert!(began.elapsed() < LONG * 2, "connections do not end");
        sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}

fn unix_listener() -> io::Result<(UnixListener, Place)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Relaxed);
    let name = format!("compio-soak-{}-{count}", process::id());
    let listener = UnixListener::bind_addr(&UnixSocketAddr::from_abstract_name(&name)?)?;
    let place = Place {
        domain: Domain::UNIX,
        address: socket2::SockAddr::unix(format!("\0{name}"))?,
    };
    Ok((listener, place))
}

/// Accepts until the wave is over, in one of three ways.
macro_rules! listen {
    ($name:ident, $listener:ty) => {
        async fn $name(self: &Rc<Self>, listener: $listener, kind: usize) -> io::Result<()> {
            let mut incoming = listener.incoming();
            // The last round serves the connections that have come by then.
            let mut is_last = false;
            while !is_last {
                is_last = self.is_closing();
                match kind {
                    // Drops the accept, as a `select` does.
                    0 => {
                        let accept = timeout(self.micros_below(LOOK), listener.accept());
                        if let Ok(accepted) = accept.await {
                            self.welcome(accepted?.0);
                        }
                    }
                    1 => {
                        let next = timeout(self.micros_below(LOOK), incoming.next());
                        if let Ok(accepted) = next.await {
                            self.welcome(accepted.expect("an endless stream")?);
                        }
                        if self.once_in(100) {
                            incoming = listener.incoming();
                        }
                    }
                    _ => {
                        let token = CancelToken::new();
                        let (pause, canceller) = (self.micros_below(LOOK), token.clone());
                        let cancels = spawn(async move {
                            sleep(pause).await;
                            canceller.cancel();
                        });
                        match token.run(listener.accept()).await {
                            Ok((stream, _)) => self.welcome(stream),
                            Err(error) if is_cancelled(&error) => {}
                            Err(error) => return Err(error),
                        }
                        cancels.abort();
                    }
                }
            }
            Ok(())
        }
    };
}

impl House {
    listen!(listen_tcp, TcpListener);
    listen!(listen_unix, UnixListener);

    fn welcome(self: &Rc<Self>, stream: impl Stream) {
        let guest = Guest::new(self);
        drop(spawn(async move {
            // A peer that closes early is no failure.
            let mut service = None;
            let served = serve(stream, &guest.0, &mut service);
            if timeout(LONG, served).await.is_err() {
                let failure = format!("a connection hangs: {service:?}, {:?}", guest.0.buffers);
                guest.0.failures.borrow_mut().push(failure);
            }
        }));
    }
}

/// A connection that is being served.
struct Guest(Rc<House>);

impl Guest {
    fn new(house: &Rc<House>) -> Self {
        house.guests.set(house.guests.get() + 1);
        Self(Rc::clone(house))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.set(self.0.guests.get() - 1);
        if thread::panicking() {
            let failure = "a panic".to_owned();
            self.0.failures.borrow_mut().push(failure);
        }
    }
}
