//! The buffer pool of this thread's runtime.

use std::{fmt, io};

use compio_driver as driver;

use super::current;

/// Buffers of one size, shared by all receives on this thread that use it: see
/// [`recv_stream`](crate::net::TcpStream::recv_stream). Clones are handles of the same pool.
///
/// Its memory is `count × size` bytes, for as long as a handle, a stream or a received buffer
/// exists. That is independent of the number of connections: a waiting one holds no buffer. Where
/// the kernel supports it, it chooses a buffer on arrival of bytes (io_uring's provided buffers);
/// elsewhere one is taken when the socket is readable. When all are in use, receives wait until one
/// is returned, and the bytes stay in their sockets.
///
/// ```
/// use compio::runtime::BufferPool;
///
/// fn main() -> std::io::Result<()> {
///     // A megabyte.
///     let pool = BufferPool::new(64, 16 * 1024)?;
///     assert_eq!((pool.count(), pool.buffer_size(), pool.handed_out()), (64, 16 * 1024, 0));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct BufferPool(driver::BufferPool);

impl BufferPool {
    /// A pool of `count` buffers of `size` bytes each, for this thread's runtime. The count is
    /// rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if count or size is zero, there are more than
    /// 32,768 buffers, or their total size exceeds the address space.
    ///
    /// # Panics
    ///
    /// If the thread's runtime cannot be made.
    pub fn new(count: u16, size: u32) -> io::Result<Self> {
        driver::BufferPool::new(&current().driver, count, size).map(Self)
    }

    /// The number of buffers.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// The size of each, in bytes.
    pub fn buffer_size(&self) -> usize {
        self.0.buffer_size()
    }

    /// The number of buffers in use.
    pub fn handed_out(&self) -> usize {
        self.0.handed_out()
    }

    #[cfg(feature = "net")]
    pub(crate) fn as_driver_pool(&self) -> &driver::BufferPool {
        &self.0
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
