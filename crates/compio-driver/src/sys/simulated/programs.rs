//! A simulated host under random programs. Its peers are sockets of a second host.

use std::{
    array,
    cell::{Cell, RefCell},
    io::{self, IoSliceMut},
    iter,
    net::{Ipv4Addr, Shutdown, SocketAddr},
    ptr,
    rc::Rc,
    time::Duration,
};

use libc::{ECONNRESET, EINPROGRESS, EIO, O_CREAT, O_RDWR};
use socket2::{Domain, SockAddr, Type};

use super::{
    Advanced, DiskFaults, EnteredHost, HostId, NetworkFaults, Settings, World,
    descriptors::own,
    requests::{Outcome, descriptor_of, queue_of},
    waiters::Queue,
};
use crate::{
    driver::{Driver, DriverBuilder},
    fd::SharedFd,
    os_calls::socket::{self, SocketRef},
    request::{CURRENT_DIR, Net, Request, ready},
    sys::{
        AsFd, AsRawFd, BorrowedFd, RawFd,
        programs::{FILE_LEN, Memory, TestKernel, is_made_of_buffers},
        rng::Rng,
    },
};

/// The number of streams that are connected together.
const SPARE: usize = 40;

pub(in crate::sys) struct SimulatedHost {
    world: Rc<World>,
    host: HostId,
    peer: HostId,
    rng: RefCell<Rng>,
    objects: RefCell<Vec<Object>>,
    /// Connected streams that no object uses: the host's end and the peer's.
    spare: RefCell<Vec<(SharedFd, SharedFd)>>,
    /// Sockets of the peer that connect to listeners of the host.
    clients: RefCell<Vec<SharedFd>>,
    peer_listener: SharedFd,
    has_bad_sectors: bool,
    is_calm: Cell<bool>,
    /// Dropped last: the drop of a descriptor needs a current host.
    _entered: EnteredHost,
}

struct Object {
    fd: RawFd,
    role: Role,
}

enum Role {
    Stream(Box<Stream>),
    Listener { address: SocketAddr, clients: usize },
    Other,
}

struct Stream {
    peer: SharedFd,
    /// The number of bytes that the peer has sent.
    filled: usize,
    is_finished: bool,
    /// The number of received bytes of each value.
    claimed: [usize; 256],
    /// All bytes that the peer has received.
    written: Vec<u8>,
    /// Whether the peer has got a reset.
    is_reset: bool,
    may_lose: bool,
}

impl SimulatedHost {
    pub(in crate::sys) fn for_programs(mut rng: Rng) -> Rc<dyn TestKernel> {
        let latency = rng.pick(&[(0, 0), (1, 1), (0, 20)]);
        let world = World::new(Settings {
            seed: rng.next(),
            latency: Duration::from_millis(latency.0)..=Duration::from_millis(latency.1),
            shuffle: None,
        });
        let [host, peer] = ["host", "peer"].map(|name| world.add_host(name, None).unwrap());
        let entered = world.enter(peer);
        let peer_listener = listen();
        drop(entered);
        let entered = world.enter(host);
        write_file(&world, host);
        let mut disk = DiskFaults::default();
        if rng.percent(50) {
            world.set_network_faults(NetworkFaults {
                reset: 0.0,
                ..world.draw_network_faults()
            });
            disk = DiskFaults {
                bit_rot: 0.0,
                ..world.draw_disk_faults(host)
            };
        }
        let has_bad_sectors = disk.read_error > 0.0;
        world.set_disk_faults(host, disk);
        Rc::new(Self {
            world,
            host,
            peer,
            rng: RefCell::new(rng),
            objects: RefCell::default(),
            spare: RefCell::default(),
            clients: RefCell::default(),
            peer_listener,
            has_bad_sectors,
            is_calm: Cell::new(false),
            _entered: entered,
        })
    }

    fn on_peer<T>(&self, code: impl FnOnce() -> T) -> T {
        let _entered = self.world.enter(self.peer);
        code()
    }

    fn add(&self, fd: RawFd, role: Role) -> usize {
        let mut objects = self.objects.borrow_mut();
        objects.push(Object { fd, role });
        objects.len() - 1
    }

    /// Nothing if the object is no stream.
    fn with_stream(&self, object: usize, code: impl FnOnce(&mut Stream)) {
        if let Role::Stream(stream) = &mut self.objects.borrow_mut()[object].role {
            code(stream);
        }
    }

    /// The address of a listener of this host.
    fn address(&self, host: HostId, listener: &SharedFd) -> SocketAddr {
        let _entered = self.world.enter(host);
        let local = SocketRef::new(listener.as_fd()).local_addr().unwrap();
        let port = local.as_socket().unwrap().port();
        (self.world.address(host), port).into()
    }

    /// The next connection of a listener.
    fn accept(&self, host: HostId, fd: RawFd) -> Option<SharedFd> {
        let peer = ptr::null_mut();
        let accept = Request::Net(Net::Accept { fd, peer });
        let mut state = self.world.state();
        let listener = state.socket_of(host, fd).unwrap();
        // SAFETY: the request has no memory.
        match unsafe { state.attempt_on_socket(listener, &accept) } {
            Outcome::Done(answer) => Some(own(answer.unwrap() as RawFd).into()),
            Outcome::Wait(..) => None,
        }
    }

    fn connect_spare(&self) {
        let listener = self.on_peer(listen);
        let address = self.address(self.peer, &listener);
        for _ in 0..SPARE {
            let near = connect(address);
            let socket = SocketRef::new(near.as_fd());
            while socket.peer_addr().is_err() {
                self.world.advance(Duration::MAX);
            }
            if self.rng.borrow_mut().percent(50) {
                // The smallest ones.
                socket.set_send_buffer_size(0).unwrap();
                socket.set_recv_buffer_size(0).unwrap();
            }
            let far = self.accept(self.peer, listener.as_raw_fd()).unwrap();
            self.spare.borrow_mut().push((near, far));
        }
    }

    /// Executes all events.
    fn settle(&self) {
        while self.world.advance(Duration::MAX) == Advanced::Event {}
    }

    /// Uses the memory of the requests in flight. Checks that their descriptors are open, and that they have to
    /// wait.
    fn use_requests(&self) {
        let noise = self.rng.borrow_mut().roll(256) as u8;
        let state = self.world.state();
        for request in state.drivers.requests() {
            let fd = descriptor_of(&request);
            assert!(
                fd.is_none_or(|fd| state.descriptors.get(fd, self.host).is_ok()),
                "{request:?} lost its descriptor before it was completed"
            );
            let events = match queue_of(&request) {
                Some(Queue::Read) => ready::IN,
                Some(Queue::Write) => ready::OUT,
                Some(Queue::Other) | None => 0,
            };
            let socket = state.socket_of_request(self.host, &request);
            let is_ready = socket.is_some_and(|socket| state.ready_events(socket) & events != 0);
            assert!(!is_ready, "{request:?} waits without a reason");
            // SAFETY: the request has not been reported as completed, by the contract of `submit`.
            unsafe { Memory::of(&request).touch(noise) };
        }
    }
}

impl TestKernel for SimulatedHost {
    fn driver(&self) -> Driver {
        self.world.make_ready(self.host);
        DriverBuilder::new().build().unwrap()
    }

    /// As the loop of `compio::sim` with `Runtime::poll_with`. Until [`calm_down`](Self::calm_down), the turns come at any
    /// time.
    fn turn(&self, driver: &Driver) -> io::Result<()> {
        self.use_requests();
        driver.set_outer_waker(Some(self.world.waker(self.host)));
        if !driver.prepare_to_sleep() {
            self.world.make_ready(self.host);
        }
        if self.is_calm.get() {
            while self.world.take_ready().is_none() {
                if self.world.advance(Duration::MAX) == Advanced::Nothing {
                    return Ok(());
                }
            }
        } else {
            for _ in 0..self.rng.borrow_mut().roll(4) {
                self.world.advance(Duration::MAX);
            }
            // Completions wait for a later turn.
            if self.rng.borrow_mut().percent(30) {
                return Ok(());
            }
        }
        driver.turn(Some(Duration::ZERO))
    }

    fn stream(&self) -> (usize, SharedFd) {
        if self.spare.borrow().is_empty() {
            self.connect_spare();
        }
        let (near, peer) = self.spare.borrow_mut().pop().unwrap();
        let stream = Box::new(Stream::new(peer));
        (self.add(near.as_raw_fd(), Role::Stream(stream)), near)
    }

    fn listener(&self) -> (usize, SharedFd) {
        let fd = listen();
        let address = self.address(self.host, &fd);
        let role = Role::Listener {
            address,
            clients: 0,
        };
        (self.add(fd.as_raw_fd(), role), fd)
    }

    fn file(&self) -> (usize, SharedFd) {
        let file = open_file(&self.world, self.host);
        (self.add(file.as_raw_fd(), Role::Other), file)
    }

    fn peer(&self) -> SocketAddr {
        self.address(self.peer, &self.peer_listener)
    }

    fn ignores_addresses(&self) -> bool {
        false
    }

    fn count(&self) -> usize {
        self.objects.borrow().len()
    }

    fn which(&self, fd: RawFd) -> usize {
        let objects = self.objects.borrow();
        let known = objects.iter().position(|object| object.fd == fd);
        drop(objects);
        known.unwrap_or_else(|| self.add(fd, Role::Other))
    }

    fn is_closed(&self, object: usize) -> bool {
        let fd = self.objects.borrow()[object].fd;
        self.world.state().descriptors.get(fd, self.host).is_err()
    }

    fn send_from_peer(&self, stream: usize, len: usize) {
        self.with_stream(stream, |stream| {
            let bytes: Vec<_> = (stream.filled..stream.filled + len)
                .map(|place| place as u8)
                .collect();
            let sent = self.on_peer(|| SocketRef::new(stream.peer.as_fd()).try_send(&bytes));
            stream.filled += stream.note_reset(sent).unwrap_or(0);
        });
    }

    fn finish_peer(&self, stream: usize) {
        self.with_stream(stream, |stream| {
            if !std::mem::replace(&mut stream.is_finished, true) {
                let peer = SocketRef::new(stream.peer.as_fd());
                // An error after a reset.
                let _ = self.on_peer(|| peer.shutdown(Shutdown::Write));
            }
        });
    }

    fn connect_peers(&self, listener: usize, count: usize) {
        let Role::Listener { address, clients } = &mut self.objects.borrow_mut()[listener].role
        else {
            unreachable!("peers connect to listeners")
        };
        *clients += count;
        let new = iter::repeat_with(|| connect(*address)).take(count);
        self.on_peer(|| self.clients.borrow_mut().extend(new));
    }

    fn complete_waits(&self, listeners: &[usize]) {
        for object in 0..self.count() {
            self.with_stream(object, |stream| stream.receive(self));
            self.finish_peer(object);
        }
        for listener in listeners {
            let fd = self.objects.borrow()[*listener].fd;
            // SAFETY: the listeners of a program stay open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            if !SocketRef::new(fd).is_readable().unwrap() {
                self.connect_peers(*listener, 1);
            }
        }
    }

    fn end_connections(&self, _: usize) {
        self.settle();
    }

    fn accepted(&self, listener: usize) -> usize {
        let Object { fd, role } = &self.objects.borrow()[listener];
        let Role::Listener { clients, .. } = role else {
            unreachable!("listeners accept")
        };
        // Without a shutdown, there are none.
        let left = iter::from_fn(|| self.accept(self.host, *fd));
        clients - left.count()
    }

    fn permit_loss(&self, stream: usize) {
        self.with_stream(stream, |stream| stream.may_lose = true);
    }

    fn claim(&self, stream: usize, position: Option<usize>, bytes: &[u8]) {
        let mut steps = bytes.windows(2);
        assert!(steps.all(|pair| pair[0].wrapping_add(1) == pair[1]));
        assert!(position.is_none_or(|position| position as u8 == bytes[0]));
        self.with_stream(stream, |stream| stream.claim(bytes));
    }

    fn check_eof(&self, stream: usize, position: usize) {
        self.with_stream(stream, |stream| {
            assert!(stream.is_finished && stream.filled == position);
        });
    }

    fn check_sent(&self, stream: usize, len: usize) {
        self.settle();
        let fd = self.objects.borrow()[stream].fd;
        let is_open = !self.is_closed(stream);
        self.with_stream(stream, |stream| {
            stream.receive(self);
            stream.check_sent(len);
            if is_open {
                // SAFETY: it stays open during the call.
                let near = unsafe { BorrowedFd::borrow_raw(fd) };
                let (unread, _) = receive(near);
                stream.claim(&unread);
                stream.check_claims();
            }
        });
    }

    fn may_fail_with(&self, code: i32) -> bool {
        self.has_bad_sectors && code == EIO
    }

    fn calm_down(&self) {
        self.is_calm.set(true);
        self.world.calm_network();
        self.world.set_disk_faults(self.host, DiskFaults::default());
    }

    fn progress(&self) -> u64 {
        self.world.trace_hash()
    }

    fn check_end(&self) {
        self.spare.take();
        let state = self.world.state();
        let open = state.descriptors.of_host(self.host);
        assert!(open.is_empty(), "descriptors are open: {open:?}");
        let mut sockets = state.network.sockets.values();
        assert!(
            sockets.all(|socket| socket.host != self.host),
            "a socket without a descriptor is open"
        );
    }
}

impl Stream {
    fn new(peer: SharedFd) -> Self {
        Self {
            peer,
            filled: 0,
            is_finished: false,
            claimed: [0; 256],
            written: Vec::new(),
            is_reset: false,
            may_lose: false,
        }
    }

    fn note_reset<T>(&mut self, result: io::Result<T>) -> Option<T> {
        let code = result.as_ref().err().and_then(io::Error::raw_os_error);
        self.is_reset |= code == Some(ECONNRESET);
        result.ok()
    }

    /// The peer receives the bytes that have arrived.
    fn receive(&mut self, kernel: &SimulatedHost) {
        let (bytes, end) = kernel.on_peer(|| receive(self.peer.as_fd()));
        self.written.extend(bytes);
        self.note_reset(end);
    }

    fn claim(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.claimed[usize::from(*byte)] += 1;
        }
    }

    /// Checks that the claimed bytes equal the bytes of the peer.
    fn check_claims(&self) {
        let sent: [_; 256] = array::from_fn(|byte| (self.filled + 255 - byte) / 256);
        let mut claims = self.claimed.iter().zip(sent);
        assert!(claims.all(|(claimed, sent)| *claimed == sent || *claimed < sent && self.may_lose));
    }

    /// A reset may overtake bytes that were lost.
    fn check_sent(&self, len: usize) {
        let written = self.written.len();
        let has_more = written > len && self.may_lose;
        let has_less = written < len && self.is_reset;
        assert!(written == len || has_more || has_less);
        assert!(is_made_of_buffers(&self.written));
    }
}

/// All bytes that have arrived, and the result of the last call.
fn receive(fd: BorrowedFd<'_>) -> (Vec<u8>, io::Result<usize>) {
    let mut bytes = Vec::new();
    loop {
        let mut room = [0; 4096];
        let received = SocketRef::new(fd).try_recv_vectored(&mut [IoSliceMut::new(&mut room)]);
        match received {
            Ok(len) if len > 0 => bytes.extend_from_slice(&room[..len]),
            end => return (bytes, end),
        }
    }
}

/// A listener of the current host.
fn listen() -> SharedFd {
    let fd = SharedFd::from(socket::create(Domain::IPV4, Type::STREAM, None).unwrap());
    let socket = SocketRef::new(fd.as_fd());
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    socket.bind(&SockAddr::from(any)).unwrap();
    socket.listen(i32::MAX).unwrap();
    fd
}

/// A socket of the current host that connects.
fn connect(address: SocketAddr) -> SharedFd {
    let fd = SharedFd::from(socket::create(Domain::IPV4, Type::STREAM, None).unwrap());
    let begun = SocketRef::new(fd.as_fd()).connect(&address.into());
    assert_eq!(begun.unwrap_err().raw_os_error(), Some(EINPROGRESS));
    fd
}

fn open_file(world: &World, host: HostId) -> SharedFd {
    let flags = O_CREAT | O_RDWR;
    let opened = world
        .state()
        .open_file(host, CURRENT_DIR, b"/file", flags, 0o600);
    own(opened.unwrap()).into()
}

fn write_file(world: &World, host: HostId) {
    let file = open_file(world, host);
    let bytes: Vec<_> = (0..FILE_LEN).map(|place| place as u8).collect();
    let mut state = world.state();
    let id = state.file_of(host, file.as_raw_fd()).unwrap();
    let time = state.wall_time(host);
    let written = state.hosts[host].files.write(id, None, &bytes, time);
    assert_eq!(written, Ok(FILE_LEN as u32));
    drop(state);
}
