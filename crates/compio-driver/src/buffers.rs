//! A pool of buffers that are chosen when the bytes are there: connections that wait hold none.

use std::{
    alloc::{self, Layout},
    cell::{Cell, RefCell},
    fmt, io,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    rc::Rc,
    slice,
};

use compio_io::buf::{IoBuf, IoBufMut};

use crate::{
    driver::{Driver, Inner},
    fd::SharedFd,
    panics::discard,
    sys::{AsRawFd, RawFd},
    waiters::Waiters,
};

/// Buffers of one size, shared by all who receive through it on this thread. Clones are handles of
/// the same pool.
///
/// Where the kernel can, it chooses a buffer itself when bytes have come (io_uring's provided
/// buffers); elsewhere one is taken when the socket is readable. Either way a connection that waits
/// holds none, and `count × size` bytes bound the memory, however many connections there are. When
/// all are handed out, receives wait until one comes back.
#[derive(Clone)]
pub struct BufferPool(Rc<Shared>);

/// The kernel's end of a pool, where it chooses the buffers.
pub(crate) trait Shelf {
    /// What requests call it.
    fn group(&self) -> u16;

    /// Offers a buffer to the kernel.
    ///
    /// # Safety
    ///
    /// There are `len` bytes at `start`, which nobody else uses until the kernel has handed them
    /// out by this number, or the shelf is no more.
    unsafe fn put(&self, id: u16, start: *mut u8, len: u32);

    /// Whether the stream that is received from has ended, whatever lies before its end. A request
    /// that brings several answers may go on to wait when it has.
    fn has_ended(&self, fd: RawFd) -> bool;
}

struct Shared {
    driver: Rc<Inner>,
    memory: NonNull<u8>,
    layout: Layout,
    size: u32,
    count: u16,
    shelf: Option<Box<dyn Shelf>>,
    /// Where there is no shelf: the buffers that nobody has.
    free: RefCell<Vec<u16>>,
    /// How many are handed out.
    handed_out: Cell<u16>,
    /// Who waits for one to come back.
    waiters: Waiters,
}

/// The largest number of buffers, which is the kernel's.
const COUNT_MAX: u16 = 1 << 15;

/// The number of those that are not the pool's.
const BESIDE: u16 = u16::MAX;

impl BufferPool {
    /// A pool of `count` buffers of `size` bytes each, for the driver's thread. The count is rounded
    /// up to a power of two.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), if count or size is zero, there are more than
    /// 32,768 buffers, or the whole is more than an address space holds.
    pub fn new(driver: &Driver, count: u16, size: u32) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "no such pool of buffers");
        if count == 0 || count > COUNT_MAX || size == 0 {
            return Err(invalid());
        }
        let count = count.next_power_of_two();
        let len = usize::from(count).checked_mul(size as usize);
        let layout = len.and_then(|len| Layout::from_size_align(len, 64).ok());
        let layout = layout.ok_or_else(invalid)?;
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc::alloc(layout) };
        let Some(memory) = NonNull::new(memory) else {
            alloc::handle_alloc_error(layout)
        };
        let driver = driver.share();
        let mut shared = Shared {
            shelf: None,
            driver,
            memory,
            layout,
            size,
            count,
            free: RefCell::default(),
            handed_out: Cell::new(0),
            waiters: Waiters::default(),
        };
        if shared.driver.extras().recv_multi {
            // A kernel that refuses is one that does not choose.
            shared.shelf = shared.driver.add_shelf(count).unwrap_or(None);
        }
        for id in (0..count).rev() {
            shared.offer(id);
        }
        Ok(Self(Rc::new(shared)))
    }

    /// The number of buffers.
    pub fn count(&self) -> usize {
        self.0.count.into()
    }

    /// The size of each, in bytes.
    pub fn buffer_size(&self) -> usize {
        self.0.size as usize
    }

    /// How many of them are handed out.
    pub fn handed_out(&self) -> usize {
        self.0.handed_out.get().into()
    }

    pub(crate) fn driver(&self) -> &Rc<Inner> {
        &self.0.driver
    }

    /// What requests call the pool, if the kernel chooses its buffers.
    pub(crate) fn group(&self) -> Option<u16> {
        self.0.shelf.as_ref().map(|shelf| shelf.group())
    }

    /// As [`Shelf::has_ended`].
    pub(crate) fn has_ended(&self, fd: &SharedFd) -> bool {
        let shelf = self.0.shelf.as_ref();
        shelf.is_some_and(|shelf| shelf.has_ended(fd.as_raw_fd()))
    }

    /// A buffer, if there is one, where the kernel does not choose.
    pub(crate) fn take(&self) -> Option<PooledBuffer> {
        let id = self.0.free.borrow_mut().pop()?;
        // SAFETY: nobody has it.
        Some(unsafe { self.adopt(id, 0) })
    }

    /// Whether a receive may find a buffer.
    pub(crate) fn has_some(&self) -> bool {
        self.0.handed_out.get() < self.0.count
    }

    /// Those who are woken when a buffer comes back.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }

    /// The buffer that the kernel has filled, or that was taken.
    ///
    /// # Safety
    ///
    /// Nobody else has it, and its first `len` bytes are initialised.
    pub(crate) unsafe fn adopt(&self, id: u16, len: u32) -> PooledBuffer {
        self.0.handed_out.set(self.0.handed_out.get() + 1);
        PooledBuffer {
            pool: self.clone(),
            start: self.0.place(id),
            id,
            len,
        }
    }

    /// A buffer with as much of `bytes` as there is room for, which looks like the pool's and is not:
    /// for bytes that have come without one.
    pub(crate) fn beside(&self, bytes: &[u8]) -> PooledBuffer {
        let memory = Box::<[u8]>::new_uninit_slice(self.buffer_size());
        let memory = Box::into_raw(memory);
        let mut buffer = PooledBuffer {
            pool: self.clone(),
            start: memory.cast(),
            id: BESIDE,
            len: 0,
        };
        buffer.init_from(bytes);
        buffer
    }
}

impl Shared {
    fn place(&self, id: u16) -> *mut u8 {
        // SAFETY: there are `count` buffers.
        unsafe {
            self.memory
                .as_ptr()
                .add(usize::from(id) * self.size as usize)
        }
    }

    /// Nobody has it any more.
    fn offer(&self, id: u16) {
        match &self.shelf {
            // SAFETY: the memory is freed after the shelf; nobody has the buffer.
            Some(shelf) => unsafe { shelf.put(id, self.place(id), self.size) },
            None => self.free.borrow_mut().push(id),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Receives that are under way hold the pool: there are none.
        if let Some(shelf) = self.shelf.take() {
            self.driver.remove_shelf(shelf);
        }
        // SAFETY: allocated with this layout; no kernel and no buffer refers to it.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) };
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

/// Bytes that were received into a buffer of a [`BufferPool`], to which its drop gives it back.
pub struct PooledBuffer {
    pool: BufferPool,
    start: *mut u8,
    id: u16,
    len: u32,
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let shared = &self.pool.0;
        if self.id == BESIDE {
            let memory = ptr::slice_from_raw_parts_mut(
                self.start.cast::<MaybeUninit<u8>>(),
                self.pool.buffer_size(),
            );
            // SAFETY: it was made of a box of that length.
            drop(unsafe { Box::from_raw(memory) });
            return;
        }
        shared.handed_out.set(shared.handed_out.get() - 1);
        shared.offer(self.id);
        // Woken with nothing borrowed. All of them: one may have gone away.
        if let Some(panic) = shared.waiters.wake() {
            // The panic hook has reported it, and a destructor is to panic nowhere.
            discard(panic);
        }
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: initialised to that length, and ours alone.
        unsafe { slice::from_raw_parts(self.start, self.len as usize) }
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`.
        unsafe { slice::from_raw_parts_mut(self.start, self.len as usize) }
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PooledBuffer({} bytes)", self.len)
    }
}

// SAFETY: the memory is the pool's, or its own: it does not move with this handle, and stays for as long.
unsafe impl IoBuf for PooledBuffer {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.pool.buffer_size()
    }
}

// SAFETY: as for `IoBuf`; the room is the whole buffer.
unsafe impl IoBufMut for PooledBuffer {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the buffer's own memory, which is ours alone.
        unsafe { slice::from_raw_parts_mut(self.start.cast(), self.pool.buffer_size()) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.pool.buffer_size());
        self.len = len as u32;
    }
}
