//! Random programs on a stream that is polled, read natively, split and joined, in two runtimes. Each byte arrives
//! once and in order. `COMPIO_SEED=7` repeats one program, `COMPIO_SEEDS` sets their number.

use std::{
    env,
    future::poll_fn,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net,
    task::{Context, Poll, Waker},
};

use compio::{
    io::{AsyncRead, AsyncWrite},
    net::{PollStream, TcpStream},
    runtime::Runtime,
    task::yield_now,
};
use compio_testkit::random::Dice;
use futures_util::FutureExt;

use crate::support::{bounded, tcp_pair};

/// More bytes of each direction than the buffers of the kernel hold.
const STEPS: usize = 200;

/// The byte at each place of a direction. Its period is no multiple of a buffer's length.
fn byte(place: usize) -> u8 {
    (place % 251) as u8
}

fn bytes(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(byte).collect()
}

/// One direction.
#[derive(Default)]
struct Flow {
    sent: usize,
    received: usize,
}

impl Flow {
    #[track_caller]
    fn check(&mut self, got: &[u8]) {
        self.check_peeked(got);
        self.received += got.len();
    }

    #[track_caller]
    fn check_peeked(&self, got: &[u8]) {
        assert!(self.received + got.len() <= self.sent, "bytes from nowhere");
        assert!(got == bytes(self.received, got.len()), "other bytes");
    }

    fn in_flight(&self) -> usize {
        self.sent - self.received
    }
}

enum Ours {
    Polled(PollStream<TcpStream>),
    Native(TcpStream),
}

struct Program {
    dice: Dice,
    ours: Option<Ours>,
    theirs: net::TcpStream,
    to_us: Flow,
    to_them: Flow,
    has_sent_urgent: bool,
}

impl Program {
    fn new(seed: u64) -> Self {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.set_nonblocking(true).unwrap();
        // Without the delay of small segments.
        theirs.set_nodelay(true).unwrap();
        ours.set_nodelay(true).unwrap();
        let ours = TcpStream::from_std(ours).unwrap();
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            ours: Some(Ours::Native(ours)),
            theirs,
            to_us: Flow::default(),
            to_them: Flow::default(),
            has_sent_urgent: false,
        }
    }

    /// Small, or larger than a pooled buffer.
    fn len(&mut self) -> usize {
        let max = [8, 300, 4096, 20_000][self.dice.roll(4)];
        1 + self.dice.roll(max)
    }

    /// The other end, of std, writes and reads.
    fn peer(&mut self) {
        match self.dice.roll(3) {
            0 => {
                let len = self.len();
                match self.theirs.write(&bytes(self.to_us.sent, len)) {
                    Ok(len) => self.to_us.sent += len,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            1 => {
                let mut room = vec![0; self.len()];
                match self.theirs.read(&mut room) {
                    Ok(len) => self.to_them.check(&room[..len]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            // An urgent byte is beside the others, and ends a read before its mark.
            _ if cfg!(target_os = "linux") && !self.has_sent_urgent && self.dice.roll(8) == 0 => {
                let sent = socket2::SockRef::from(&self.theirs).send_out_of_band(b"!");
                self.has_sent_urgent = sent.is_ok();
            }
            _ => {}
        }
    }

    /// One call on our end.
    async fn step(&mut self) {
        let len = self.len();
        let choice = self.dice.roll(10);
        let is_waited_for = self.to_us.in_flight() > 0 && self.dice.roll(3) > 0;
        let ours = match self.ours.take().unwrap() {
            Ours::Polled(mut ours) => {
                match choice {
                    0..4 => self.poll_read(&mut ours, len, is_waited_for).await,
                    4 | 5 => self.poll_read_vectored(&mut ours, len, is_waited_for).await,
                    6 => self.poll_write(&mut ours, len).await,
                    _ => {}
                }
                match choice {
                    7 => Ours::Native(ours.into_inner()),
                    8 => {
                        let (reader, writer) = ours.into_split();
                        Ours::Polled(reader.reunite(writer).unwrap())
                    }
                    9 => Ours::Polled(PollStream::new(ours.into_inner()).unwrap()),
                    _ => Ours::Polled(ours),
                }
            }
            Ours::Native(mut ours) => {
                let room = Vec::with_capacity(len);
                match choice {
                    0 | 1 if is_waited_for => {
                        let (read, got) = ours.read(room).await;
                        assert!(read.unwrap() > 0);
                        self.to_us.check(&got);
                    }
                    // Dropped after the first poll.
                    0..4 => {
                        if let Some((read, got)) = ours.read(room).now_or_never() {
                            assert!(read.unwrap() > 0);
                            self.to_us.check(&got);
                        }
                    }
                    4 if self.to_us.in_flight() > 0 => {
                        let (peeked, got) = ours.peek(room).await;
                        assert!(peeked.unwrap() > 0);
                        self.to_us.check_peeked(&got);
                    }
                    5 => {
                        if let Some((peeked, got)) = ours.peek(room).now_or_never() {
                            assert!(peeked.unwrap() > 0);
                            self.to_us.check_peeked(&got);
                        }
                    }
                    6 if self.to_them.in_flight() < 10_000 => {
                        let (written, _) = ours.write(bytes(self.to_them.sent, len)).await;
                        self.to_them.sent += written.unwrap();
                    }
                    _ => {}
                }
                if choice < 7 {
                    Ours::Native(ours)
                } else {
                    Ours::Polled(PollStream::new(ours).unwrap())
                }
            }
        };
        self.ours = Some(ours);
        if self.dice.roll(2) == 0 {
            yield_now().await;
        }
    }

    async fn poll_read(&mut self, ours: &mut PollStream<TcpStream>, len: usize, waits: bool) {
        let mut room = vec![MaybeUninit::uninit(); len];
        let read = repeated(waits, |cx| ours.poll_read(cx, &mut room)).await;
        if let Some(read) = read {
            assert!(read > 0);
            // SAFETY: the read has initialised that many bytes.
            let got: Vec<u8> = room[..read]
                .iter()
                .map(|b| unsafe { b.assume_init() })
                .collect();
            self.to_us.check(&got);
        }
    }

    async fn poll_read_vectored(
        &mut self,
        ours: &mut PollStream<TcpStream>,
        len: usize,
        waits: bool,
    ) {
        let mut room = vec![0; len];
        let (first, second) = room.split_at_mut(self.dice.roll(len + 1));
        let mut rooms = [first, &mut [], second].map(IoSliceMut::new);
        let read = repeated(waits, |cx| ours.poll_read_vectored(cx, &mut rooms)).await;
        if let Some(read) = read {
            assert!(read > 0);
            self.to_us.check(&room[..read]);
        }
    }

    /// The next write is of other bytes, also after one that is pending.
    async fn poll_write(&mut self, ours: &mut PollStream<TcpStream>, len: usize) {
        let bytes = bytes(self.to_them.sent, len);
        let (first, second) = bytes.split_at(self.dice.roll(len + 1));
        let slices = [first, &[], second].map(IoSlice::new);
        let written = repeated(false, |cx| ours.poll_write_vectored(cx, &slices)).await;
        if let Some(written) = written {
            assert!(written > 0);
            self.to_them.sent += written;
        }
    }

    /// Reads to the end of both directions.
    async fn end(&mut self) {
        self.theirs.shutdown(net::Shutdown::Write).unwrap();
        let mut ours = match self.ours.take().unwrap() {
            Ours::Polled(ours) if self.dice.roll(2) == 0 => ours,
            Ours::Polled(ours) => PollStream::new(ours.into_inner()).unwrap(),
            Ours::Native(ours) => PollStream::new(ours).unwrap(),
        };
        ours.shutdown().unwrap();
        loop {
            let mut room = vec![0; self.len()];
            let read = repeated(true, |cx| {
                ours.poll_read_vectored(cx, &mut [IoSliceMut::new(&mut room)])
            });
            match read.await.unwrap() {
                0 => break,
                read => self.to_us.check(&room[..read]),
            }
        }
        assert_eq!(self.to_us.in_flight(), 0);
        drop(ours);
        let mut rest = Vec::new();
        self.theirs.set_nonblocking(false).unwrap();
        self.theirs.read_to_end(&mut rest).unwrap();
        self.to_them.check(&rest);
        assert_eq!(self.to_them.in_flight(), 0);
    }

    /// Ends the waits of our end, so that another runtime can use it.
    fn leave_runtime(&mut self) {
        self.ours = self.ours.take().map(|ours| match ours {
            Ours::Polled(ours) => Ours::Native(ours.into_inner()),
            Ours::Native(ours) => Ours::Native(ours),
        });
    }
}

/// Polls once, by a waker that does nothing; or until it is ready.
async fn repeated(
    waits: bool,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Option<usize> {
    if waits {
        return Some(poll_fn(poll).await.unwrap());
    }
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(len) => Some(len.unwrap()),
        Poll::Pending => None,
    }
}

/// Streams that hold a pooled buffer each, and their peers.
async fn hoard() -> Vec<(PollStream<TcpStream>, TcpStream)> {
    let mut streams = Vec::new();
    for _ in 0..128 {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        let room = &mut [MaybeUninit::uninit()];
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(server.poll_read(cx, room).is_pending());
        client.write("ab").await.0.unwrap();
        poll_fn(|cx| server.poll_read(cx, room)).await.unwrap();
        streams.push((server, client));
    }
    streams
}

fn run_program(seed: u64) {
    let mut program = Program::new(seed);
    let mut runtimes = [Runtime::new().unwrap(), Runtime::new().unwrap()];
    let mut current = 0;
    // Sometimes the first runtime has no pooled buffer left.
    let _hoard = (seed % 8 == 7).then(|| runtimes[0].block_on(bounded(hoard())));
    for _ in 0..STEPS {
        let steps = 1 + program.dice.roll(8);
        runtimes[current].block_on(bounded(async {
            for _ in 0..steps {
                program.peer();
                program.step().await;
            }
        }));
        match program.dice.roll(16) {
            // The waits of this one go on when it runs again.
            0 => {
                program.leave_runtime();
                current = 1 - current;
            }
            // Its waits end.
            1 => runtimes[current] = Runtime::new().unwrap(),
            _ => {}
        }
    }
    runtimes[current].block_on(bounded(program.end()));
}

#[test]
fn random_programs_receive_each_byte_once_and_in_order() {
    let number = |name| env::var(name).ok().map(|value| value.parse().unwrap());
    let seeds = match number("COMPIO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COMPIO_SEEDS").unwrap_or(20),
    };
    for seed in seeds {
        struct Report(u64);
        impl Drop for Report {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("COMPIO_SEED={} repeats it", self.0);
                }
            }
        }
        let _report = Report(seed);
        run_program(seed);
    }
}
