//! The numbers of simulated descriptors.
//!
//! They are negative. So no real descriptor ever has one, and each system call on one fails with EBADF. -1 and
//! `AT_FDCWD` have other meanings, and are far above the range. A number has one life only: a handle that is used after
//! its close, or in another simulation, is an error and never another file.
//!
//! The table is in [`World`](super::World). A handle without an entry there belongs to a simulation that has ended, to a
//! host that has crashed, or to another thread: its close does nothing.

use std::{
    collections::BTreeSet,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use libc::{EBADF, EMFILE, ENOSYS};

use super::world::HostId;

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
    /// From the page of the first descriptor on. Pages without open ones have no memory.
    pages: Vec<Option<Box<Page>>>,
    first_page: usize,
    of_hosts: BTreeSet<(HostId, RawFd)>,
    made: u64,
}

/// The descriptors with successive numbers.
#[derive(Debug)]
struct Page {
    places: [Option<Descriptor>; PAGE],
    open: usize,
}

/// The length of a page.
const PAGE: usize = 64;

/// The page of a number, and its place there.
fn place_of(fd: RawFd) -> (usize, usize) {
    let number = fd.wrapping_sub(FIRST) as u32 as usize;
    (number / PAGE, number % PAGE)
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
        let (page, place) = place_of(fd);
        if self.pages.is_empty() {
            self.first_page = page;
        }
        let page = page - self.first_page;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| {
            Box::new(Page {
                places: [None; PAGE],
                open: 0,
            })
        });
        page.places[place] = Some(descriptor);
        page.open += 1;
        self.of_hosts.insert((host, fd));
        Ok(fd)
    }

    fn find(&self, fd: RawFd) -> Option<&Descriptor> {
        let (page, place) = place_of(fd);
        let page = self.pages.get(page.checked_sub(self.first_page)?)?;
        page.as_ref()?.places[place].as_ref()
    }

    /// The descriptor, if this host has it. ENOSYS for a real one.
    pub(super) fn get(&self, fd: RawFd, host: HostId) -> Result<Descriptor, i32> {
        if !is_simulated(fd) {
            return Err(ENOSYS);
        }
        let descriptor = self.find(fd).filter(|known| known.host == host);
        descriptor.copied().ok_or(EBADF)
    }

    pub(super) fn remove(&mut self, fd: RawFd) -> Option<Descriptor> {
        let (page, place) = place_of(fd);
        let slot = self.pages.get_mut(page.checked_sub(self.first_page)?)?;
        let page = slot.as_mut()?;
        let removed = page.places[place].take()?;
        page.open -= 1;
        if page.open == 0 {
            *slot = None;
        }
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
        self.find(fd).map_or(0, |known| known.index + 1)
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
    fn page_without_open_descriptors_has_no_memory() {
        let mut descriptors = Descriptors::default();
        let fds: Vec<_> = (0..3 * PAGE as u64)
            .map(|file| descriptors.add(0, Object::File(file)).unwrap())
            .collect();
        assert_eq!(descriptors.of_host(0), fds);
        let (last, others) = fds.split_last().unwrap();
        for fd in others {
            assert!(descriptors.remove(*fd).is_some());
        }
        assert_eq!(descriptors.of_host(0), [*last]);
        assert_eq!(descriptors.pages.iter().flatten().count(), 1);
    }

    #[test]
    fn special_numbers_are_real() {
        assert!(!is_simulated(-1));
        assert!(!is_simulated(libc::AT_FDCWD));
        assert!(!is_simulated(0));
    }
}
