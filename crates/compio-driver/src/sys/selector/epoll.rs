//! The poller of Linux: epoll. It is used directly, because the backend's speed depends on two
//! properties that the portable interface lacks: each wait is one system call, and events report that a
//! peer has finished.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

#[cfg(all(test, not(loom)))]
use crate::sys::faults;
use crate::sys::{
    platform::{EventFd, with_advice},
    ready_event::{ReadyEvent, Registered},
    unix::get_option,
};

/// The event data of the notifier. Descriptors are never that large.
const NOTIFIED: u64 = u64::MAX;

const READ: u32 = (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP) as u32;
/// Receives stop at the end of the peer's data, and before an urgent byte.
const HIDING: u32 = (libc::EPOLLPRI | libc::EPOLLRDHUP) as u32;
const WRITE: u32 = libc::EPOLLOUT as u32;
/// Events that are always reported.
const ANYWAY: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// An epoll instance, and an event that ends its waits.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    event: EventFd,
    /// Cleared if the kernel (before 5.11) does not support timeouts in nanoseconds.
    has_pwait2: AtomicBool,
}

/// Room for the events of a wait.
pub(crate) struct Events {
    room: Box<[libc::epoll_event]>,
    count: usize,
}

/// Whether epoll never watches descriptors of this type, such as regular files.
pub(crate) fn is_refusal(code: i32) -> bool {
    code == libc::EPERM
}

impl Poller {
    /// Whether a registration reports the state at its beginning.
    pub(crate) const REPORTS_STATE: bool = true;

    /// Whether it reports exceptional conditions, and errors alone.
    pub(crate) const REPORTS_EXCEPTIONS: bool = true;

    pub(crate) fn new() -> io::Result<Self> {
        let epoll = create().map_err(|error| with_advice("epoll_create1", error))?;
        let poller = Self {
            epoll,
            event: EventFd::new()?,
            has_pwait2: AtomicBool::new(true),
        };
        // Edge-triggered: later signals are reported without a read.
        let flags = libc::EPOLLIN as u32 | libc::EPOLLET as u32;
        let fd = poller.event.as_raw_fd();
        let watched = poller.control(libc::EPOLL_CTL_ADD, fd, flags, NOTIFIED);
        watched.map_err(|error| with_advice("epoll_ctl", error))?;
        // A filter of system calls may refuse epoll_wait alone. This call detects it now, not at the
        // first wait.
        let waited = poller.wait_millis(&mut Events::new(1), Some(Duration::ZERO));
        waited.map_err(|error| with_advice("epoll_wait", error))?;
        Ok(poller)
    }

    /// Subscribes to every change of a descriptor, until it is closed.
    pub(crate) fn subscribe(&self, fd: RawFd, now: Registered) -> io::Result<bool> {
        let is_known = now != Registered::No;
        self.ask(fd, READ | WRITE | libc::EPOLLET as u32, is_known)
            .map(|()| true)
    }

    /// Registers a descriptor for one event, by its `poll(2)` bits, which are also epoll's.
    pub(crate) fn once(&self, fd: RawFd, events: u32, now: Registered) -> io::Result<()> {
        let is_known = now != Registered::No;
        self.ask(fd, events | libc::EPOLLONESHOT as u32, is_known)
    }

    /// Whether a short receive empties the socket, unless an event has set
    /// [`may_hide`](ReadyEvent::may_hide). This is true for TCP. Other sockets end a receive between
    /// two messages or senders. With kTLS, also one that begins after this answer, a receive may end between two
    /// records. Then `tls_strp_msg_done` reports the next record by an event of its own.
    pub(crate) fn short_read_means_empty(&self, fd: RawFd) -> bool {
        option(fd, libc::SO_PROTOCOL) == Some(libc::IPPROTO_TCP)
            && option(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
            && matches!(
                option(fd, libc::SO_DOMAIN),
                Some(libc::AF_INET | libc::AF_INET6)
            )
    }

    /// Removes a registration.
    pub(crate) fn forget(&self, fd: RawFd) {
        // The number may be closed, or belong to a descriptor that was never registered: both are fine.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// Waits for an event or a notification, at most for `timeout`.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.count = 0;
        match self.count(events, timeout) {
            Ok(count) => events.count = count,
            // A signal: the caller tries again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn count(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        #[cfg(all(test, not(loom)))]
        if let Some(error) = faults::refusal(&[libc::EINTR]) {
            return Err(error);
        }
        let Some(timeout) = timeout else {
            return self.wait_millis(events, None);
        };
        if !timeout.is_zero() && self.has_pwait2.load(Relaxed) {
            match self.wait_precisely(events, timeout) {
                // Filters of system calls that are older than this call return EPERM.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    // Relaxed: it only avoids later calls.
                    self.has_pwait2.store(false, Relaxed);
                }
                waited => return waited,
            }
        }
        self.wait_millis(events, Some(timeout))
    }

    /// Ends the current wait, or the next one. Callable from any thread.
    pub(crate) fn notify(&self) {
        self.event.signal();
    }

    fn wait_precisely(&self, events: &mut Events, timeout: Duration) -> io::Result<usize> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as _,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: the buffer has the length that is passed; it and the timeout outlive the call.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.room.as_mut_ptr(),
                events.room() as i32,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The wait is never shorter than `timeout`.
    fn wait_millis(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = match timeout {
            None => -1,
            Some(timeout) => {
                i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
            }
        };
        // SAFETY: the buffer has the length that is passed, and outlives the call.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.room.as_mut_ptr(),
                events.room() as i32,
                timeout,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Registers a descriptor by its number. The number may have been closed since, or still be
    /// registered from another generation.
    fn ask(&self, fd: RawFd, flags: u32, is_known: bool) -> io::Result<()> {
        let (first, second, reason) = if is_known {
            (libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_ADD, libc::ENOENT)
        } else {
            (libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EEXIST)
        };
        match self.control(first, fd, flags, fd as u64) {
            Err(error) if error.raw_os_error() == Some(reason) => {
                self.control(second, fd, flags, fd as u64)
            }
            asked => asked,
        }
    }

    fn control(&self, what: i32, fd: RawFd, flags: u32, data: u64) -> io::Result<()> {
        control(&self.epoll, what, fd, flags, data)
    }
}

/// A new epoll instance.
pub(crate) fn create() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed; the descriptor is new.
    unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Adds, changes or removes the registration of a descriptor.
pub(crate) fn control(
    epoll: &OwnedFd,
    what: i32,
    fd: RawFd,
    events: u32,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the event outlives the call, which refuses a descriptor that is not open.
    if unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, fd, &raw mut event) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A numeric option of a socket. None for other descriptors.
fn option(fd: RawFd, name: i32) -> Option<i32> {
    get_option(fd, libc::SOL_SOCKET, name).ok()
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Events {
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            room: vec![libc::epoll_event { events: 0, u64: 0 }; count_max].into(),
            count: 0,
        }
    }

    /// The maximum number of events.
    fn room(&self) -> usize {
        let room = self.room.len();
        #[cfg(all(test, not(loom)))]
        let room = faults::room(room);
        room
    }

    /// Whether the last wait filled the list.
    pub(crate) fn is_full(&self) -> bool {
        self.count == self.room.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyEvent> {
        self.room[..self.count].iter().filter_map(|event| {
            let (flags, data) = (event.events, event.u64);
            #[cfg(all(test, not(loom)))]
            let flags = flags | faults::misled((libc::EPOLLIN | libc::EPOLLOUT) as u32);
            (data != NOTIFIED).then_some(ReadyEvent {
                fd: data as RawFd,
                is_readable: flags & (READ | ANYWAY) != 0,
                is_writable: flags & (WRITE | ANYWAY) != 0,
                may_hide: flags & (HIDING | ANYWAY) != 0,
            })
        })
    }
}
