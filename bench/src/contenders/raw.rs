//! A hand-written io_uring loop with nothing above it: the limit that the ratios refer to.
//!
//! No futures, no wakers, no allocation per operation: a completion's user data is the index of
//! what it belongs to. The operations, their sizes and their order are those of the runtimes:
//! receive, then send what was received, then receive again; no multishot, no registered buffers.

use std::{
    ffi::CString,
    fs::File,
    io, mem,
    net::TcpListener,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStringExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process,
};

use io_uring::{IoUring, opcode, squeue::Entry, types::Fd};

use super::Contender;
use crate::{
    cost::{Cost, Meter},
    rows::{
        Load,
        echo::{self, Listening},
        file::{BLOCK, Places},
        names::name,
        pairs,
    },
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "raw",
    setting: "a bare io_uring loop; SINGLE_ISSUER, DEFER_TASKRUN, registered ring",
    echo: Some(echo),
    pairs: Some(pairs),
    file: Some(file),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: Some(nop),
    spawn: None,
    blocking: None,
    turns: None,
    sleep: None,
};

/// Enough for the widest row, so that a push never finds the queue full.
const ENTRIES: u32 = 1024;
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
    let file = File::open(path)?;
    let mut readers: Vec<_> = (0..load.width)
        .map(|index| Reader::new(index, load.each()))
        .collect();
    let meter = Meter::start()?;
    let first = readers
        .iter_mut()
        .filter_map(|reader| reader.read(&file))
        .collect();
    // SAFETY: `file` and the readers' blocks outlive the call; each block has one read at a time.
    unsafe {
        run(1, first, |index, length| {
            assert_eq!(length, BLOCK);
            readers[index].read(&file)
        })?;
    }
    meter.stop()
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

/// Runs `first`, and whatever `land` answers to each completion, until nothing is in flight.
///
/// `land` gets the index of the first operation that its one goes back to, and its result. Waits
/// for `batch` completions at a time.
///
/// # Safety
///
/// The descriptors and buffers of every operation stay valid until this returns. (It returns only
/// with nothing in flight; where it cannot go on, it ends the process.)
unsafe fn run(
    batch: usize,
    first: Vec<Entry>,
    mut land: impl FnMut(usize, usize) -> Option<Entry>,
) -> io::Result<()> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(4 * ENTRIES)
        .build(ENTRIES)?;
    let (mut submitter, mut submissions, mut completions) = ring.split();
    submitter.register_ring_fd()?;

    let mut in_flight = first.len();
    for (index, entry) in first.into_iter().enumerate() {
        let entry = entry.user_data(index as u64);
        // SAFETY: the caller's promise.
        unsafe { submissions.push(&entry) }.expect("no row is wider than the queue");
    }
    while in_flight > 0 {
        submissions.sync();
        if let Err(error) = submitter.submit_and_wait(batch.min(in_flight)) {
            end(&error);
        }
        // One enter runs 20 pieces of deferred work. Fetch the rest before answering any: small
        // batches cost 5 %. Stop when nothing more lands: the flag may stay set with no work behind.
        let mut landed = 0;
        completions.sync();
        submissions.sync();
        while submissions.taskrun() && completions.len() > landed {
            landed = completions.len();
            // SAFETY: no argument is passed, so there is none to be valid.
            let entered = unsafe { submitter.enter::<()>(0, 0, GET_EVENTS, None) };
            if let Err(error) = entered {
                end(&error);
            }
            completions.sync();
            submissions.sync();
        }
        for completion in &mut completions {
            let Ok(result) = usize::try_from(completion.result()) else {
                end(&io::Error::from_raw_os_error(-completion.result()));
            };
            in_flight -= 1;
            if let Some(entry) = land(completion.user_data() as usize, result) {
                let entry = entry.user_data(completion.user_data());
                // SAFETY: the caller's promise.
                unsafe { submissions.push(&entry) }.expect("one goes in for one that came out");
                in_flight += 1;
            }
        }
    }
    Ok(())
}

/// Ends the process, because the kernel may still write to memory that unwinding would free.
fn end(error: &io::Error) -> ! {
    eprintln!("raw: {error}");
    process::exit(1);
}

/// Lets every socket do its part until all are done.
fn exchange(sockets: &mut [Socket]) -> io::Result<()> {
    let first = sockets.iter_mut().map(Socket::start).collect();
    // SAFETY: the sockets and their buffers outlive the call; each has one operation at a time.
    unsafe { run(1, first, |index, length| sockets[index].land(length)) }
}

/// A socket and its place in the exchange.
struct Socket {
    /// None once it is done, which closes it.
    descriptor: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// The operation under way.
    sending: bool,
    /// Messages still to send unasked; none for a socket that only answers.
    to_ask: usize,
    asks: bool,
    /// Flags of its receives, in the field that io_uring names so.
    priority: u16,
}

impl Socket {
    /// One that gives back what arrives.
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

    /// One that sends a message, waits until it comes back, and so on.
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

/// One task of the file row.
struct Reader {
    block: Vec<u8>,
    places: Places,
    left: usize,
}

impl Reader {
    fn new(index: usize, times: usize) -> Self {
        Self {
            block: vec![0; BLOCK],
            places: Places::new(index),
            left: times,
        }
    }

    fn read(&mut self, file: &File) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let descriptor = Fd(file.as_raw_fd());
        let read = opcode::Read::new(descriptor, self.block.as_mut_ptr(), BLOCK as u32);
        Some(read.offset(self.places.next()).build())
    }
}
