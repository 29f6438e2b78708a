//! The limits of direct I/O.

use std::{io, os::fd::AsRawFd};

use rustix::fs::fstatvfs;

use crate::{
    direct::{AlignmentSource, AtomicWriteUnit, DirectAlignment, DirectLimits},
    sys::{BorrowedFd, direct_attributes, in_simulation},
};

/// The `O_` flag that opens a file for direct I/O. 0 if the system has a call on the open file instead.
pub use crate::sys::DIRECT;

/// The alignment if neither the kernel nor the file system has a usable one: disks have sectors of 4096
/// bytes at most.
const DEFAULT: usize = 4096;

/// The largest block size of a file system that is an alignment. File systems of networks report the size
/// of their transfers.
const BLOCK_MAX: u64 = 64 * 1024;

/// The limits of an open file. May block.
///
/// # Errors
///
/// `Unsupported` if the kernel reports that it would use the page cache. The OS error of statx(2).
pub fn direct_limits(fd: BorrowedFd<'_>) -> io::Result<DirectLimits> {
    in_simulation!(direct_limits(fd));
    let attributes = direct_attributes(fd.as_raw_fd()).map_err(io::Error::from_raw_os_error)?;
    let alignment = match attributes.alignment {
        Some((0, _) | (_, 0)) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the file system has no direct I/O for this file",
            ));
        }
        Some((memory, offset)) => DirectAlignment {
            memory: memory as usize,
            offset: offset as usize,
            source: AlignmentSource::Kernel,
        },
        None => alignment_by_block(fstatvfs(fd).map_or(0, |system| system.f_frsize)),
    };
    let units = attributes.atomic_unit.filter(|(_, max)| *max > 0);
    Ok(DirectLimits {
        alignment,
        atomic_write: units.map(|(min, max)| AtomicWriteUnit {
            min: min as usize,
            max: max as usize,
        }),
    })
}

/// The alignment by the block size of the file system. A block has one or more sectors of the disk.
fn alignment_by_block(block: u64) -> DirectAlignment {
    let (unit, source) = if block.is_power_of_two() && (512..=BLOCK_MAX).contains(&block) {
        (block as usize, AlignmentSource::FileSystem)
    } else {
        (DEFAULT, AlignmentSource::Default)
    };
    DirectAlignment {
        memory: unit,
        offset: unit,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_of_a_disk_is_the_alignment() {
        for block in [512, 1024, 4096, 65_536] {
            let alignment = alignment_by_block(block);
            assert_eq!(alignment.memory as u64, block);
            assert_eq!(alignment.offset as u64, block);
            assert_eq!(alignment.source, AlignmentSource::FileSystem);
        }
    }

    #[test]
    fn unusable_block_sizes_give_the_default() {
        for block in [0, 1, 100, 256, 6000, 1 << 20] {
            let alignment = alignment_by_block(block);
            assert_eq!((alignment.memory, alignment.offset), (4096, 4096));
            assert_eq!(alignment.source, AlignmentSource::Default);
        }
    }
}
