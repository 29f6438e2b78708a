//! The readiness backend on a fake kqueue.

use std::{
    collections::VecDeque,
    fs,
    io::{PipeWriter, Write, pipe},
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    panic::{self, AssertUnwindSafe},
    ptr,
};

use super::*;
use crate::{
    SharedFd,
    request::{Poll, Position, Span, Transfer, ready},
    sys::{
        programs::seeds,
        rng::Rng,
        selector::fake::{Filter, Kqueue},
    },
};

/// The backend, and the kqueue of its poller.
struct Bench {
    backend: Readiness,
    kqueue: Kqueue,
    next: u32,
}

impl Bench {
    fn new() -> Self {
        let kqueue = Kqueue::for_next_poller();
        Self {
            backend: Readiness::new().unwrap(),
            kqueue,
            next: 0,
        }
    }

    fn submit(&mut self, request: Request) -> (Key, Submitted) {
        self.next += 1;
        let key = Key::from(u64::from(self.next));
        // SAFETY: the tests keep memory and descriptors until the request has completed.
        let submitted = unsafe { self.backend.submit(key, &request, ptr::null_mut()) };
        (key, submitted)
    }

    fn poll(&mut self, fd: RawFd, events: u32) -> (Key, Submitted) {
        self.submit(Request::Poll(Poll::Once { fd, events }))
    }

    /// Takes the events, and returns the results.
    fn turn(&mut self) -> Vec<(Key, RawResult)> {
        self.backend.instant_left = INSTANT_MAX;
        self.backend.poll(Some(Duration::ZERO)).unwrap();
        self.backend.answered.drain(..).collect()
    }
}

fn is_in_flight((_, submitted): &(Key, Submitted)) -> bool {
    matches!(submitted, Submitted::InFlight)
}

#[test]
fn poll_of_descriptor_without_write_filter_waits_for_read_filter() {
    let mut bench = Bench::new();
    let (reader, mut writer) = pipe().unwrap();
    let reader = SharedFd::from(OwnedFd::from(reader));
    let fd = reader.as_raw_fd();
    bench.kqueue.refuse(fd, Filter::Write, libc::EINVAL);
    let poll = bench.poll(fd, ready::IN);
    assert!(is_in_flight(&poll));
    writer.write_all(b"x").unwrap();
    bench.kqueue.activate(fd, Filter::Read);
    assert_eq!(bench.turn(), [(poll.0, Ok(ready::IN))]);
}

#[test]
fn transfer_of_device_that_kqueue_refuses_goes_to_pool() {
    for code in [libc::EINVAL, libc::ENODEV, libc::ENOTSUP] {
        let mut bench = Bench::new();
        let (reader, _writer) = pipe().unwrap();
        let fd = reader.as_raw_fd();
        bench.kqueue.refuse(fd, Filter::Read, code);
        let mut byte = 0_u8;
        let read = Transfer::Read {
            fd,
            span: Span::new(&raw mut byte, 1),
            position: Position::Cursor,
        };
        let (_, submitted) = bench.submit(Request::Transfer(read));
        assert!(matches!(submitted, Submitted::ThreadPool(_)));
        let (_, submitted) = bench.poll(fd, ready::IN);
        assert!(matches!(submitted, Submitted::Ready(Err(libc::EINVAL))));
        assert!(!bench.kqueue.has(fd, Filter::Read));
    }
}

#[test]
fn subscription_after_oneshot_registration_reports_every_change() {
    let mut bench = Bench::new();
    let (reader, mut writer) = pipe().unwrap();
    let fd = reader.into_raw_fd();
    // No handle owns the descriptor: it is registered for one event.
    let cancelled = bench.poll(fd, ready::IN);
    assert!(is_in_flight(&cancelled));
    // SAFETY: the request is in flight.
    unsafe { bench.backend.cancel(cancelled.0, ptr::null_mut()) };
    bench.backend.answered.clear();
    // SAFETY: this test owns the descriptor.
    let reader = SharedFd::from(unsafe { OwnedFd::from_raw_fd(fd) });
    for _ in 0..3 {
        let poll = bench.poll(fd, ready::IN);
        assert!(is_in_flight(&poll));
        writer.write_all(b"x").unwrap();
        bench.kqueue.activate(fd, Filter::Read);
        assert_eq!(bench.turn(), [(poll.0, Ok(ready::IN))]);
        let mut byte = 0_u8;
        // SAFETY: the descriptor is open, and there is room for one byte.
        unsafe { libc::read(fd, (&raw mut byte).cast(), 1) };
    }
    drop(reader);
}

#[test]
fn number_that_was_closed_is_registered_again() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let (reader, mut writer) = pipe().unwrap();
        let reader = SharedFd::from(OwnedFd::from(reader));
        let fd = reader.as_raw_fd();
        let poll = bench.poll(fd, ready::IN);
        assert!(is_in_flight(&poll));
        writer.write_all(b"x").unwrap();
        bench.kqueue.activate(fd, Filter::Read);
        assert_eq!(bench.turn(), [(poll.0, Ok(ready::IN))]);
        bench.kqueue.close(fd);
    }
}

#[test]
fn write_whose_reader_closes_before_registration_completes() {
    let mut bench = Bench::new();
    let (reader, writer) = pipe().unwrap();
    let fd = writer.as_raw_fd();
    fill(fd);
    let key = Key::from(1);
    let poll = Request::Poll(Poll::Once {
        fd,
        events: ready::OUT,
    });
    // The attempt has failed for lack of room. Then the reader closes.
    bench.backend.queues.push(fd, Direction::Other, key, poll);
    drop(reader);
    bench.backend.watch(fd).unwrap();
    assert!(!bench.kqueue.has(fd, Filter::Write));
    let answered: Vec<_> = bench.backend.answered.drain(..).collect();
    assert!(
        matches!(answered[..], [(answered, Ok(bits))] if answered == key && bits & ready::ERR != 0),
        "{answered:?}"
    );
}

#[test]
fn read_of_named_pipe_reports_eof_without_event() {
    let mut bench = Bench::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let open =
        |options: &mut fs::OpenOptions| options.custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let reader = open(fs::OpenOptions::new().read(true));
    let writer = open(fs::OpenOptions::new().write(true));
    let mut byte = 0_u8;
    let read = Transfer::Read {
        fd: reader.as_raw_fd(),
        span: Span::new(&raw mut byte, 1),
        position: Position::Cursor,
    };
    let read = bench.submit(Request::Transfer(read));
    assert!(is_in_flight(&read));
    assert!(!bench.kqueue.has(reader.as_raw_fd(), Filter::Read));
    drop(writer);
    let event = crate::sys::Event::of_nobody().unwrap();
    let notifier = Notifier::new(event);
    let mut reports = Vec::new();
    while reports.is_empty() {
        let report = &mut |key, report| reports.push((key, report));
        bench.backend.wait(None, &notifier, report).unwrap();
    }
    assert!(matches!(reports[..], [(key, Report::Final(Ok(0)))] if key == read.0));
}

#[test]
fn poll_for_priority_or_errors_alone_is_unsupported() {
    let mut bench = Bench::new();
    let (reader, _writer) = pipe().unwrap();
    let fd = reader.as_raw_fd();
    for events in [ready::PRI, ready::IN | ready::PRI, ready::HUP, 0] {
        let (_, submitted) = bench.poll(fd, events);
        assert!(matches!(submitted, Submitted::Ready(Err(libc::EOPNOTSUPP))));
    }
    assert!(bench.backend.queues.is_empty());
}

fn fill(fd: RawFd) {
    // SAFETY: the descriptor is open, and the memory is valid.
    unsafe {
        libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK | libc::O_WRONLY);
        while libc::write(fd, [0_u8; 4096].as_ptr().cast(), 4096) > 0 {}
    }
}

/// A pipe of a random program, and the operations in flight on its reader, oldest first.
struct Pipe {
    reader: SharedFd,
    writer: PipeWriter,
    waiting: VecDeque<(Key, Wanted)>,
    /// Those among them whose cancel was requested.
    cancelled: Vec<Key>,
    /// Bytes that no read has taken.
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Wanted {
    Byte,
    Readiness,
}

impl Pipe {
    fn new() -> Self {
        let (reader, writer) = pipe().unwrap();
        let reader = SharedFd::from(OwnedFd::from(reader));
        // A read that finds no byte must not wait.
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        Self {
            reader,
            writer,
            waiting: VecDeque::new(),
            cancelled: Vec::new(),
            bytes: 0,
        }
    }

    /// Checks the completion of an operation: reads complete in their order.
    fn complete(&mut self, key: Key, answer: RawResult) {
        let place = self.waiting.iter().position(|(waiting, _)| *waiting == key);
        let place = place.expect("it was in flight");
        let (_, wanted) = self.waiting.remove(place).unwrap();
        match (wanted, answer) {
            (_, Err(libc::ECANCELED)) => {}
            (Wanted::Readiness, Ok(bits)) => assert_ne!(bits & ready::IN, 0),
            (Wanted::Byte, Ok(1)) => {
                let mut earlier = self.waiting.iter().take(place);
                let is_passed_over = |(earlier, wanted): &(Key, Wanted)| {
                    *wanted == Wanted::Readiness || self.cancelled.contains(earlier)
                };
                assert!(earlier.all(is_passed_over), "{:?}", self.waiting);
                self.bytes -= 1;
            }
            (_, answer) => panic!("{answer:?}"),
        }
    }
}

/// The program: reads, polls, cancels, writes and closes on three pipes. `byte` is the memory of all reads.
fn run_program(rng: &mut Rng, byte: *mut u8) {
    let mut bench = Bench::new();
    let mut pipes: Vec<Pipe> = (0..3).map(|_| Pipe::new()).collect();
    for _ in 0..60 {
        let index = rng.roll(pipes.len());
        let pipe = &mut pipes[index];
        let fd = pipe.reader.as_raw_fd();
        match rng.roll(6) {
            0 | 1 if pipe.waiting.len() < 3 => {
                let wanted = rng.pick(&[Wanted::Byte, Wanted::Readiness]);
                let request = match wanted {
                    Wanted::Byte => Request::Transfer(Transfer::Read {
                        fd,
                        span: Span::new(byte, 1),
                        position: Position::Cursor,
                    }),
                    Wanted::Readiness => Request::Poll(Poll::Once {
                        fd,
                        events: ready::IN,
                    }),
                };
                let (key, submitted) = bench.submit(request);
                pipe.waiting.push_back((key, wanted));
                if let Submitted::Ready(answer) = submitted {
                    pipe.complete(key, answer);
                }
            }
            2 => {
                pipe.writer.write_all(b"x").unwrap();
                pipe.bytes += 1;
                bench.kqueue.activate(fd, Filter::Read);
            }
            3 if !pipe.waiting.is_empty() => {
                let (key, _) = pipe.waiting[rng.roll(pipe.waiting.len())];
                pipe.cancelled.push(key);
                // SAFETY: the operation is in flight.
                unsafe { bench.backend.cancel(key, ptr::null_mut()) };
            }
            4 if pipe.waiting.is_empty() => {
                *pipe = Pipe::new();
                bench.kqueue.close(fd);
            }
            _ => take_completions(&mut bench, &mut pipes),
        }
    }
    // Bytes for all waiting operations: each of them completes.
    for _ in 0..4 {
        for pipe in pipes.iter_mut().filter(|pipe| !pipe.waiting.is_empty()) {
            pipe.writer.write_all(b"x").unwrap();
            pipe.bytes += 1;
            bench.kqueue.activate(pipe.reader.as_raw_fd(), Filter::Read);
        }
        take_completions(&mut bench, &mut pipes);
    }
    for pipe in &pipes {
        assert!(pipe.waiting.is_empty(), "{:?}", pipe.waiting);
    }
    assert!(bench.backend.queues.is_empty());
}

fn take_completions(bench: &mut Bench, pipes: &mut [Pipe]) {
    for (key, answer) in bench.turn() {
        let owner = |pipe: &&mut Pipe| pipe.waiting.iter().any(|(waiting, _)| *waiting == key);
        let pipe = pipes.iter_mut().find(owner);
        pipe.expect("it was in flight").complete(key, answer);
    }
}

/// `COMPIO_SEED=7` repeats one program, `COMPIO_SEEDS` sets their number.
#[test]
fn random_programs_lose_no_event() {
    let mut byte = 0_u8;
    for seed in seeds(2000) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            run_program(&mut Rng::new(seed), &raw mut byte);
        }));
        if let Err(payload) = outcome {
            eprintln!("COMPIO_SEED={seed} repeats it");
            panic::resume_unwind(payload);
        }
    }
}
