//! The numbers of simulated descriptors.
//!
//! They are negative. So no real descriptor ever has one, and each system call on one fails with EBADF. -1 and
//! `AT_FDCWD` have other meanings, and are far above the range. A number has one life only: a handle that is used after
//! its close, or in another simulation, is an error and never another file.
//!
//! The table is in [`World`](super::World). A handle without an entry there belongs to a simulation that has ended, to a
//! host that has crashed, or to another thread: its close does nothing.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use libc::{EBADF, EMFILE, ENOSYS};

use super::{
    rng::{STEP, hash_of},
    world::HostId,
};

/// The lowest number.
const FIRST: RawFd = RawFd::MIN;

/// The end of the range.
const END: RawFd = -(1 << 16);

/// The number of the next descriptor in the process: numbers of different threads differ, too.
static NEXT: AtomicI32 = AtomicI32::new(FIRST);

/// Whether this is the number of a simulated descriptor.
#[inline]
pub(crate) fn is_simulated(fd: RawFd) -> bool {
    fd < END
}

/// The object behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Socket(SocketId),
    /// An end of a pipe.
    Pipe(SocketId),
    File(FileId),
}

/// The number of a socket or of an end of a pipe.
pub(super) type SocketId = u64;
pub(super) type FileId = u64;

#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor {
    pub(super) host: HostId,
    pub(super) object: Object,
    /// Its number in the trace: the same in each run.
    pub(super) index: u64,
}

/// The open descriptors of all hosts.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    /// Never iterated over: the numbers, and so their order, differ between runs of a seed.
    open: HashMap<RawFd, Descriptor, BuildHasherDefault<NumberHasher>>,
    of_hosts: BTreeSet<(HostId, RawFd)>,
    made: u64,
}

/// Spreads numbers, of which no attacker chooses any.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash_of(bytes);
    }

    fn write_i32(&mut self, number: i32) {
        self.0 = (number as u64).wrapping_mul(STEP);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Descriptors {
    /// A new descriptor of the object. EMFILE if the process has used all numbers.
    pub(super) fn add(&mut self, host: HostId, object: Object) -> Result<RawFd, i32> {
        let next = |fd: RawFd| (fd < END).then(|| fd + 1);
        // Relaxed: only the numbers themselves are shared.
        let fd = NEXT
            .fetch_update(Relaxed, Relaxed, next)
            .map_err(|_| EMFILE)?;
        let index = self.made;
        self.made += 1;
        let descriptor = Descriptor {
            host,
            object,
            index,
        };
        self.open.insert(fd, descriptor);
        self.of_hosts.insert((host, fd));
        Ok(fd)
    }

    /// The descriptor, if this host has it. ENOSYS for a real one.
    pub(super) fn get(&self, fd: RawFd, host: HostId) -> Result<Descriptor, i32> {
        if !is_simulated(fd) {
            return Err(ENOSYS);
        }
        let descriptor = self.open.get(&fd).filter(|known| known.host == host);
        descriptor.copied().ok_or(EBADF)
    }

    pub(super) fn remove(&mut self, fd: RawFd) -> Option<Descriptor> {
        let removed = self.open.remove(&fd)?;
        self.of_hosts.remove(&(removed.host, fd));
        Some(removed)
    }

    /// The numbers of all descriptors of a host, in the order of their creation.
    pub(super) fn of_host(&self, host: HostId) -> Vec<RawFd> {
        let of_host = self.of_hosts.range((host, FIRST)..(host, END));
        of_host.map(|(_, fd)| *fd).collect()
    }

    /// The number of a descriptor in the trace. 0 for others.
    pub(super) fn index(&self, fd: RawFd) -> u64 {
        self.open.get(&fd).map_or(0, |known| known.index + 1)
    }
}

/// The number as the result of a request.
pub(super) fn as_answer(fd: RawFd) -> u32 {
    fd as u32
}

/// The owner of a new descriptor.
pub(super) fn own(fd: RawFd) -> OwnedFd {
    debug_assert!(is_simulated(fd));
    // SAFETY: the number is new, so it has no other owner. It is not -1. It is not open in the system: each owner in this
    // crate closes it through the seam, and so no system call gets it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_not_reused_after_the_close() {
        let mut descriptors = Descriptors::default();
        let first = descriptors.add(0, Object::File(1)).unwrap();
        assert!(is_simulated(first));
        assert!(descriptors.remove(first).is_some());
        let second = descriptors.add(0, Object::File(1)).unwrap();
        assert_ne!(first, second);
        assert_eq!(descriptors.get(first, 0).err(), Some(EBADF));
        assert!(descriptors.get(second, 0).is_ok());
    }

    #[test]
    fn descriptor_of_another_host_is_not_open() {
        let mut descriptors = Descriptors::default();
        let fd = descriptors.add(3, Object::Socket(1)).unwrap();
        assert_eq!(descriptors.get(fd, 4).err(), Some(EBADF));
    }

    #[test]
    fn special_numbers_are_real() {
        assert!(!is_simulated(-1));
        assert!(!is_simulated(libc::AT_FDCWD));
        assert!(!is_simulated(0));
    }
}
