//! The io_uring backend: one ring per driver, with as few `io_uring_enter` calls as possible.

mod buffer_ring;
mod encode;
mod half_closed;
mod inline_io;
mod probe;
mod replay;
mod retry;
mod setup;
mod staged;
mod user_data;

use std::{
    io, mem,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::Arc,
    time::Duration,
};

pub use io_uring::squeue::Entry as RawEntry;
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};
pub(crate) use replay::repeat;
#[cfg(all(test, not(loom)))]
pub(super) use replay::resubmit;

use self::{
    buffer_ring::Ring,
    encode::Encoded,
    half_closed::{Now, RDHUP},
    inline_io::InlineIo,
    probe::OpcodeSet,
    staged::{Staged, Step, Way},
    user_data::{CANCEL, EVENT, STAGED},
};
#[cfg(all(test, not(loom)))]
use super::faults;
use super::{
    Backend, BufferRing, Capabilities, OpState, Report, Resubmit, Submitted,
    platform::{
        EventFd, nowait,
        splices::{self, Next},
    },
};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{FileOp, Item, Poll, RawResult, Request, Transfer, ready},
    spin::Spin,
};

/// The longest sleep. Kernels add the time of day to a timeout in nanoseconds. If the sum overflows,
/// they do not sleep at all.
const SLEEP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Task work that a call without a wait runs (Linux 6.18: 20 items, `IO_LOCAL_TW_DEFAULT_MAX`). The
/// completion of a cancelled entry is task work. Until it has run, each later cancel has to step over
/// that entry. So thousands of cancels are slow unless their task work runs at once.
const TASK_WORK_MAX: u32 = 16;

pub(crate) struct Uring {
    ring: IoUring,
    setup_name: &'static str,
    /// SQEs that the next `io_uring_enter` calls submit, in order.
    pending: Vec<RawEntry>,
    /// The capacity of the submission queue.
    entries: usize,
    /// The opcodes and features of this kernel.
    opcodes: OpcodeSet,
    /// Ends a sleep.
    event: Arc<EventFd>,
    /// Whether a poll of the event is in flight.
    event_armed: bool,
    /// Whether completions signal the event, for a sleep outside of this backend.
    signals_event: bool,
    /// [`EnterFlags::NO_IOWAIT`] if the kernel supports it: the wait of an idle ring is no wait for a
    /// disk.
    enter_flags: EnterFlags,
    spin: Spin,
    /// Whether a request that needs an io-wq worker was submitted since the last wait.
    io_wq_pending: bool,
    inline_io: InlineIo,
    /// The number of cancels in `pending`.
    cancels: u32,
    staged: Staged,
    /// The group id of the next buffer ring.
    next_group: u16,
    /// The number of `io_uring_enter` calls.
    enters: u64,
}

impl Uring {
    pub(crate) fn new(entries: u32, spin: Spin) -> io::Result<Self> {
        let setup::Setup { ring, setup_name } = setup::set_up(entries)?;
        let opcodes = OpcodeSet::ask(&ring)?;
        let mut enter_flags = EnterFlags::empty();
        if ring.params().is_feature_no_iowait() {
            enter_flags |= EnterFlags::NO_IOWAIT;
        }
        let entries = ring.params().sq_entries() as usize;
        Ok(Self {
            ring,
            setup_name,
            pending: Vec::with_capacity(entries),
            entries,
            opcodes,
            event: Arc::new(EventFd::new()?),
            event_armed: false,
            signals_event: false,
            enter_flags,
            spin,
            io_wq_pending: false,
            inline_io: InlineIo::new(),
            cancels: 0,
            staged: Staged::new(),
            next_group: 0,
            enters: 0,
        })
    }

    pub(crate) fn setup_name(&self) -> &'static str {
        self.setup_name
    }

    /// The event that ends a sleep of this backend.
    pub(crate) fn event(&self) -> Arc<EventFd> {
        Arc::clone(&self.event)
    }
}

impl Backend for Uring {
    fn kind(&self) -> BackendKind {
        BackendKind::IoUring
    }

    fn capabilities(&self) -> Capabilities {
        self.opcodes.capabilities()
    }

    fn register_buffers(&mut self, count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        let mut names_left = 1 << u16::BITS;
        loop {
            let group = self.next_group;
            self.next_group = group.wrapping_add(1);
            names_left -= 1;
            let buffer_ring = Ring::new(group, count);
            // SAFETY: the memory is freed after it has been unregistered.
            match unsafe { buffer_ring.register(&self.ring.submitter()) } {
                Ok(()) => return Ok(Some(Box::new(buffer_ring))),
                // The ids have wrapped around, and an older buffer ring uses this one.
                Err(error) if names_left > 0 && error.raw_os_error() == Some(libc::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn unregister_buffers(&mut self, group: u16) {
        // The group is registered, so the call cannot fail.
        let _ = self.ring.submitter().unregister_buf_ring(group);
    }

    fn spins(&self) -> (u64, u64) {
        self.spin.counts()
    }

    fn is_splicing(&self, key: Key) -> bool {
        self.staged.is_splicing(key)
    }

    fn enters(&self) -> u64 {
        self.enters
    }

    unsafe fn submit(&mut self, key: Key, request: &Request, _: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function.
        if let Some(answer) = unsafe { self.try_inline(request) } {
            return Submitted::Ready(answer);
        }
        if let Request::Transfer(transfer) = request
            && nowait::has_to_wait(transfer)
        {
            return Submitted::ThreadPool(*request);
        }
        if let Request::Poll(Poll::Once { fd, events }) = *request
            && events & RDHUP == 0
        {
            return match half_closed::poll(fd, events) {
                Now::Ready(revents) if self.inline_io.takes_poll() => Submitted::Ready(Ok(revents)),
                now @ (Now::Ready(_) | Now::Pending | Now::HalfClosed | Now::Unknown) => {
                    self.push_poll(key, Step::Events(events), fd, events, now)
                }
            };
        }
        self.pending.reserve(1);
        let slot = &mut self.pending.spare_capacity_mut()[0];
        // SAFETY: passed on from this function.
        match unsafe { encode::encode(request, slot) } {
            Encoded::Entry => {}
            Encoded::Transfer => match staged::way_of(request) {
                Way::Ring => {}
                Way::Worker => {
                    // SAFETY: the slot is filled, and is filled again below.
                    let entry = unsafe { slot.assume_init_read() };
                    slot.write(entry.flags(squeue::Flags::ASYNC));
                }
                // SAFETY: passed on from this function.
                Way::Call(transfer) => return unsafe { self.try_or_wait(key, transfer) },
            },
            Encoded::Splice => return self.submit_splice(key, request),
            // SAFETY: likewise.
            Encoded::Call => return unsafe { self.call(request) },
            Encoded::ThreadPool => return Submitted::ThreadPool(*request),
        }
        // SAFETY: the slot is filled.
        let entry = unsafe { slot.assume_init_mut() };
        entry.set_user_data(u64::from(key));
        if self.opcodes.supports(entry) {
            // SAFETY: the slot follows the last entry, and is filled.
            unsafe { self.pending.set_len(self.pending.len() + 1) };
            self.io_wq_pending |= needs_io_wq(request);
            self.make_room();
            Submitted::InFlight
        } else if matches!(request, Request::Control(_)) {
            // SAFETY: passed on from this function.
            unsafe { self.call(request) }
        } else {
            // The kernel does not support the opcode. A plain call has the same effect.
            Submitted::ThreadPool(*request)
        }
    }

    // A send is repeated: see `retry`.
    #[cold]
    unsafe fn submit_after_would_block(&mut self, key: Key, request: &Request) -> Submitted {
        let Request::Net(net) = request else {
            return Submitted::Ready(Err(libc::EAGAIN));
        };
        let Some(socket) = retry::waiting_socket(net) else {
            return Submitted::Ready(Err(libc::EAGAIN));
        };
        // The socket may have room by now. Then no event would report it.
        // SAFETY: passed on from this function.
        match unsafe { super::unix::call(&Request::Net(retry::attempt_of(net))) } {
            Err(libc::EAGAIN) => {}
            answer => return Submitted::Ready(answer),
        }
        match half_closed::poll(socket, ready::OUT) {
            // The socket of a datagram is writable although its receiver has no room, unless it is connected
            // to that receiver (`unix_dgram_poll`). A timer ends the wait.
            Now::Ready(_) | Now::Unknown => self.push_step(key, Step::Retry, retry::pause()),
            now @ (Now::Pending | Now::HalfClosed) => {
                self.push_poll(key, Step::Retry, socket, ready::OUT, now)
            }
        }
    }

    fn resubmit(&self, request: &Request) -> Resubmit {
        replay::resubmit(request)
    }

    unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        self.cancels += 1;
        let target = if self.staged.has(key) {
            CANCEL | STAGED | u64::from(key)
        } else {
            u64::from(key)
        };
        self.push(
            opcode::AsyncCancel::new(target)
                .build()
                .user_data(CANCEL | u64::from(key)),
        );
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.staged.renew();
        let may_sleep = timeout != Some(Duration::ZERO) && self.ring.completion().is_empty();
        if may_sleep {
            self.sleep(timeout, notifier)?;
        } else {
            self.enter_if_needed()?;
        }
        let completed = self.reap(on_report);
        self.inline_io.renew(completed);
        Ok(())
    }

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        // The ring's own descriptor is not suitable: with deferred task work it becomes readable without
        // waking its waiters. So completions signal the event from now on.
        if !self.signals_event {
            let registered = self
                .ring
                .submitter()
                .register_eventfd(self.event.as_raw_fd());
            self.signals_event = registered.is_ok();
        }
        self.refill();
        // Before the last check: a signal after it makes the event readable again.
        self.event.reset();
        let parked = self.signals_event && self.pending.is_empty() && notifier.park();
        let entered = self.enter_if_needed().is_ok();
        // The outer loop must not sleep before the kernel has taken all entries.
        let is_over = self.has_nothing_to_submit() && self.ring.completion().is_empty();
        if parked && entered && is_over {
            return true;
        }
        notifier.unpark();
        false
    }
}

impl Uring {
    /// Makes a non-blocking call, or waits for readiness and then submits the request again.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Backend::submit).
    #[cold]
    unsafe fn try_or_wait(&mut self, key: Key, transfer: Transfer) -> Submitted {
        // The number of calls per turn is limited, so that other tasks make progress.
        if self.staged.may_call() {
            // SAFETY: passed on from this function.
            match unsafe { super::unix::call(&Request::Transfer(transfer)) } {
                Err(libc::EAGAIN) => {}
                answer => return Submitted::Ready(answer),
            }
        }
        self.wait_for(key, transfer.fd(), transfer.events())
    }

    /// Submits the request again once the descriptor is ready.
    fn wait_for(&mut self, key: Key, fd: RawFd, events: u32) -> Submitted {
        self.push_poll(key, Step::Poll, fd, events, half_closed::poll(fd, events))
    }

    /// A poll that a peer's FIN does not complete: see `half_closed`.
    fn push_poll(&mut self, key: Key, step: Step, fd: RawFd, events: u32, now: Now) -> Submitted {
        let poll = |fd, events| opcode::PollAdd::new(types::Fd(fd), events).build();
        if !matches!(now, Now::HalfClosed) {
            return self.push_step(key, step, poll(fd, events));
        }
        match half_closed::watch(fd, events) {
            Ok(epoll) => {
                let entry = poll(epoll.as_raw_fd(), ready::IN);
                self.push_step_with(key, step, entry, Some(epoll))
            }
            // No descriptor is left.
            Err(_) => self.push_step(key, Step::Pause, retry::pause()),
        }
    }

    /// Submits the request again after a pause.
    fn wait_briefly(&mut self, key: Key) -> Submitted {
        self.push_step(key, Step::Pause, retry::pause())
    }

    fn push_step(&mut self, key: Key, step: Step, entry: RawEntry) -> Submitted {
        self.push_step_with(key, step, entry, None)
    }

    fn push_step_with(
        &mut self,
        key: Key,
        step: Step,
        entry: RawEntry,
        epoll: Option<OwnedFd>,
    ) -> Submitted {
        self.staged.begin(key, step, epoll);
        self.push(entry.user_data(CANCEL | STAGED | u64::from(key)));
        Submitted::InFlight
    }

    /// A splice holds the lock of its pipe. So it starts when both ends are ready, and is non-blocking.
    #[cold]
    fn submit_splice(&mut self, key: Key, request: &Request) -> Submitted {
        let Request::Splice(splice) = request else {
            return Submitted::ThreadPool(*request);
        };
        let splice = match splices::next(splice) {
            Next::Wait(fd, events) => return self.wait_for(key, fd, events),
            Next::Later => return self.wait_briefly(key),
            Next::Refused(code) => return Submitted::Ready(Err(code)),
            Next::Call(splice) if !self.staged.may_call() => {
                return self.wait_for(key, splice.from, ready::IN);
            }
            Next::Call(splice) => match super::unix::splice(&splice) {
                Err(libc::EAGAIN) => {
                    // Another reader or writer was faster.
                    return match splices::next(&splice) {
                        Next::Wait(fd, events) => self.wait_for(key, fd, events),
                        Next::Refused(code) => Submitted::Ready(Err(code)),
                        // A poll would complete at once, in a busy loop.
                        Next::Later | Next::Call(_) | Next::Thread(_) => self.wait_briefly(key),
                    };
                }
                answer => return Submitted::Ready(answer),
            },
            Next::Thread(splice) => splice,
        };
        let mut slot = encode::Slot::uninit();
        let entry = encode::encode_splice(&splice, &mut slot).clone();
        if self.opcodes.supports(&entry) {
            self.io_wq_pending = true;
            self.push_step(key, Step::Splice, entry)
        } else {
            Submitted::ThreadPool(Request::Splice(splice))
        }
    }

    /// Makes the call of a request that never blocks.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Backend::submit).
    #[cold]
    unsafe fn call(&mut self, request: &Request) -> Submitted {
        // This call must not overtake requests that were submitted before.
        let _ = self.enter_if_needed();
        // SAFETY: passed on from this function.
        Submitted::Ready(unsafe { super::unix::call(request) })
    }

    /// # Safety
    ///
    /// As for [`submit`](Backend::submit).
    #[inline]
    unsafe fn try_inline(&mut self, request: &Request) -> Option<RawResult> {
        let Self {
            inline_io,
            pending,
            ring,
            ..
        } = self;
        let has_pending = || !pending.is_empty() || !ring.submission().is_empty();
        // SAFETY: passed on from this function.
        unsafe { inline_io.try_at_once(request, has_pending) }
    }

    fn has_nothing_to_submit(&mut self) -> bool {
        self.pending.is_empty() && self.ring.submission().is_empty()
    }

    fn push(&mut self, entry: RawEntry) {
        self.pending.push(entry);
        self.make_room();
    }

    /// Submits the pending entries once they fill the queue.
    #[inline]
    fn make_room(&mut self) {
        if self.pending.len() >= self.entries {
            // Entries that the kernel does not take now stay pending.
            let _ = self.hand_over();
        }
    }

    /// Moves pending entries to the queue, as far as it has room.
    fn refill(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut queue = self.ring.submission();
        let room = queue.capacity() - queue.len();
        #[cfg(all(test, not(loom)))]
        let room = if faults::is_full() { 0 } else { room };
        let count = self.pending.len().min(room);
        // SAFETY: the memory behind the entries stays valid until their completion, by the contract of
        // `submit`; our own entries (cancel, event) have no pointers.
        let pushed = unsafe { queue.push_multiple(&self.pending[..count]) };
        if pushed.is_ok() {
            self.pending.drain(..count);
        }
    }

    /// Makes the system call only if the shared memory of the ring shows that it is needed.
    fn enter_if_needed(&mut self) -> io::Result<()> {
        let queue = self.ring.submission();
        let is_needed = !queue.is_empty() || queue.taskrun() || queue.cq_overflow();
        drop(queue);
        if is_needed || !self.pending.is_empty() {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Submits without waiting.
    fn hand_over(&mut self) -> io::Result<()> {
        let cancels = mem::take(&mut self.cancels);
        if cancels <= TASK_WORK_MAX {
            return self.enter(0, None);
        }
        // Each cancel has its own completion at once, so this call does not wait either.
        self.enter(cancels, Some(Duration::ZERO))
    }

    fn sleep(&mut self, timeout: Option<Duration>, notifier: &Notifier) -> io::Result<()> {
        // An io-wq worker may need the CPU on which this thread would spin.
        let may_spin = !mem::take(&mut self.io_wq_pending) || self.spin.has_processors_to_spare();
        if may_spin && self.spin.may_spin() {
            self.enter_if_needed()?;
            if !self.ring.completion().is_empty() {
                // There was no wait, so no clock has to be read.
                return Ok(());
            }
        }
        let mut spin_wait = self.spin.start(timeout);
        if may_spin && spin_wait.may_spin() {
            while spin_wait.spin() {
                if !self.ring.completion().is_empty() {
                    self.spin.learn(&spin_wait);
                    return Ok(());
                }
                if notifier.is_notified() {
                    self.spin.learn(&spin_wait);
                    return self.enter_if_needed();
                }
                if self.ring.submission().taskrun() {
                    self.enter(0, None)?;
                    if !self.ring.completion().is_empty() {
                        self.spin.learn(&spin_wait);
                        return Ok(());
                    }
                    // The flag can stay set without pending task work. It alone must not prevent a
                    // sleep.
                    spin_wait.stop();
                    break;
                }
            }
        }
        if !self.park(notifier) {
            return self.enter_if_needed();
        }
        let result = self.enter(1, timeout.map(|timeout| spin_wait.remaining(timeout)));
        notifier.unpark();
        if may_spin {
            self.spin.learn(&spin_wait);
        }
        result
    }

    /// Announces a sleep, which the notifier's event ends. False if the thread must not sleep.
    fn park(&mut self, notifier: &Notifier) -> bool {
        if !self.event_armed {
            let entry = opcode::PollAdd::new(types::Fd(self.event.as_raw_fd()), ready::IN)
                .build()
                .user_data(EVENT);
            self.push(entry);
            self.event_armed = true;
        }
        // The entry that arms the event may still be pending.
        self.refill();
        self.pending.is_empty() && notifier.park()
    }

    /// Submits everything and waits for `want` completions.
    fn enter(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<()> {
        self.enters += 1;
        self.refill();
        let submitted = self.ring.submission().len() as u32;
        let mut flags = self.enter_flags | EnterFlags::GETEVENTS;
        let timespec = timeout.map(|timeout| types::Timespec::from(timeout.min(SLEEP_MAX)));
        let args = timespec.as_ref().map(|timespec| {
            flags |= EnterFlags::EXT_ARG;
            types::SubmitArgs::new().timespec(timespec)
        });
        #[cfg(all(test, not(loom)))]
        if let Some(error) = faults::refusal(&[libc::EINTR, libc::EAGAIN, libc::EBUSY]) {
            return ignore_transient(error);
        }
        // SAFETY: the argument has the type that EXT_ARG announces, and outlives the call; the memory
        // behind the entries is valid by the contract of `submit`.
        let entered = unsafe {
            self.ring
                .submitter()
                .enter(submitted, want, flags.bits(), args.as_ref())
        };
        entered.map(drop).or_else(ignore_transient)
    }

    /// Reports all completions in the queue. Returns how many operations they belong to.
    fn reap(&mut self, on_report: &mut dyn FnMut(Key, Report)) -> u32 {
        let mut completed = 0;
        let completions = self.ring.completion();
        #[cfg(all(test, not(loom)))]
        let completions = completions.take(faults::room(usize::MAX));
        for completion in completions {
            match completion.user_data() {
                EVENT => {
                    self.event_armed = false;
                    self.event.reset();
                }
                staged if staged & CANCEL != 0 && staged & STAGED != 0 => {
                    completed += 1;
                    let key = Key::from(staged & !(CANCEL | STAGED));
                    on_report(key, self.staged.end(key, completion.result()));
                }
                // Only the target's own completion counts. A target that was not found may be on its
                // way to an io-wq worker, where it would wait without end.
                cancelled if cancelled & CANCEL != 0 => {
                    if completion.result() == -libc::ENOENT {
                        on_report(Key::from(cancelled & !CANCEL), Report::CancelNotFound);
                    }
                }
                key => {
                    completed += 1;
                    let key = Key::from(key);
                    let result = completion.result();
                    let answer = u32::try_from(result).map_err(|_| -result);
                    let flags = completion.flags();
                    let (more, buffer) = (cqueue::more(flags), cqueue::buffer_select(flags));
                    if more || buffer.is_some() {
                        let item = Item {
                            answer,
                            buffer,
                            has_more: more,
                        };
                        on_report(key, Report::Partial(item));
                    }
                    if !more {
                        on_report(key, report_of(answer));
                    }
                }
            }
        }
        completed
    }
}

/// Translates the result of a final CQE.
fn report_of(answer: RawResult) -> Report {
    match answer {
        // This also happens without a cancel request: the kernel cancels a request if the io-wq worker
        // for it cannot be started, because of a limit or a signal.
        Err(libc::ECANCELED) => Report::CanceledByKernel,
        Err(libc::EAGAIN) => Report::WouldBlock,
        answer => Report::Final(answer),
    }
}

/// Whether the kernel passes the request to an io-wq worker in any case.
fn needs_io_wq(request: &Request) -> bool {
    match request {
        Request::Path(_) => true,
        Request::FileOp(op) => match op {
            FileOp::Stat { .. }
            | FileOp::StatFd { .. }
            | FileOp::Sync { .. }
            | FileOp::Truncate { .. }
            | FileOp::Allocate { .. } => true,
            FileOp::Open { .. } | FileOp::WriteWith { .. } => false,
        },
        Request::Nop
        | Request::Transfer(_)
        | Request::Net(_)
        | Request::Control(_)
        | Request::Splice(_)
        | Request::Poll(_)
        | Request::Blocking(_)
        | Request::Invalid
        | Request::Raw(_) => false,
    }
}

/// Ignores a signal, an expired timeout, a completion queue that must be reaped, and a temporary lack
/// of memory: the caller reaps and tries again.
fn ignore_transient(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
        Some(_) | None => Err(error),
    }
}

impl AsRawFd for Uring {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
