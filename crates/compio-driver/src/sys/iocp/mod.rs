//! The backend of Windows: overlapped calls that complete on a completion port. It uses documented
//! calls only.
//!
//! One flag goes beyond the documentation: the page of `WSARecv` limits `MSG_PEEK` to sockets without
//! overlapped calls. Peeks, and polls of datagram sockets, use it in overlapped calls, as libuv and the
//! sockets of .NET do. The documented way would be a `recv` after readiness. It can block the thread if
//! another process or thread takes the data in between, because no call reports the mode of a socket.
//!
//! Requests without an overlapped call (opening, attributes, flushing) go to the thread pool.
//!
//! # The life of an OVERLAPPED
//!
//! It lies in the operation's cell, in the [`OpState`], and stays there until the system has reported
//! the call's end: by a packet, by the call's own success where packets are skipped then, or by
//! its error. A cancel is a request: a cancelled call reports its end, too. Only then is the operation
//! completed, and its cell may be used again.
//!
//! A packet is only a hint: other code's calls queue packets, too, and some come late. A packet counts
//! if it points at an `OpState` of this backend, and if the call there is over.

mod attachment;
mod begin;
pub(in crate::sys) mod extensions;
mod files;
mod handles;
mod op_state;
mod overlapped_set;
mod port;
mod raw;
mod repeats;
mod timer;
mod wait;

use std::{
    collections::VecDeque,
    io, mem, ptr,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub(crate) use op_state::OpState;
pub use raw::{Begin, Begun, RawEntry};
use windows_sys::Win32::{
    Foundation::ERROR_NOT_SUPPORTED,
    Networking::WinSock::{WSADATA, WSAStartup},
    System::IO::{CancelIoEx, OVERLAPPED_ENTRY},
};

use self::{
    begin::{Started, start, subject_of},
    handles::{Attached, Handles, Route},
    op_state::Ask,
    overlapped_set::OverlappedSet,
    port::{Port, Subject},
    repeats::Repeats,
    timer::ShortWaits,
    wait::Wait,
};
use super::{
    AsRawFd, Backend, Capabilities, ECANCELED, RawFd, Report, Submitted,
    retries::Retries,
    windows::{as_handle, as_socket, call, poll_connecting},
};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{FileOp, Poll, RawResult, Request},
    spin::{Spin, SpinWait},
};

/// How many requests may complete at their submission in one turn.
const INSTANT_MAX: u32 = 64;

/// How many packets are taken at once.
const PACKETS_MAX: usize = 64;

pub(crate) struct Iocp {
    port: Arc<Port>,
    handles: Handles,
    cells: OverlappedSet,
    /// Room for the port's packets.
    packets: Box<[OVERLAPPED_ENTRY]>,
    /// How many operations complete by a packet.
    expected: usize,
    /// Whether an outer event loop waits on the port: the packet that woke it is still queued.
    is_watched: bool,
    /// How many cancels of calls were requested.
    cancels: u64,
    /// Reports for the next wait.
    reports: VecDeque<(Key, Report)>,
    /// Waits for readiness that no call reports: the socket, and the bits.
    retries: Retries<(RawFd, u32)>,
    instant_left: u32,
    short_waits: ShortWaits,
    spin: Spin,
    /// How often packets were taken from the port.
    takes: u64,
}

/// Wakes the sleeping backend.
#[derive(Debug)]
pub(crate) struct Event(Arc<Port>);

/// The only backend of this system.
pub(crate) const BACKENDS: &[BackendKind] = &[BackendKind::Iocp];

/// Creates the backend. Also returns the reason for the choice.
pub(crate) fn choose(
    wanted: Option<BackendKind>,
    _entries: u32,
    spin: Spin,
) -> io::Result<(Iocp, Event, String)> {
    let why = match wanted {
        Some(kind @ (BackendKind::IoUring | BackendKind::Poll)) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "the {kind} backend was asked for, which Windows does not have; \
                     ask for `iocp`, or for no backend"
                ),
            ));
        }
        #[cfg(feature = "sim")]
        Some(BackendKind::Simulated) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the simulated backend was asked for, which only Linux has",
            ));
        }
        Some(BackendKind::Iocp) => "it was asked for",
        None => "it is the one for this system",
    };
    start_winsock()?;
    let port = Arc::new(Port::new()?);
    let event = Event(Arc::clone(&port));
    // SAFETY: a plain C struct for which all zeroes are a value.
    let no_packet: OVERLAPPED_ENTRY = unsafe { mem::zeroed() };
    let backend = Iocp {
        port,
        handles: Handles::default(),
        cells: OverlappedSet::default(),
        packets: vec![no_packet; PACKETS_MAX].into(),
        expected: 0,
        is_watched: false,
        cancels: 0,
        reports: VecDeque::new(),
        retries: Retries::new(),
        instant_left: INSTANT_MAX,
        short_waits: ShortWaits::default(),
        spin,
        takes: 0,
    };
    Ok((backend, event, why.into()))
}

/// Once per process, without `WSACleanup`: nothing reports when the last socket is closed.
fn start_winsock() -> io::Result<()> {
    static STARTED: OnceLock<i32> = OnceLock::new();
    let code = *STARTED.get_or_init(|| {
        let version = 0x0202;
        // SAFETY: a plain C struct, which the call fills in.
        unsafe {
            let mut data: WSADATA = mem::zeroed();
            WSAStartup(version, &mut data)
        }
    });
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

impl Event {
    /// An event that no backend listens to.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn of_nobody() -> io::Result<Self> {
        Ok(Self(Arc::new(Port::new()?)))
    }

    /// Ends the sleep. Callable from any thread.
    pub(crate) fn signal(&self) {
        // A lost wake would not be repeated.
        self.0.post_surely(Subject::Wake, ptr::null_mut());
    }
}

impl Backend for Iocp {
    fn kind(&self) -> BackendKind {
        BackendKind::Iocp
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn spins(&self) -> (u64, u64) {
        self.spin.counts()
    }

    fn enters(&self) -> u64 {
        self.takes
    }

    /// Attaches the handle to the port for the rest of its life.
    fn attach(&mut self, fd: RawFd) -> io::Result<()> {
        let attached = self.handles.attach_by_hand(fd, &self.port);
        attached.map_err(io::Error::from_raw_os_error)
    }

    unsafe fn submit(&mut self, key: Key, request: &Request, op_state: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function; the operation has not been started.
        unsafe {
            self.cells.add(op_state);
            if let Some((fd, is_transfer)) = subject_of(request) {
                return self.submit_overlapped(key, request, fd, is_transfer, op_state);
            }
            match *request {
                Request::Nop => self.submit_nop(key, op_state),
                Request::Poll(Poll::Once { fd, .. }) => self.submit_wait(key, fd, op_state),
                Request::Invalid => Submitted::Ready(call(request)),
                Request::Net(_) | Request::Control(_) => {
                    let answer = call(request);
                    self.answer(key, Report::Final(answer))
                }
                Request::Path(_) | Request::Splice(_) => {
                    Submitted::Ready(Err(ERROR_NOT_SUPPORTED as i32))
                }
                Request::FileOp(FileOp::Truncate { fd, len }) => {
                    self.handles.truncate(fd, len);
                    Submitted::ThreadPool(*request)
                }
                Request::Transfer(_)
                | Request::FileOp(_)
                | Request::Blocking(_)
                | Request::Raw(_) => Submitted::ThreadPool(*request),
            }
        }
    }

    unsafe fn cancel(&mut self, key: Key, op_state: *mut OpState) {
        if self.retries.remove(key) {
            self.reports.push_back((key, Report::Final(Err(ECANCELED))));
            return;
        }
        // SAFETY: by this function's contract. Of a call in flight only the OVERLAPPED's address is used.
        unsafe {
            match (*op_state).ask {
                // Completed, but not reported yet; or its packet is queued.
                Ask::Nothing | Ask::Nop => {}
                Ask::Signal => {
                    let has_fired = (*op_state).wait.as_mut().is_none_or(Wait::end);
                    if !has_fired {
                        (*op_state).clear();
                        self.expected -= 1;
                        self.reports.push_back((key, Report::Final(Err(ECANCELED))));
                    }
                }
                Ask::Read
                | Ask::Write
                | Ask::Recv
                | Ask::Send
                | Ask::RecvMsg { .. }
                | Ask::Connect
                | Ask::Accept { .. }
                | Ask::Readable { .. }
                | Ask::Raw(_) => {
                    self.cancels += 1;
                    // A call that is over is not found.
                    CancelIoEx(as_handle((*op_state).fd), &raw const (*op_state).overlapped);
                }
            }
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.instant_left = INSTANT_MAX;
        let timeout = self.retries.clamp(timeout);
        let waited = if timeout != Some(Duration::ZERO) && self.reports.is_empty() {
            self.sleep(timeout, notifier)
        } else if self.expected > 0 || self.is_watched {
            self.take(Some(Duration::ZERO))
        } else {
            Ok(())
        };
        self.retry();
        for (key, report) in self.reports.drain(..) {
            on_report(key, report);
        }
        waited
    }

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        self.is_watched = self.reports.is_empty() && self.retries.is_empty() && notifier.park();
        self.is_watched
    }
}

impl Iocp {
    /// A no-op goes through the port: that is its purpose.
    ///
    /// # Safety
    ///
    /// As [`submit`](Backend::submit).
    unsafe fn submit_nop(&mut self, key: Key, op_state: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            (*op_state).prepare(key, RawFd::Handle(ptr::null_mut()));
            (*op_state).ask = Ask::Nop;
            if let Err(code) = self.port.post(Subject::Io, &raw mut (*op_state).overlapped) {
                (*op_state).clear();
                return Submitted::Ready(Err(code));
            }
        }
        self.expected += 1;
        Submitted::InFlight
    }

    /// Any handle can be waited for.
    ///
    /// # Safety
    ///
    /// As [`submit`](Backend::submit).
    unsafe fn submit_wait(&mut self, key: Key, fd: RawFd, op_state: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            (*op_state).prepare(key, fd);
            (*op_state).ask = Ask::Signal;
            let overlapped = &raw mut (*op_state).overlapped;
            let wait = (*op_state).wait.insert(Wait::new(&self.port, overlapped));
            if let Err(code) = wait.begin(as_handle(fd)) {
                (*op_state).clear();
                return Submitted::Ready(Err(code));
            }
        }
        self.expected += 1;
        Submitted::InFlight
    }

    /// # Safety
    ///
    /// As [`submit`](Backend::submit).
    unsafe fn submit_overlapped(
        &mut self,
        key: Key,
        request: &Request,
        fd: RawFd,
        is_transfer: bool,
        op_state: *mut OpState,
    ) -> Submitted {
        let mut known = match self.handles.attach(fd, is_transfer, &self.port) {
            Ok(Attached::Known(known)) => known,
            Ok(Attached::Unknown(attachment)) => {
                // SAFETY: passed on from this function. The cell outlives the call of the pool thread.
                let attaching = unsafe { (*op_state).attaching.insert(attachment.begin()) };
                return Submitted::ThreadPool(Request::Raw(attaching.entry()));
            }
            Err(code) => return Submitted::Ready(Err(code)),
        };
        // SAFETY: passed on from this function.
        if known.route == Route::Thread || !unsafe { known.asynchronous.includes(request) } {
            return Submitted::ThreadPool(*request);
        }
        // For a raw entry's call the meaning of "success" is unknown: a handle that skips packets
        // on success may queue a packet for it.
        if !is_transfer && known.route == Route::PacketUnlessImmediate {
            known.route = Route::Event;
        }
        // SAFETY: passed on from this function; nothing uses `op_state` before the call.
        unsafe {
            (*op_state).prepare(key, fd);
            (*op_state).cancels_before = self.cancels;
            let overlapped = &raw mut (*op_state).overlapped;
            if known.route == Route::Event {
                let wait = (*op_state).wait.insert(Wait::new(&self.port, overlapped));
                match wait.add_event() {
                    Ok(event) => (*overlapped).hEvent = event,
                    Err(code) => {
                        (*op_state).clear();
                        return Submitted::Ready(Err(code));
                    }
                }
            }
            let begun = match start(request, known, op_state) {
                Started::Called(begun) => begun,
                Started::Retry(events) => {
                    (*op_state).clear();
                    self.retries.push(key, (fd, events));
                    return Submitted::InFlight;
                }
            };
            let repeats = Repeats::new(&(*op_state).ask, false);
            match begun {
                Begun::Over(Ok(value)) => {
                    (*op_state).clear();
                    return self.answer(key, Report::Final(Ok(value)));
                }
                Begun::Over(Err(code)) => {
                    let answer = (*op_state).fail(code);
                    return self.answer(key, repeats.report(answer));
                }
                // A call may return with success when it is only queued: its OVERLAPPED decides.
                Begun::Success if known.route != Route::Packet && OpState::is_over(op_state) => {
                    let answer = (*op_state).finish();
                    return self.answer(key, repeats.report(answer));
                }
                Begun::Success | Begun::Pending => {}
            }
            if let Some(wait) = &mut (*op_state).wait
                && let Err(code) = wait.begin_for_event()
            {
                return Submitted::Ready(self.call_back(op_state, code));
            }
        }
        self.expected += 1;
        Submitted::InFlight
    }

    /// Cancels a call whose end would not be reported, and waits for it.
    ///
    /// # Safety
    ///
    /// `op_state` belongs to a call in flight.
    unsafe fn call_back(&mut self, op_state: *mut OpState, code: i32) -> RawResult {
        // SAFETY: by this function's contract.
        unsafe {
            self.cancels += 1;
            CancelIoEx(as_handle((*op_state).fd), &raw const (*op_state).overlapped);
            OpState::wait_for_end(op_state);
            match (*op_state).finish() {
                Err(ECANCELED) => Err(code),
                // It completed before the cancel, and must not be lost.
                answer => answer,
            }
        }
    }

    fn sleep(&mut self, timeout: Option<Duration>, notifier: &Notifier) -> io::Result<()> {
        let mut watch = self.spin.start(timeout);
        let result = self.look_and_sleep(&mut watch, timeout, notifier);
        self.spin.learn(&watch);
        result
    }

    fn look_and_sleep(
        &mut self,
        watch: &mut SpinWait,
        timeout: Option<Duration>,
        notifier: &Notifier,
    ) -> io::Result<()> {
        if watch.may_spin() {
            while watch.spin() {
                if notifier.is_notified() {
                    return Ok(());
                }
                self.take(Some(Duration::ZERO))?;
                if !self.reports.is_empty() {
                    return Ok(());
                }
            }
        }
        if !notifier.park() {
            return self.take(Some(Duration::ZERO));
        }
        let timeout = timeout.map(|timeout| watch.remaining(timeout));
        self.short_waits.prepare(timeout, &self.port);
        let result = self.take(timeout);
        notifier.unpark();
        result
    }

    /// Waits for the first packet, and takes all that are queued.
    fn take(&mut self, mut timeout: Option<Duration>) -> io::Result<()> {
        self.is_watched = false;
        loop {
            self.takes += 1;
            let count = self.port.take(&mut self.packets, timeout)?;
            for place in 0..count {
                let packet = self.packets[place];
                if packet.lpCompletionKey == Subject::Wake as usize {
                    continue;
                }
                if packet.lpCompletionKey == Subject::Timer as usize {
                    self.short_waits.on_packet();
                    continue;
                }
                let op_state: *mut OpState = packet.lpOverlapped.cast();
                if !self.cells.contain(op_state) {
                    continue;
                }
                // SAFETY: `op_state` lies in a cell, which lives as long as the driver. It is finished
                // only if its call is over: then no other thread and no kernel code uses it.
                let (key, report) = unsafe {
                    if !OpState::is_over(op_state) {
                        continue;
                    }
                    let is_cancel_possible = (*op_state).cancels_before != self.cancels;
                    let repeats = Repeats::new(&(*op_state).ask, is_cancel_possible);
                    ((*op_state).key, repeats.report((*op_state).finish()))
                };
                self.expected -= 1;
                self.reports.push_back((key, report));
            }
            if count < self.packets.len() {
                return Ok(());
            }
            timeout = Some(Duration::ZERO);
        }
    }

    /// Polls the sockets again whose readiness no call reports.
    fn retry(&mut self) {
        let Self {
            retries, reports, ..
        } = self;
        retries.retry(|key, &(fd, events)| {
            let answer = poll_connecting(as_socket(fd), events);
            let is_waiting = answer == Ok(0);
            if !is_waiting {
                reports.push_back((key, Report::Final(answer)));
            }
            is_waiting
        });
    }

    fn answer(&mut self, key: Key, report: Report) -> Submitted {
        if let Report::Final(answer) = report
            && self.instant_left > 0
        {
            self.instant_left -= 1;
            return Submitted::Ready(answer);
        }
        self.reports.push_back((key, report));
        Submitted::InFlight
    }
}

impl AsRawFd for Iocp {
    fn as_raw_fd(&self) -> RawFd {
        RawFd::Handle(self.port.handle())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
