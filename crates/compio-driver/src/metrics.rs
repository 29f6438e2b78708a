//! The counters of a driver by kind of operation, and the records of operations in flight.
//!
//! The driver's thread writes the counters, and any thread reads them. Records are read from the cells of the
//! operations, on the driver's thread.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt, io, mem,
    ptr::NonNull,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use compio_io::counter::Counter;

use crate::sys::RawFd;

/// The items of [`Operation`](crate::Operation) that describe an operation of this kind, whose descriptor is in this field.
macro_rules! describe {
    ($kind:ident) => {
        const KIND: $crate::metrics::OpKind = $crate::metrics::OpKind::$kind;
    };
    ($kind:ident, $fd:ident) => {
        describe!($kind);

        unsafe fn descriptor(this: *const Self) -> Option<$crate::RawFd> {
            // SAFETY: by this function's contract: the field is not written while the request is in flight.
            Some($crate::AsRawFd::as_raw_fd(unsafe { &(*this).$fd }))
        }
    };
}

/// The same for an operation that contains another one.
macro_rules! describe_as_inner {
    ($inner:ty, $field:tt) => {
        const KIND: $crate::metrics::OpKind = <$inner>::KIND;

        unsafe fn descriptor(this: *const Self) -> Option<$crate::RawFd> {
            // SAFETY: by this function's contract, which is the same for the inner operation.
            unsafe { <$inner>::descriptor(&raw const (*this).$field) }
        }
    };
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// The kind of an operation, for counters and records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum OpKind {
            $($(#[$doc])* $kind,)*
        }

        impl OpKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The name: that of the system call, if there is one.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// An operation of another crate that does not name its kind, or one that was [pushed](crate::Poller::push).
    Other "other",
    /// No action.
    Nop "nop",
    /// A read of a file or a pipe.
    Read "read",
    /// A write to a file or a pipe.
    Write "write",
    /// A synchronisation of a file with its device.
    Sync "fsync",
    /// The opening of a file.
    Open "open",
    /// The close of a descriptor.
    Close "close",
    /// A query of a file's attributes.
    Stat "stat",
    /// A change of a file's length.
    Truncate "truncate",
    /// A change of a file's disk space.
    Allocate "fallocate",
    /// A change of a path.
    Rename "rename",
    /// The removal of a path.
    Remove "remove",
    /// The creation of a directory.
    MakeDir "mkdir",
    /// The creation of a link.
    Link "link",
    /// The creation of a pipe.
    Pipe "pipe",
    /// A move of bytes from or to a pipe.
    Splice "splice",
    /// The creation of a socket.
    Socket "socket",
    /// The binding of a socket to an address.
    Bind "bind",
    /// The begin of listening.
    Listen "listen",
    /// The end of a direction of a connection.
    Shutdown "shutdown",
    /// A connection to a peer.
    Connect "connect",
    /// A connection from a peer.
    Accept "accept",
    /// A receive.
    Recv "recv",
    /// A send.
    Send "send",
    /// A wait for readiness.
    Poll "poll",
    /// Blocking work in a thread pool.
    Blocking "blocking",
}

impl OpKind {
    /// Whether the result of such an operation is a number of bytes.
    pub const fn moves_bytes(self) -> bool {
        matches!(
            self,
            Self::Read | Self::Write | Self::Splice | Self::Recv | Self::Send
        )
    }

    /// Whether such an operation may wait for a peer without end. A read or a write waits at pipes and terminals, not at
    /// regular files.
    pub const fn may_wait_for_peer(self) -> bool {
        match self {
            Self::Read
            | Self::Write
            | Self::Splice
            | Self::Connect
            | Self::Accept
            | Self::Recv
            | Self::Send
            | Self::Poll
            | Self::Blocking
            | Self::Other => true,
            Self::Nop
            | Self::Sync
            | Self::Open
            | Self::Close
            | Self::Stat
            | Self::Truncate
            | Self::Allocate
            | Self::Rename
            | Self::Remove
            | Self::MakeDir
            | Self::Link
            | Self::Pipe
            | Self::Socket
            | Self::Bind
            | Self::Listen
            | Self::Shutdown => false,
        }
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The counters of one kind of operation.
#[derive(Debug, Default)]
pub(crate) struct KindCounters {
    begun: Counter,
    completed: Counter,
    errors: Counter,
    /// Of all results that are no errors, and of the items of multishot operations.
    sum: Counter,
}

impl KindCounters {
    #[inline]
    pub(crate) fn begin(&self) {
        self.begun.add(1);
    }

    #[inline]
    pub(crate) fn complete(&self, answer: Result<u32, i32>) {
        self.completed.add(1);
        self.on_partial(answer);
    }

    #[cold]
    fn fail(&self) {
        self.errors.add(1);
    }

    /// Counts a completion that is not the last. Only zero-copy sends fail here: their last completion is a notification
    /// without an error.
    #[inline]
    pub(crate) fn on_partial(&self, answer: Result<u32, i32>) {
        match answer {
            Ok(value) => self.sum.add(value.into()),
            Err(_) => self.fail(),
        }
    }
}

/// The counters of one kind of operation at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpStats {
    /// Operations in flight: they have begun, and not completed.
    pub in_flight: u64,
    /// Operations that have completed: with success, with an error, or by a cancel.
    pub completed: u64,
    /// Those among them that have failed. The cancelled ones count.
    pub errors: u64,
    /// The bytes that operations have moved; 0 for kinds that move none.
    pub bytes: u64,
}

/// The counters of a driver, for all threads.
// On cache lines of its own: other threads read while the driver's thread writes. (Two lines of 64 bytes: some
// processors prefetch in pairs.)
#[derive(Debug)]
#[repr(align(128))]
pub struct DriverMetrics {
    pub(crate) turns: Counter,
    pub(crate) parks: Counter,
    pub(crate) enters: Counter,
    pub(crate) spins: Counter,
    pub(crate) spin_hits: Counter,
    pub(crate) kinds: [KindCounters; OpKind::ALL.len()],
    buffer_pools: Mutex<Vec<Weak<BufferCounters>>>,
}

impl DriverMetrics {
    pub(crate) fn new() -> Self {
        Self {
            turns: Counter::new(),
            parks: Counter::new(),
            enters: Counter::new(),
            spins: Counter::new(),
            spin_hits: Counter::new(),
            kinds: Default::default(),
            buffer_pools: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn kind(&self, kind: OpKind) -> &KindCounters {
        &self.kinds[kind as usize]
    }

    /// Counts a plain call on the driver's thread, in the place of an operation of this kind. It has not waited.
    #[inline]
    pub fn count_call(&self, kind: OpKind, result: &io::Result<usize>) {
        let counters = self.kind(kind);
        counters.begin();
        counters.completed.add(1);
        match result {
            Ok(value) => counters.sum.add(*value as u64),
            Err(_) => counters.fail(),
        }
    }

    /// The counters of a new pool of buffers.
    pub(crate) fn add_buffer_pool(&self, count: u16, size: u32) -> Arc<BufferCounters> {
        let counters = Arc::new(BufferCounters {
            count: count.into(),
            size,
            handed_out: Counter::new(),
        });
        let mut pools = self.lock_buffer_pools();
        // Entries of dropped pools.
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&counters));
        counters
    }

    fn lock_buffer_pools(&self) -> MutexGuard<'_, Vec<Weak<BufferCounters>>> {
        // No other code runs under the lock.
        self.buffer_pools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The pools of receive buffers of this driver, the oldest first.
    pub fn buffer_pools(&self) -> Vec<BufferPoolStats> {
        let pools = self.lock_buffer_pools();
        let living = pools.iter().filter_map(Weak::upgrade);
        living.map(|counters| counters.stats()).collect()
    }

    /// Turns: each submits, and looks for completions.
    pub fn turns(&self) -> u64 {
        self.turns.get()
    }

    /// Turns that were allowed to wait for a completion.
    pub fn parks(&self) -> u64 {
        self.parks.get()
    }

    /// Calls that submit to the kernel or wait for it, up to the last turn.
    pub fn enters(&self) -> u64 {
        self.enters.get()
    }

    /// Waits that have begun with a spin.
    pub fn spins(&self) -> u64 {
        self.spins.get()
    }

    /// Waits that have ended during the spin.
    pub fn spin_hits(&self) -> u64 {
        self.spin_hits.get()
    }

    /// The operations of a kind.
    pub fn operations(&self, kind: OpKind) -> OpStats {
        let counters = self.kind(kind);
        // The other order could count more completed than begun ones.
        let completed = counters.completed.get();
        OpStats {
            in_flight: counters.begun.get().saturating_sub(completed),
            completed,
            errors: counters.errors.get(),
            bytes: if kind.moves_bytes() {
                counters.sum.get()
            } else {
                0
            },
        }
    }
}

/// The counters of a pool of receive buffers. The driver's thread writes them.
#[derive(Debug)]
pub(crate) struct BufferCounters {
    count: u64,
    size: u32,
    pub(crate) handed_out: Counter,
}

impl BufferCounters {
    fn stats(&self) -> BufferPoolStats {
        BufferPoolStats {
            buffers: self.count as usize,
            buffer_size: self.size as usize,
            handed_out: self.handed_out.get() as usize,
        }
    }
}

/// A pool of receive buffers at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferPoolStats {
    /// The number of buffers.
    pub buffers: usize,
    /// The size of each, in bytes.
    pub buffer_size: usize,
    /// Buffers that tasks have.
    pub handed_out: usize,
}

/// The threads and the queue of a thread pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Threads, with the idle ones.
    pub threads: usize,
    /// Threads that wait for work.
    pub idle: usize,
    /// Work that waits for a thread.
    pub queued: usize,
    /// Work that a thread has begun, since the start of the program.
    pub begun: u64,
    /// The sum of the times that begun work has waited for its thread.
    pub waited: Duration,
}

/// The latencies of completed operations, while they are recorded. Belongs to the driver's thread.
#[derive(Default)]
pub(crate) struct Latencies {
    is_recording: Cell<bool>,
    /// Completions since the last reading of the clock: the kinds, and the times of their begins.
    completed: RefCell<Vec<(OpKind, u64)>>,
    /// Latencies, in the unit of the loop's time: at most `u32::MAX`.
    measured: RefCell<Vec<(OpKind, u32)>>,
}

impl Latencies {
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.is_recording.get()
    }

    pub(crate) fn set_recording(&self, on: bool) {
        self.is_recording.set(on);
        if !on {
            self.completed.take();
            self.measured.take();
        }
    }

    /// Notes a completion. Those at the begin of an operation are not noted: their latency is zero.
    pub(crate) fn complete(&self, kind: OpKind, begun_at: u64) {
        self.completed.borrow_mut().push((kind, begun_at));
    }

    /// Measures the noted completions: they have happened before or at this time.
    #[cold]
    pub(crate) fn measure(&self, now: u64) {
        let mut completed = self.completed.borrow_mut();
        let latencies = completed.drain(..).map(|(kind, begun_at)| {
            let latency = u32::try_from(now.saturating_sub(begun_at));
            (kind, latency.unwrap_or(u32::MAX))
        });
        self.measured.borrow_mut().extend(latencies);
    }

    /// Takes the measured latencies.
    pub(crate) fn take(&self) -> Vec<(OpKind, u32)> {
        mem::take(&mut self.measured.borrow_mut())
    }

    /// Returns an empty list, whose memory is used again.
    pub(crate) fn give_back(&self, list: Vec<(OpKind, u32)>) {
        debug_assert!(list.is_empty());
        self.measured.replace(list);
    }
}

/// The record of an operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpRecord {
    /// Its kind.
    pub kind: OpKind,
    /// Its descriptor, if it has one and its type [names](crate::Operation::descriptor) it.
    pub fd: Option<RawFd>,
    /// Its tag: see [`Driver::set_tag_source`](crate::Driver::set_tag_source).
    pub tag: u32,
    /// The time of its begin, as the loop has [set](crate::Driver::set_now) it.
    pub begun_at: u64,
    /// Whether it is in the thread pool, and not in the kernel.
    pub is_in_thread_pool: bool,
    /// Whether it waits for a thread of the pool.
    pub is_queued: bool,
    /// Whether the kernel moves the bytes of a splice, whose ends were ready: it waits for no peer.
    pub is_splicing: bool,
    /// Whether a cancel of it has been requested.
    pub is_cancel_requested: bool,
    /// Whether its future has been dropped.
    pub is_orphaned: bool,
    /// Whether a task waits for it. None does between two items of a multishot operation, nor for the buffer of a
    /// zero-copy send before its [loan](crate::Loan) is awaited.
    pub has_waiter: bool,
}

/// The state of the loop that new operations are stamped with. Belongs to the driver's thread.
pub(crate) struct StampSource {
    /// The time of the loop.
    pub(crate) now: Cell<u64>,
    /// The number whose lower half is the tag. `owner` keeps it alive.
    tag: Cell<NonNull<AtomicU64>>,
    owner: RefCell<Option<Rc<dyn Any>>>,
}

/// The tag of drivers without a source.
static NO_TAG: AtomicU64 = AtomicU64::new(0);

impl StampSource {
    pub(crate) fn new() -> Self {
        Self {
            now: Cell::new(0),
            tag: Cell::new(NonNull::from(&NO_TAG)),
            owner: RefCell::new(None),
        }
    }

    /// The tag of an operation that begins, or gets another waiter, now.
    #[inline]
    pub(crate) fn tag(&self) -> u32 {
        // SAFETY: a static, or part of `owner`, which is replaced together with it.
        let tag = unsafe { self.tag.get().as_ref() };
        // Relaxed: it orders no other access.
        tag.load(Ordering::Relaxed) as u32
    }

    /// The number of the source, of which the tag is the lower half.
    #[cfg(feature = "tracing")]
    pub(crate) fn number(&self) -> u64 {
        // SAFETY: as in `tag`. Relaxed: likewise.
        unsafe { self.tag.get().as_ref() }.load(Ordering::Relaxed)
    }

    pub(crate) fn set_tag<T: Any>(&self, owner: T, tag: fn(&T) -> &AtomicU64) {
        let owner = Rc::new(owner);
        self.tag.set(NonNull::from(tag(&owner)));
        let before = self.owner.replace(Some(owner));
        drop(before);
    }
}
