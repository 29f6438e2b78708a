//! A hand-written io_uring loop with nothing above it: the limit that the ratios refer to.
//!
//! No futures, no wakers, no allocation per operation: a completion's user data is the index of its
//! connection. The operations, their sizes and their order match the runtimes: receive, send the
//! received bytes, receive again. There is no multishot, and there are no registered buffers.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Write},
    mem,
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{
            ffi::OsStringExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Instant,
};

use io_uring::{
    IoUring, cqueue, opcode,
    squeue::{Entry, Flags},
    types::{Fd, FsyncFlags},
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    place,
    rows::{
        disk::{self, aligned_block, open_direct, open_to_write},
        echo::{self},
        file::{BLOCK, Places},
        idle,
        names::name,
        pairs,
        wake::{self},
    },
    workload::{Listening, ListeningThere, Load, Parked},
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "raw",
    package: Some("io-uring"),
    setting: "a bare io_uring loop; SINGLE_ISSUER, DEFER_TASKRUN, registered ring",
    echo: Some(echo),
    echo_pooled: Some(echo_pooled),
    unix: Some(unix),
    udp: Some(udp),
    accept: Some(accept),
    pairs: Some(pairs),
    file: Some(file),
    direct: Some(direct),
    fsync: Some(fsync),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: Some(nop),
    wake_parked: Some(wake_parked),
    ping_pong: Some(ping_pong),
    ..Contender::NONE
};

/// Enough for every row except those with 1,000 and 10,000 connections, which are submitted in
/// parts.
const ENTRIES: u32 = 1024;
/// Room for all their completions at once.
const COMPLETIONS: u32 = 16 * 1024;
/// `IORING_ENTER_GETEVENTS`: run deferred work.
const GET_EVENTS: u32 = 1;
/// `IORING_RECVSEND_POLL_FIRST`: wait for data before the first attempt. A gain of 5 % in a pair,
/// where the next message cannot be there yet; a loss of 3 % at 500 clients, where it often is.
const POLL_FIRST: u16 = 1;

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listening(listener.local_addr()?)?;
    let mut sockets = Vec::with_capacity(load.width);
    for _ in 0..load.width {
        let (stream, _) = listener.accept()?;
        sockets.push(Socket::answering(stream.into(), echo::BUFFER, 0));
    }
    let meter = Meter::start()?;
    exchange(&mut sockets)?;
    meter.stop()
}

/// As [`echo`], but each receive takes a buffer of a group that the kernel holds, and the buffer is
/// returned after its content has been sent.
fn echo_pooled(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    const GROUP: u16 = 0;
    const BUFFERS: u16 = idle::POOL;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listening(listener.local_addr()?)?;
    let streams =
        (0..load.width).map(|_| listener.accept().map(|(stream, _)| OwnedFd::from(stream)));
    let mut streams: Vec<_> = streams
        .map(|stream| stream.map(Some))
        .collect::<io::Result<_>>()?;
    let mut room = vec![0_u8; usize::from(BUFFERS) * echo::BUFFER];
    let room = room.as_mut_ptr();
    // The buffer with a connection's content while it is being sent.
    let mut sending: Vec<Option<u16>> = vec![None; load.width];
    let receive = |stream: &OwnedFd| {
        opcode::Recv::new(
            Fd(stream.as_raw_fd()),
            std::ptr::null_mut(),
            echo::BUFFER as u32,
        )
        .buf_group(GROUP)
        .build()
        .flags(Flags::BUFFER_SELECT)
    };
    let buffer_at = |buffer: u16| room.wrapping_add(usize::from(buffer) * echo::BUFFER);
    let provide = |buffer: u16, count: u16| {
        let length = echo::BUFFER as i32;
        opcode::ProvideBuffers::new(buffer_at(buffer), length, count, GROUP, buffer).build()
    };
    // The buffers first; their index follows those of the connections.
    let mut first = vec![(load.width, provide(0, BUFFERS))];
    first.extend(streams.iter().flatten().map(receive).enumerate());
    let meter = Meter::start()?;
    // SAFETY: `room` and the streams outlive the call. A buffer belongs to the kernel from the
    // moment it is provided until a receive completes with it, then to a send, then it is provided
    // again.
    unsafe {
        run_all(1, first, |index, result, flags, next| {
            let Some(stream) = streams.get(index).and_then(Option::as_ref) else {
                return;
            };
            if result == -libc::ENOBUFS {
                // Sends in flight will return their buffers.
                next.push((index, receive(stream)));
                return;
            }
            let Ok(length) = usize::try_from(result) else {
                end(&io::Error::from_raw_os_error(-result));
            };
            if let Some(buffer) = sending[index].take() {
                next.push((load.width, provide(buffer, 1)));
                next.push((index, receive(stream)));
            } else if length == 0 {
                streams[index] = None;
            } else {
                let buffer = cqueue::buffer_select(flags).expect("a receive took one");
                sending[index] = Some(buffer);
                let descriptor = Fd(stream.as_raw_fd());
                let send = opcode::Send::new(descriptor, buffer_at(buffer), length as u32);
                next.push((index, send.build()));
            }
        })?;
    }
    meter.stop()
}

fn unix(load: Load, path: &Path, listening: ListeningThere<'_>) -> io::Result<Cost> {
    let listener = UnixListener::bind(path)?;
    listening()?;
    let mut sockets = Vec::with_capacity(load.width);
    for _ in 0..load.width {
        let (stream, _) = listener.accept()?;
        sockets.push(Socket::answering(stream.into(), echo::BUFFER, 0));
    }
    let meter = Meter::start()?;
    exchange(&mut sockets)?;
    meter.stop()
}

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    listening(socket.local_addr()?)?;
    let descriptor = Fd(socket.as_raw_fd());
    let mut buffer = vec![0_u8; echo::BUFFER];
    // SAFETY: plain C structs of integers and pointers, for which zero is a value.
    let (mut from, mut message): (libc::sockaddr_storage, libc::msghdr) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = mem::size_of_val(&from) as u32;
    let message = &raw mut message;
    let part = &raw mut part;
    let room = buffer.len();
    let mut sending = false;
    let mut left = load.count;
    let meter = Meter::start()?;
    let first = vec![opcode::RecvMsg::new(descriptor, message).build()];
    // SAFETY: the header and the memory that it points to outlive the call, and are accessed here
    // only while no operation is in flight.
    unsafe {
        run(1, first, |_, length| {
            sending = !sending;
            if sending {
                (*part).iov_len = length;
                Some(opcode::SendMsg::new(descriptor, message).build())
            } else {
                left -= 1;
                (*part).iov_len = room;
                (*message).msg_namelen = mem::size_of::<libc::sockaddr_storage>() as u32;
                (left > 0).then(|| opcode::RecvMsg::new(descriptor, message).build())
            }
        })?;
    }
    meter.stop()
}

fn accept(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listening(listener.local_addr()?)?;
    let descriptor = Fd(listener.as_raw_fd());
    let accept = || {
        opcode::Accept::new(descriptor, std::ptr::null_mut(), std::ptr::null_mut())
            .flags(libc::SOCK_CLOEXEC)
            .build()
    };
    let mut left = load.count;
    let meter = Meter::start()?;
    // SAFETY: no memory is passed; the listener outlives the call.
    unsafe {
        run(1, vec![accept()], |_, accepted| {
            // SAFETY: the result of an accept is a new descriptor.
            drop(OwnedFd::from_raw_fd(accepted as i32));
            left -= 1;
            (left > 0).then(accept)
        })?;
    }
    meter.stop()
}

fn pairs(load: Load) -> io::Result<Cost> {
    let mut sockets = Vec::with_capacity(2 * load.width);
    let meter = Meter::start()?;
    for _ in 0..load.width {
        let (near, far) = UnixStream::pair()?;
        sockets.push(Socket::asking(near.into(), load.each()));
        sockets.push(Socket::answering(far.into(), pairs::BUFFER, POLL_FIRST));
    }
    exchange(&mut sockets)?;
    meter.stop()
}

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    read(load, &File::open(path)?)
}

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    read(load, &open_direct(path)?)
}

fn read(load: Load, file: &File) -> io::Result<Cost> {
    let mut readers: Vec<_> = (0..load.width)
        .map(|index| Reader::new(index, load.each()))
        .collect();
    let meter = Meter::start()?;
    let first = readers
        .iter_mut()
        .filter_map(|reader| reader.read(file))
        .collect();
    // SAFETY: `file` and the readers' blocks outlive the call; each block has one read at a time.
    unsafe {
        run(1, first, |index, length| {
            assert_eq!(length, BLOCK);
            readers[index].read(file)
        })?;
    }
    meter.stop()
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    let files = (0..load.width).map(|index| open_to_write(dir, index));
    let files = files.collect::<io::Result<Vec<_>>>()?;
    let block = [b'x'; BLOCK];
    // The number of completed operations per file, two per round.
    let mut ended = vec![0; load.width];
    let write = |index: usize, times| {
        let descriptor = Fd(files[index].as_raw_fd());
        let write = opcode::Write::new(descriptor, block.as_ptr(), BLOCK as u32);
        write.offset(disk::place_of(times)).build()
    };
    let meter = Meter::start()?;
    let first = (0..load.width).map(|index| write(index, 0)).collect();
    // SAFETY: the files and the block outlive the call; the block is only read.
    unsafe {
        run(1, first, |index, _| {
            ended[index] += 1;
            if ended[index] % 2 == 1 {
                let sync = opcode::Fsync::new(Fd(files[index].as_raw_fd()));
                Some(sync.flags(FsyncFlags::DATASYNC).build())
            } else {
                let times = ended[index] / 2;
                (times < load.each()).then(|| write(index, times))
            }
        })?;
    }
    meter.stop()
}

/// A read of an eventfd in the ring, which another thread writes to.
fn wake_parked(load: Load) -> io::Result<Parked> {
    let event = Arc::new(event()?);
    let seen = Arc::new(AtomicUsize::new(0));
    let waker = thread::spawn({
        let (event, seen) = (event.clone(), seen.clone());
        move || wake::wake_parked(load, &seen, || signal(&event))
    });
    let mut woken = Vec::with_capacity(load.count);
    let meter = Meter::start()?;
    each_signal(&event, load.count, || {
        woken.push(Instant::now());
        seen.fetch_add(1, SeqCst);
    })?;
    let cost = meter.stop()?;
    let sent = waker
        .join()
        .map_err(|_| io::Error::other("the waking thread panicked"))??;
    Ok(Parked::new(&sent, &woken, cost))
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    let (ping, pong) = (Arc::new(event()?), Arc::new(event()?));
    let other = thread::spawn({
        let (ping, pong) = (ping.clone(), pong.clone());
        move || {
            place::pin(place::CLIENT_CORE)?;
            each_signal(&ping, load.count / 2, || signal(&pong))
        }
    });
    let mut left = load.count / 2 - 1;
    let meter = Meter::start()?;
    signal(&ping);
    each_signal(&pong, load.count / 2, || {
        if left > 0 {
            left -= 1;
            signal(&ping);
        }
    })?;
    other
        .join()
        .map_err(|_| io::Error::other("the other thread panicked"))??;
    meter.stop()
}

fn event() -> io::Result<File> {
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and has no other owner.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

fn signal(event: &File) {
    let written = (&mut &*event).write(&1_u64.to_ne_bytes());
    written.expect("an eventfd takes a signal");
}

/// Calls `react` at each signal.
fn each_signal(event: &File, times: usize, mut react: impl FnMut()) -> io::Result<()> {
    let descriptor = Fd(event.as_raw_fd());
    let mut count = [0_u8; 8];
    let room = count.as_mut_ptr();
    let read = || opcode::Read::new(descriptor, room, 8).build();
    let mut left = times;
    // SAFETY: the event and the room for its count outlive the call; one read at a time.
    unsafe {
        run(1, vec![read()], |_, _| {
            react();
            left -= 1;
            (left > 0).then(read)
        })
    }
}

fn metadata(load: Load, dir: &Path) -> io::Result<Cost> {
    let paths = c_names(load, dir);
    // SAFETY: plain C structs of integers.
    let mut rooms: Vec<libc::statx> = unsafe { vec![mem::zeroed(); load.width] };
    let mut left = load.count - load.width;
    let mut ask = |index: usize| {
        let [path, _] = &paths[index];
        let room = (&raw mut rooms[index]).cast();
        opcode::Statx::new(Fd(libc::AT_FDCWD), path.as_ptr(), room)
            .mask(libc::STATX_BASIC_STATS | libc::STATX_BTIME)
            .build()
    };
    let meter = Meter::start()?;
    let first = (0..load.width).map(&mut ask).collect();
    // SAFETY: paths and rooms outlive the call; each room is used by one call at a time.
    unsafe {
        run(1, first, |index, _| {
            left = left.checked_sub(1)?;
            Some(ask(index))
        })?;
    }
    meter.stop()
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    let paths = c_names(load, dir);
    let mut times = vec![0; load.width];
    let mut rename = |index: usize| {
        let (from, to) = (times[index] % 2, (times[index] + 1) % 2);
        times[index] += 1;
        let here = Fd(libc::AT_FDCWD);
        (times[index] <= load.each()).then(|| {
            let [from, to] = [&paths[index][from], &paths[index][to]];
            opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build()
        })
    };
    let meter = Meter::start()?;
    let first = (0..load.width).filter_map(&mut rename).collect();
    // SAFETY: the paths outlive the call.
    unsafe { run(1, first, |index, _| rename(index))? };
    meter.stop()
}

fn c_names(load: Load, dir: &Path) -> Vec<[CString; 2]> {
    let to_c = |path: PathBuf| CString::new(path.into_os_string().into_vec());
    let names = |index| [0, 1].map(|times| to_c(name(dir, index, times)).expect("no NUL"));
    (0..load.width).map(names).collect()
}

fn nop(load: Load) -> io::Result<Cost> {
    let mut left = load.count - load.width;
    let first = (0..load.width).map(|_| opcode::Nop::new().build());
    let meter = Meter::start()?;
    // SAFETY: a NOP touches no memory.
    unsafe {
        run(load.width, first.collect(), |_, _| {
            left = left.checked_sub(1)?;
            Some(opcode::Nop::new().build())
        })?;
    }
    meter.stop()
}

/// Runs `first`, and the operation that `land` returns for each completion, until none is in
/// flight.
///
/// `land` gets the index of the chain's first operation, and the result. Waits for `batch`
/// completions at a time.
///
/// # Safety
///
/// The descriptors and buffers of every operation stay valid until this returns. (It returns only
/// with no operation in flight; if it cannot continue, it ends the process.)
unsafe fn run(
    batch: usize,
    first: Vec<Entry>,
    mut land: impl FnMut(usize, usize) -> Option<Entry>,
) -> io::Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let first = first.into_iter().enumerate().collect();
        run_all(batch, first, |index, result, _, next| {
            let Ok(result) = usize::try_from(result) else {
                end(&io::Error::from_raw_os_error(-result));
            };
            next.extend(land(index, result).map(|entry| (index, entry)));
        })
    }
}

/// As [`run`], but each operation comes with its index. `land` also gets errors and the
/// completion's flags, and may return any number of operations.
///
/// # Safety
///
/// As for [`run`].
unsafe fn run_all(
    batch: usize,
    mut next: Vec<(usize, Entry)>,
    mut land: impl FnMut(usize, i32, u32, &mut Vec<(usize, Entry)>),
) -> io::Result<()> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(COMPLETIONS)
        .build(ENTRIES)?;
    let (mut submitter, mut submissions, mut completions) = ring.split();
    submitter.register_ring_fd()?;

    let mut in_flight = 0;
    loop {
        for (index, entry) in next.drain(..) {
            let entry = entry.user_data(index as u64);
            // SAFETY: the caller's promise.
            while unsafe { submissions.push(&entry) }.is_err() {
                // The queue is full, which takes more connections than most rows have.
                submissions.sync();
                if let Err(error) = submitter.submit() {
                    end(&error);
                }
                submissions.sync();
            }
            in_flight += 1;
        }
        if in_flight == 0 {
            return Ok(());
        }
        submissions.sync();
        if let Err(error) = submitter.submit_and_wait(batch.min(in_flight)) {
            end(&error);
        }
        // One enter runs 20 pieces of deferred work. Fetch the rest before resubmitting: small
        // batches cost 5 %. Stop when no more completions arrive: the flag may stay set with no work
        // behind it.
        let mut landed = 0;
        completions.sync();
        submissions.sync();
        while submissions.taskrun() && completions.len() > landed {
            landed = completions.len();
            // SAFETY: no argument is passed, so none can be invalid.
            let entered = unsafe { submitter.enter::<()>(0, 0, GET_EVENTS, None) };
            if let Err(error) = entered {
                end(&error);
            }
            completions.sync();
            submissions.sync();
        }
        for completion in &mut completions {
            in_flight -= 1;
            let index = completion.user_data() as usize;
            land(index, completion.result(), completion.flags(), &mut next);
        }
    }
}

/// Ends the process, because the kernel may still write to memory that unwinding would free.
fn end(error: &io::Error) -> ! {
    eprintln!("raw: {error}");
    process::exit(1);
}

/// Runs every socket's part of the exchange until all are done.
fn exchange(sockets: &mut [Socket]) -> io::Result<()> {
    let first = sockets.iter_mut().map(Socket::start).collect();
    // SAFETY: the sockets and their buffers outlive the call; each has one operation at a time.
    unsafe { run(1, first, |index, length| sockets[index].land(length)) }
}

/// A socket and its state in the exchange.
struct Socket {
    /// `None` once it is done, which closes it.
    descriptor: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// Whether a send is in flight, not a receive.
    sending: bool,
    /// The number of messages still to send unprompted; 0 for a socket that only echoes.
    to_ask: usize,
    asks: bool,
    /// Flags of its receives, in io_uring's `ioprio` field.
    priority: u16,
}

impl Socket {
    /// An echoing connection.
    fn answering(descriptor: OwnedFd, room: usize, priority: u16) -> Self {
        Self {
            priority,
            descriptor: Some(descriptor),
            buffer: vec![0; room],
            sending: false,
            to_ask: 0,
            asks: false,
        }
    }

    /// A socket that sends a message, waits for its echo, and so on.
    fn asking(descriptor: OwnedFd, times: usize) -> Self {
        Self {
            priority: POLL_FIRST,
            descriptor: Some(descriptor),
            buffer: vec![0; pairs::BUFFER],
            sending: false,
            to_ask: times,
            asks: true,
        }
    }

    fn start(&mut self) -> Entry {
        if self.asks {
            self.to_ask -= 1;
            self.send(pairs::MESSAGE)
        } else {
            self.receive()
        }
    }

    fn land(&mut self, length: usize) -> Option<Entry> {
        if self.sending {
            return Some(self.receive());
        }
        if length == 0 {
            self.descriptor = None;
            return None;
        }
        if self.asks {
            assert_eq!(length, pairs::MESSAGE);
            let Some(left) = self.to_ask.checked_sub(1) else {
                self.descriptor = None;
                return None;
            };
            self.to_ask = left;
        }
        Some(self.send(length))
    }

    fn receive(&mut self) -> Entry {
        self.sending = false;
        let room = self.buffer.len() as u32;
        opcode::Recv::new(self.descriptor(), self.buffer.as_mut_ptr(), room)
            .ioprio(self.priority)
            .build()
    }

    fn send(&mut self, length: usize) -> Entry {
        self.sending = true;
        opcode::Send::new(self.descriptor(), self.buffer.as_ptr(), length as u32).build()
    }

    fn descriptor(&self) -> Fd {
        let open = self.descriptor.as_ref();
        Fd(open
            .expect("a socket that is done asks nothing")
            .as_raw_fd())
    }
}

/// One task of the rows that read files.
struct Reader {
    /// With the offset of its aligned part.
    block: (Vec<u8>, usize),
    places: Places,
    left: usize,
}

impl Reader {
    fn new(index: usize, times: usize) -> Self {
        Self {
            block: aligned_block(),
            places: Places::new(index),
            left: times,
        }
    }

    fn read(&mut self, file: &File) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let descriptor = Fd(file.as_raw_fd());
        let (block, begin) = &mut self.block;
        let block = block[*begin..].as_mut_ptr();
        let read = opcode::Read::new(descriptor, block, BLOCK as u32);
        Some(read.offset(self.places.next()).build())
    }
}
