//! The limits of direct I/O: transfers that bypass the page cache.

/// The requirements of direct I/O on a file.
#[derive(Debug, Clone, Copy)]
pub struct DirectLimits {
    /// The alignment of reads and writes.
    pub alignment: DirectAlignment,
    /// The sizes of atomic writes, if the file has them.
    pub atomic_write: Option<AtomicWriteUnit>,
}

/// The alignment that direct reads and writes of a file have to have, in bytes. Both numbers are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectAlignment {
    /// The unit of the address of a buffer.
    pub memory: usize,
    /// The unit of the offset in the file, and of the length of a transfer.
    pub offset: usize,
    /// The origin of these numbers.
    pub source: AlignmentSource,
}

impl DirectAlignment {
    /// The larger of both numbers: buffers and blocks of this alignment are always permitted.
    pub fn unit(&self) -> usize {
        self.memory.max(self.offset)
    }
}

/// The origin of a [`DirectAlignment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlignmentSource {
    /// The kernel has reported the alignment for this file.
    Kernel,
    /// The kernel does not report it. It is the block size of the file system, which is not less than the
    /// necessary alignment.
    FileSystem,
    /// The file system has no block size between 512 bytes and 64 KiB. The alignment is 4096 bytes, the
    /// largest usual sector size of disks.
    Default,
}

/// The lengths of atomic writes, in bytes. Both are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtomicWriteUnit {
    /// The shortest atomic write.
    pub min: usize,
    /// The longest atomic write.
    pub max: usize,
}
