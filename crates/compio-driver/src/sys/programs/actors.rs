//! The actors of random programs: each executes one or more operations, and checks their results.

use std::{cell::Cell, future, io, panic, pin::Pin, rc::Rc};

use super::{
    FILE_LEN,
    harness::{Actor, Harness},
    probes::panic_as_planned,
};
use crate::{
    cancel::CancelToken,
    fd::SharedFd,
    op::{
        Accept, Blocking, Close, Connect, Nop, Open, PollOnce, ReadAt, Readiness, Recv, RecvFrom,
        Send, SendMsg, Socket, WriteAt, WriteVectoredAt,
    },
    sys::AsRawFd,
    zero_copy::Loan,
};

/// The state of an actor, with the tokens that may cancel it.
#[derive(Clone)]
struct Occupant {
    harness: Rc<Harness>,
    tokens: Vec<CancelToken>,
}

/// A random actor, and the objects that it uses.
pub(super) fn any(harness: &Rc<Harness>, tokens: &[CancelToken]) -> (Vec<usize>, Actor) {
    let me = Occupant {
        harness: Rc::clone(harness),
        tokens: tokens.to_vec(),
    };
    let shared = harness.streams[harness.roll(harness.streams.len())].clone();
    let own = || harness.kernel.stream();
    match harness.roll(18) {
        0 => (vec![], Box::pin(me.nop())),
        1 => (vec![], Box::pin(me.work())),
        2..=3 => (vec![shared.0], Box::pin(me.receive(shared))),
        4 => (vec![shared.0], Box::pin(me.send(shared))),
        5 => (vec![], Box::pin(me.read_file())),
        6 => on_own(own(), |own| Box::pin(me.receive_all(own))),
        7 => on_own(own(), |own| Box::pin(me.send_all(own))),
        8..=9 => on_own(own(), |own| Box::pin(me.stream(own))),
        10 => (vec![], Box::pin(me.accept())),
        11 => (vec![], Box::pin(me.accept_kept())),
        12 => (vec![], Box::pin(me.accept_stream())),
        13 => (vec![shared.0], Box::pin(me.send_uncopied(shared))),
        14 => (vec![], Box::pin(me.wait_for(own().1))),
        15 => (vec![], Box::pin(me.open())),
        16 => (vec![], Box::pin(me.connect())),
        _ => on_own(own(), |own| Box::pin(me.close(own))),
    }
}

/// An actor with a stream of its own.
fn on_own(
    own: (usize, SharedFd),
    actor: impl FnOnce((usize, SharedFd)) -> Actor,
) -> (Vec<usize>, Actor) {
    (vec![own.0], actor(own))
}

impl Occupant {
    /// Whether another try makes sense. Panics if the error has no cause.
    fn may_go_on(&self, error: &io::Error) -> bool {
        let is_told_to_stop = self.tokens.iter().any(CancelToken::is_cancelled);
        let is_shut_down = self.harness.is_shut_down.get();
        match error.raw_os_error() {
            None => {
                assert!(is_shut_down, "{error}");
                false
            }
            Some(libc::ECANCELED) if is_told_to_stop || is_shut_down => false,
            Some(code) => {
                assert!(self.harness.kernel.may_fail_with(code), "{error}");
                true
            }
        }
    }

    /// Checks the result of an operation that is executed once and may fail.
    fn check<T>(&self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.may_go_on(&error);
                self.harness.record(error.to_string());
                None
            }
        }
    }

    /// Claims received bytes, at this position if it is known.
    fn claim(&self, from: usize, place: Option<usize>, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.harness.kernel.claim(from, place, bytes);
            self.harness
                .record(format!("{} bytes of {from}: {}, …", bytes.len(), bytes[0]));
        }
    }

    async fn nop(self) {
        let done = self.harness.driver.submit(Nop::new()).await;
        self.check(done);
    }

    async fn work(self) {
        let panics = self.harness.percent(20);
        let code = move || {
            if panics {
                panic_as_planned();
            }
            7
        };
        let done = self.harness.driver.submit(Blocking::new(code)).await;
        match self.check(done) {
            Some(Ok(result)) => assert!(result == 7 && !panics),
            Some(Err(panic)) => {
                assert!(panics);
                panic::resume_unwind(panic);
            }
            None => {}
        }
    }

    async fn receive(self, (thing, fd): (usize, SharedFd)) {
        let (driver, buffer) = (&self.harness.driver, self.harness.room());
        let (received, buffer) = match self.harness.roll(3) {
            0 => driver.submit(Recv::new(fd, buffer, 0)).await,
            1 => driver.submit(ReadAt::at_cursor(fd, buffer)).await,
            _ => {
                let (received, buffer) = driver.submit(RecvFrom::new(fd, buffer, 0)).await;
                (received.map(|(len, _)| len), buffer)
            }
        };
        if let Some(len) = self.check(received) {
            assert_eq!(len, buffer.bytes().len());
            self.claim(thing, None, buffer.bytes());
        }
    }

    async fn send(self, (thing, fd): (usize, SharedFd)) {
        let (driver, first) = (&self.harness.driver, self.harness.words(0));
        let rest = self.harness.words(first.bytes().len());
        // The buffers' destructors may panic, so the result is recorded first.
        let (sent, _buffers): (_, Vec<_>) = match self.harness.roll(4) {
            0 => {
                let (sent, buffer) = driver.submit(Send::new(fd, first, 0)).await;
                (sent, vec![buffer, rest])
            }
            1 => {
                let (sent, buffer) = driver.submit(WriteAt::at_cursor(fd, first)).await;
                (sent, vec![buffer, rest])
            }
            2 => {
                let write = WriteVectoredAt::at_cursor(fd, [first, rest]);
                let (sent, buffers) = driver.submit(write).await;
                (sent, buffers.into())
            }
            _ => {
                let send = SendMsg::new(fd, [first, rest], [], None, 0);
                let (sent, (buffers, _)) = driver.submit(send).await;
                (sent, buffers.into())
            }
        };
        if let Some(len) = self.check(sent) {
            self.harness.note_sent(thing, len);
        }
    }

    async fn read_file(self) {
        let fd = self.harness.file.1.clone();
        let at = self.harness.roll(600);
        let read = ReadAt::new(fd, at as u64, self.harness.room());
        let (read, buffer) = self.harness.driver.submit(read).await;
        if let Some(len) = self.check(read) {
            let expected = at..(at + len);
            let expected: Vec<_> = expected.map(|place| place as u8).collect();
            assert_eq!(buffer.bytes(), expected);
            assert!(len > 0 || at >= FILE_LEN);
        }
    }

    /// Receives until EOF, and expects the bytes in order.
    async fn receive_all(self, (thing, fd): (usize, SharedFd)) {
        let mut place = 0;
        loop {
            let receive = Recv::new(fd.clone(), self.harness.room(), 0);
            let (received, buffer) = self.harness.driver.submit(receive).await;
            match received {
                Ok(0) => {
                    self.harness.kernel.check_eof(thing, place);
                    break;
                }
                Ok(len) => {
                    self.claim(thing, Some(place), buffer.bytes());
                    place += len;
                }
                Err(error) if self.may_go_on(&error) => {}
                Err(_) => break,
            }
        }
    }

    /// Sends bytes in order, with as many sends as necessary.
    async fn send_all(self, (thing, fd): (usize, SharedFd)) {
        let (mut place, end) = (0, self.harness.roll(200));
        while place < end {
            let words = self.harness.words(place);
            let send = Send::new(fd.clone(), words, 0);
            let (sent, _words) = self.harness.driver.submit(send).await;
            match sent {
                Ok(len) => {
                    place += len;
                    self.harness.note_sent(thing, len);
                }
                Err(error) if self.may_go_on(&error) => {}
                Err(_) => break,
            }
        }
    }

    /// Receives until EOF into buffers of a pool, some of which are kept for a while. A cancelled
    /// stream loses no bytes.
    async fn stream(self, (thing, fd): (usize, SharedFd)) {
        let pool = &self.harness.pools[self.harness.roll(3)];
        let mut stream = self.harness.driver.recv_stream(fd, pool, 0);
        let mut place = 0;
        let mut is_cancelled = false;
        while let Some(received) = future::poll_fn(|cx| stream.poll_next(cx)).await {
            match received {
                Ok(buffer) => {
                    self.claim(thing, Some(place), &buffer);
                    place += buffer.len();
                    if self.harness.percent(50) {
                        self.harness.held_buffers.borrow_mut().push(buffer);
                    }
                }
                Err(error) => {
                    if !self.may_go_on(&error) && !is_cancelled {
                        stream.cancel();
                        is_cancelled = true;
                    }
                }
            }
            if !is_cancelled && self.harness.percent(2) {
                stream.cancel();
                is_cancelled = true;
            }
        }
    }

    fn hold(&self, fd: SharedFd) {
        let which = self.harness.kernel.which(fd.as_raw_fd());
        self.harness.record(format!("{which} is held"));
        self.harness.held.borrow_mut().push(fd);
    }

    async fn accept(self) {
        let accept = Accept::new(self.harness.listener.1.clone());
        let accepted = self.harness.driver.submit(accept).await;
        if let Some((fd, _)) = self.check(accepted) {
            self.hold(fd.into());
        }
    }

    async fn accept_kept(self) {
        let (_, fd, acceptor) = &self.harness.acceptor;
        let waiting = Waiting::begin(&self.harness.waiting);
        let accepted = acceptor.accept(&self.harness.driver, fd).await;
        drop(waiting);
        if let Some((fd, _)) = self.check(accepted) {
            self.harness.accepted.set(self.harness.accepted.get() + 1);
            self.hold(fd.into());
        }
    }

    async fn accept_stream(self) {
        let fd = self.harness.listener.1.clone();
        let mut stream = self.harness.driver.accept_stream(fd);
        for _ in 0..self.harness.roll(60) {
            match future::poll_fn(|cx| stream.poll_next(cx)).await {
                Ok(fd) => self.hold(fd.into()),
                Err(error) if self.may_go_on(&error) => {}
                Err(_) => break,
            }
        }
    }

    async fn send_uncopied(self, (thing, fd): (usize, SharedFd)) {
        let (driver, first) = (&self.harness.driver, self.harness.words(0));
        let ways = 2 + usize::from(self.harness.kernel.ignores_addresses());
        match self.harness.roll(ways) {
            0 => {
                let rest = self.harness.words(first.bytes().len());
                let send = driver.send_msg_zero_copy(fd, [first, rest], None, 0);
                self.note_uncopied(thing, send.await).await;
            }
            1 => {
                let send = driver.send_zero_copy(fd, first, 0);
                self.note_uncopied(thing, send.await).await;
            }
            _ => {
                let address = self.harness.kernel.peer().into();
                let send = driver.send_to_zero_copy(fd, first, address, 0);
                self.note_uncopied(thing, send.await).await;
            }
        }
    }

    async fn note_uncopied<B>(&self, thing: usize, (sent, loan): (io::Result<usize>, Loan<B>)) {
        if let Some(len) = self.check(sent) {
            self.harness.note_sent(thing, len);
        }
        if self.harness.percent(70) {
            loan.await;
        }
    }

    async fn wait_for(self, fd: SharedFd) {
        let wait = PollOnce::new(fd, Readiness::READABLE);
        if let Some(readiness) = self.check(self.harness.driver.submit(wait).await) {
            assert_eq!(readiness, Readiness::READABLE);
        }
    }

    async fn open(self) {
        let path = c"/file".to_owned();
        let opened = self
            .harness
            .driver
            .submit(Open::new(path, libc::O_RDONLY, 0));
        if let Some(fd) = self.check(opened.await) {
            self.hold(fd.into());
        }
    }

    async fn connect(self) {
        let driver = &self.harness.driver;
        let socket = driver.submit(Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0));
        let Some(fd) = self.check(socket.await).map(SharedFd::from) else {
            return;
        };
        let address = self.harness.kernel.peer().into();
        let connected = driver.submit(Connect::new(fd.clone(), address));
        if self.check(connected.await).is_some() {
            self.hold(fd);
        }
    }

    async fn close(self, (thing, fd): (usize, SharedFd)) {
        let fd = fd
            .try_unwrap()
            .expect("the descriptor must have no other owner");
        let closed = self.harness.driver.submit(Close::new(fd)).await;
        self.check(closed);
        assert!(self.harness.kernel.is_closed(thing), "{thing} is open");
    }
}

/// Counts a waiting actor, until it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Polls a future once, without a wake.
pub(super) fn poll_idly<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    Pin::new(future).poll(&mut context)
}
