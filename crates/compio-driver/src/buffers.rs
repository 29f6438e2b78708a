//! A pool of receive buffers that are picked when data arrives: waiting connections hold none.

use std::{
    alloc::{self, Layout},
    cell::{Cell, RefCell},
    fmt, io,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    rc::{Rc, Weak},
    slice,
    sync::Arc,
};

use compio_io::buf::{IoBuf, IoBufMut};
use compio_io::panics::discard;

use crate::{
    buffer_queue::BufferQueue,
    driver::{Core, Driver},
    fd::SharedFd,
    metrics::BufferCounters,
    operation::Operation,
    request::{Request, Span},
    sys::{AsRawFd, BufferRing, PickBuffer},
};

/// Buffers of one size, shared by all receives that use the pool on this thread. Clones are handles of
/// the same pool.
///
/// If the kernel supports it, the kernel picks a buffer when data arrives (io_uring's provided
/// buffers). Otherwise the driver takes one when the socket is readable. In both cases a waiting
/// connection holds no buffer, and `count × size` bytes bound the memory for any number of connections.
/// While all buffers are handed out, receives wait until one is returned.
#[derive(Clone)]
pub struct BufferPool(Rc<Shared>);

struct Shared {
    driver: Rc<Core>,
    storage: Storage,
    buffer_ring: Option<Box<dyn BufferRing>>,
    /// How many buffers are handed out.
    handed_out: Cell<u16>,
    /// The same for other threads, as of the last turn.
    counters: Arc<BufferCounters>,
    /// The streams that wait for a buffer.
    queue: BufferQueue,
    /// Whether a [`Relay`] is in flight.
    is_relayed: Cell<bool>,
}

/// The memory of the buffers.
struct Storage {
    memory: NonNull<u8>,
    layout: Layout,
    size: u32,
    /// One for each buffer: they do not move.
    slots: Box<[Slot]>,
    /// The free list, used if there is no buffer ring.
    free: RefCell<Vec<u16>>,
}

/// The state of one buffer.
struct Slot {
    start: *mut u8,
    /// Its index in the pool, or [`DETACHED`].
    id: u16,
    /// The number of initialised bytes, while it is handed out.
    len: Cell<u32>,
    /// The pool, while it is handed out.
    pool: Cell<Option<BufferPool>>,
    /// The next buffer in a [`Chain`].
    next: Cell<Option<PooledBuffer>>,
}

/// The largest number of buffers, which is the kernel's limit.
const COUNT_MAX: u16 = 1 << 15;

/// The ID of buffers outside of the pool's memory.
const DETACHED: u16 = u16::MAX;

impl BufferPool {
    /// A pool of `count` buffers of `size` bytes each, for the driver's thread. The count is rounded
    /// up to a power of two.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if count or size is zero, if there are more than
    /// 32,768 buffers, or if the total size exceeds the address space.
    pub fn new(driver: &Driver, count: u16, size: u32) -> io::Result<Self> {
        let invalid = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a buffer pool needs 1 to 32768 buffers of at least one byte, within the address space",
            )
        };
        if count == 0 || count > COUNT_MAX || size == 0 {
            return Err(invalid());
        }
        let count = count.next_power_of_two();
        let len = usize::from(count).checked_mul(size as usize);
        let layout = len.and_then(|len| Layout::from_size_align(len, 64).ok());
        let layout = layout.ok_or_else(invalid)?;
        let mut shared = Shared {
            driver: driver.share(),
            storage: Storage::new(layout, count, size),
            buffer_ring: None,
            handed_out: Cell::new(0),
            counters: driver.metrics().add_buffer_pool(count, size),
            queue: BufferQueue::default(),
            is_relayed: Cell::new(false),
        };
        if shared.driver.capabilities().recv_multi {
            // If registration fails, the pool falls back to the free list.
            shared.buffer_ring = shared.driver.register_buffers(count).unwrap_or(None);
        }
        for id in (0..count).rev() {
            shared.offer(id);
        }
        let pool = Rc::new(shared);
        pool.driver.buffer_pools.add(&pool);
        Ok(Self(pool))
    }

    /// The number of buffers.
    pub fn count(&self) -> usize {
        self.0.storage.slots.len()
    }

    /// The size of each, in bytes.
    pub fn buffer_size(&self) -> usize {
        self.0.storage.size as usize
    }

    /// How many buffers are handed out.
    pub fn handed_out(&self) -> usize {
        self.0.handed_out.get().into()
    }

    pub(crate) fn driver(&self) -> &Rc<Core> {
        &self.0.driver
    }

    /// The pool's buffer group ID, if the kernel picks its buffers.
    pub(crate) fn group(&self) -> Option<u16> {
        self.0
            .buffer_ring
            .as_ref()
            .map(|buffer_ring| buffer_ring.group())
    }

    /// As [`BufferRing::has_ended`].
    pub(crate) fn has_ended(&self, fd: &SharedFd) -> bool {
        let buffer_ring = self.0.buffer_ring.as_ref();
        buffer_ring.is_some_and(|buffer_ring| buffer_ring.has_ended(fd.as_raw_fd()))
    }

    /// Takes a free buffer, if there is one. For pools whose buffers the kernel does not pick.
    pub(crate) fn take(&self) -> Option<PooledBuffer> {
        let id = self.0.storage.free.borrow_mut().pop()?;
        // SAFETY: no other code has the buffer: it was on the free list.
        Some(unsafe { self.adopt(id, 0) })
    }

    /// Whether there are free buffers.
    pub(crate) fn has_some(&self) -> bool {
        match self.0.buffer_ring {
            Some(_) => self.handed_out() < self.count(),
            None => !self.0.storage.free.borrow().is_empty(),
        }
    }

    /// The streams that wait for a buffer.
    pub(crate) fn queue(&self) -> &BufferQueue {
        &self.0.queue
    }

    /// Wakes other streams if a notified stream has left a buffer to them.
    pub(crate) fn pass_on(&self) {
        if self.has_some() {
            self.notify();
        }
    }

    /// Wakes the first streams of the queue, and in the next turn the others, as long as a buffer is free.
    fn notify(&self) {
        if self.0.queue.is_empty() {
            return;
        }
        if let Some(panic) = self.0.queue.wake() {
            // The panic hook has reported it, and destructors call this.
            discard(panic);
        }
        if !self.0.queue.is_empty() && !self.0.is_relayed.replace(true) {
            Relay::begin(&self.0);
        }
    }

    /// Hands out a buffer that the kernel has filled, or that was taken from the free list.
    ///
    /// # Safety
    ///
    /// No other code has the buffer, and its first `len` bytes are initialised.
    pub(crate) unsafe fn adopt(&self, id: u16, len: u32) -> PooledBuffer {
        self.0.handed_out.set(self.0.handed_out.get() + 1);
        let slot = &self.0.storage.slots[usize::from(id)];
        slot.len.set(len);
        slot.pool.set(Some(self.clone()));
        PooledBuffer(NonNull::from(slot))
    }

    /// A buffer outside of the pool's memory, with as many of the `bytes` as fit: for bytes that were
    /// received without a pooled buffer.
    pub(crate) fn beside(&self, bytes: &[u8]) -> PooledBuffer {
        let memory = Box::<[u8]>::new_uninit_slice(self.buffer_size());
        let slot = Slot::new(Box::into_raw(memory).cast(), DETACHED);
        slot.pool.set(Some(self.clone()));
        let slot = Box::into_raw(Box::new(slot));
        // SAFETY: a box is never null.
        let mut buffer = PooledBuffer(unsafe { NonNull::new_unchecked(slot) });
        buffer.init_from(bytes);
        buffer
    }
}

/// The pools of a driver.
#[derive(Default)]
pub(crate) struct BufferPools(RefCell<Vec<Weak<Shared>>>);

impl BufferPools {
    fn add(&self, pool: &Rc<Shared>) {
        self.0.borrow_mut().push(Rc::downgrade(pool));
    }

    /// Publishes the numbers of the buffers that are handed out, for other threads.
    #[inline]
    pub(crate) fn publish(&self) {
        if !self.0.borrow().is_empty() {
            self.publish_all();
        }
    }

    #[cold]
    fn publish_all(&self) {
        self.0.borrow_mut().retain(|pool| {
            // Its drop here is never the last one: no other code of this thread runs between.
            let pool = pool.upgrade();
            if let Some(pool) = &pool {
                let handed_out = pool.handed_out.get();
                pool.counters.handed_out.set(handed_out.into());
            }
            pool.is_some()
        });
    }
}

impl Shared {
    /// Returns a buffer to the ring or to the free list.
    fn offer(&self, id: u16) {
        match &self.buffer_ring {
            Some(buffer_ring) => {
                let Span { start, len } = self.storage.span(id);
                // SAFETY: the memory is freed after the ring; no other code has the buffer.
                unsafe { buffer_ring.put(id, start, len) };
            }
            None => self.storage.free.borrow_mut().push(id),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // No receive is in flight, since each holds the pool.
        if let Some(buffer_ring) = self.buffer_ring.take() {
            self.driver.unregister_buffers(buffer_ring);
        }
    }
}

/// A turn of the driver, after which more streams of the queue are woken: the notified ones may be in tasks
/// that do not poll them.
struct Relay(Weak<Shared>);

impl Relay {
    fn begin(pool: &Rc<Shared>) {
        let driver = &pool.driver;
        if driver.is_closed() {
            return;
        }
        // An outer loop that sleeps has to turn the driver.
        driver.wake_outer();
        driver.begin_orphaned(Self(Rc::downgrade(pool)));
    }
}

// SAFETY: the request points to nothing.
unsafe impl Operation for Relay {
    type Output = ();
    describe!(Nop);

    fn request(&mut self) -> Request {
        Request::Nop
    }

    unsafe fn finish(self, _: io::Result<usize>) {}

    unsafe fn on_orphaned(self, _: io::Result<usize>) {
        if let Some(pool) = self.0.upgrade().map(BufferPool) {
            pool.0.is_relayed.set(false);
            pool.pass_on();
        }
    }
}

impl Storage {
    /// The layout fits `count` buffers of `size` bytes.
    fn new(layout: Layout, count: u16, size: u32) -> Self {
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc::alloc(layout) };
        let Some(memory) = NonNull::new(memory) else {
            alloc::handle_alloc_error(layout)
        };
        let slot = |id| {
            let place = usize::from(id) * size as usize;
            // SAFETY: there are `count` buffers.
            Slot::new(unsafe { memory.as_ptr().add(place) }, id)
        };
        Self {
            memory,
            layout,
            size,
            slots: (0..count).map(slot).collect(),
            free: RefCell::default(),
        }
    }

    fn span(&self, id: u16) -> Span {
        Span::new(self.slots[usize::from(id)].start, self.size as usize)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; no kernel and no buffer refers to it.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) };
    }
}

impl Slot {
    fn new(start: *mut u8, id: u16) -> Self {
        Self {
            start,
            id,
            len: Cell::new(0),
            pool: Cell::new(None),
            next: Cell::new(None),
        }
    }
}

/// The buffer that a backend picks when data is ready, if it receives by system calls of its own. It is
/// part of the operation.
#[derive(Debug)]
pub struct BufferPick {
    /// The storage of the pool that the operation holds.
    storage: NonNull<Storage>,
    chosen: Option<u16>,
}

impl BufferPick {
    pub(crate) fn of(pool: &BufferPool) -> Self {
        Self {
            storage: NonNull::from(&pool.0.storage),
            chosen: None,
        }
    }

    /// The picked buffer's ID in the pool.
    pub(crate) fn chosen(&self) -> Option<u16> {
        self.chosen
    }
}

impl PickBuffer for BufferPick {
    #[inline]
    unsafe fn pick(this: *mut Self) -> Option<Span> {
        // SAFETY: by this function's contract the operation is in place, and it holds the pool.
        unsafe {
            let storage = (*this).storage.as_ref();
            let id = storage.free.borrow_mut().pop()?;
            (*this).chosen = Some(id);
            Some(storage.span(id))
        }
    }

    #[inline]
    unsafe fn unpick(this: *mut Self) {
        // SAFETY: as in `pick`.
        unsafe {
            let storage = (*this).storage.as_ref();
            storage.free.borrow_mut().extend((*this).chosen.take());
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("count", &self.count())
            .field("buffer_size", &self.buffer_size())
            .field("handed_out", &self.handed_out())
            .finish_non_exhaustive()
    }
}

/// Bytes that were received into a buffer of a [`BufferPool`]. Its drop returns the buffer to the pool.
// A pointer, to be small: the futures of each waiting connection have space for it, more than once.
pub struct PooledBuffer(NonNull<Slot>);

impl PooledBuffer {
    #[inline]
    fn slot(&self) -> &Slot {
        // SAFETY: the slot is in the pool, and holds a handle of it while this buffer exists; or it was
        // boxed for this buffer.
        unsafe { self.0.as_ref() }
    }

    fn pool_size(&self) -> usize {
        let pool = self.slot().pool.take();
        let size = pool.as_ref().map_or(0, BufferPool::buffer_size);
        self.slot().pool.set(pool);
        size
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let Slot { start, id, .. } = *self.slot();
        let Some(pool) = self.slot().pool.take() else {
            unreachable!("it is handed out")
        };
        if id == DETACHED {
            let memory =
                ptr::slice_from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), pool.buffer_size());
            // SAFETY: `beside` made both of boxes; the box of the bytes has this length.
            unsafe {
                drop(Box::from_raw(memory));
                drop(Box::from_raw(self.0.as_ptr()));
            }
            return;
        }
        let shared = &pool.0;
        shared.handed_out.set(shared.handed_out.get() - 1);
        shared.offer(id);
        // Woken with nothing borrowed.
        pool.notify();
    }
}

/// A queue of handed-out buffers, as a linked list.
#[derive(Default)]
pub(crate) struct Chain {
    first: Option<PooledBuffer>,
    /// The slot of the last buffer, if there is one.
    last: Option<NonNull<Slot>>,
    len: u32,
}

impl Chain {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(crate) fn push(&mut self, buffer: PooledBuffer) {
        self.len += 1;
        match self.last.replace(buffer.0) {
            // SAFETY: the last buffer is in this chain, so its slot exists.
            Some(last) => unsafe { last.as_ref() }.next.set(Some(buffer)),
            None => self.first = Some(buffer),
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<PooledBuffer> {
        let buffer = self.first.take()?;
        self.len -= 1;
        self.first = buffer.slot().next.take();
        if self.first.is_none() {
            self.last = None;
        }
        Some(buffer)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let slot = self.slot();
        // SAFETY: initialised to this length, and owned by this buffer alone.
        unsafe { slice::from_raw_parts(slot.start, slot.len.get() as usize) }
    }
}

impl DerefMut for PooledBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let slot = self.slot();
        // SAFETY: as in `deref`.
        unsafe { slice::from_raw_parts_mut(slot.start, slot.len.get() as usize) }
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PooledBuffer({} bytes)", self.len())
    }
}

// SAFETY: the memory belongs to the pool or to this buffer: it does not move with this handle, and lives as
// long as the handle.
unsafe impl IoBuf for PooledBuffer {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.pool_size()
    }
}

// SAFETY: as for `IoBuf`; the room is the whole buffer.
unsafe impl IoBufMut for PooledBuffer {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the buffer's own memory, which no other code uses.
        unsafe { slice::from_raw_parts_mut(self.slot().start.cast(), self.pool_size()) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.pool_size());
        self.slot().len.set(len as u32);
    }
}
