//! Changes in directories.

use std::{
    ffi::{OsString, c_void},
    fmt, fs, io, iter,
    os::windows::{ffi::OsStringExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    ptr,
};

use compio_io::buf::BufResult;
use windows_sys::Win32::{
    Foundation::ERROR_NOTIFY_ENUM_DIR,
    Storage::FileSystem::{
        FILE_ACTION_ADDED, FILE_ACTION_MODIFIED, FILE_ACTION_REMOVED, FILE_ACTION_RENAMED_NEW_NAME,
        FILE_ACTION_RENAMED_OLD_NAME, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OVERLAPPED,
        FILE_LIST_DIRECTORY, FILE_NOTIFY_CHANGE_DIR_NAME, FILE_NOTIFY_CHANGE_FILE_NAME,
        FILE_NOTIFY_CHANGE_LAST_WRITE, FILE_NOTIFY_CHANGE_SIZE, ReadDirectoryChangesW,
    },
};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Request, TRANSFER_MAX},
    sys::{
        AsRawFd, OwnedFd, RawFd,
        iocp::{Begun, RawEntry},
        windows::as_handle,
    },
};

/// Waits until something has changed in a directory, and says what.
///
/// From the first of these operations on, the system keeps what changes in between for the next one:
/// in a memory of its own, as large as the first one's buffer. What does not fit is lost, all of it,
/// and that is [said](DirectoryChanges::were_lost).
///
/// # Cancellation
///
/// Changes that have not been reported are kept for the next operation. If it completes all the
/// same, those that it would have reported are lost.
///
/// # Errors
///
/// The system's, with the buffer: `ERROR_ACCESS_DENIED` if the directory itself has been deleted;
/// `ERROR_INVALID_FUNCTION` if the file system tells of no changes; over a network,
/// `ERROR_INVALID_PARAMETER` if the buffer has more than 64 KiB.
///
/// ```
/// use compio_driver::{
///     Driver, SharedFd,
///     os::windows::{ChangeKind, DirectoryChanges, ReadDirectoryChanges, open_directory},
/// };
/// # use std::{future::Future, path::Path, pin::pin, task::Context};
/// # fn run<T>(driver: &Driver, mut future: impl Future<Output = T> + Unpin, begun: impl FnOnce()) -> T {
/// #     let (waker, mut begun) = (driver.waker(), Some(begun));
/// #     loop {
/// #         match pin!(&mut future).poll(&mut Context::from_waker(&waker)) {
/// #             std::task::Poll::Ready(output) => return output,
/// #             std::task::Poll::Pending => {}
/// #         }
/// #         if let Some(begun) = begun.take() { begun() }
/// #         driver.turn(None).unwrap();
/// #     }
/// # }
///
/// # fn main() -> std::io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// # let driver = Driver::new()?;
/// let directory = SharedFd::from(open_directory(path)?);
/// let changes = ReadDirectoryChanges::new(directory, DirectoryChanges::with_capacity(4096));
/// # let create = || drop(std::fs::File::create(path.join("new")).unwrap());
/// // Meanwhile, somebody creates the file `new` there.
/// let (result, changes) = run(&driver, driver.submit(changes), create);
/// result?;
/// assert!(!changes.were_lost());
/// let first = changes.iter().next().unwrap();
/// assert_eq!((first.kind, &*first.path), (ChangeKind::Added, Path::new("new")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReadDirectoryChanges<F = SharedFd> {
    fd: F,
    changes: DirectoryChanges,
    watch: Watch,
    entry: Option<RawEntry>,
}

/// What the call is made with.
#[derive(Debug)]
struct Watch {
    start: *mut u32,
    len: u32,
    recursive: bool,
    filter: u32,
}

impl<F> ReadDirectoryChanges<F> {
    /// Watches what [`open_directory`] has opened: names that appear and disappear, the sizes of
    /// files, and when they are written. The changes go into `changes`.
    pub fn new(fd: F, changes: DirectoryChanges) -> Self {
        Self {
            fd,
            changes,
            watch: Watch {
                start: ptr::null_mut(),
                len: 0,
                recursive: false,
                filter: FILE_NOTIFY_CHANGE_FILE_NAME
                    | FILE_NOTIFY_CHANGE_DIR_NAME
                    | FILE_NOTIFY_CHANGE_SIZE
                    | FILE_NOTIFY_CHANGE_LAST_WRITE,
            },
            entry: None,
        }
    }

    /// Whether the directories below are watched, too.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.watch.recursive = recursive;
        self
    }

    /// What is watched: `FILE_NOTIFY_CHANGE_` bits.
    pub fn filter(mut self, bits: u32) -> Self {
        self.watch.filter = bits;
        self
    }
}

// SAFETY: the request points to the entry and what the call is made with, which lie in the
// operation; that points to the changes' memory, on the heap and owned.
unsafe impl<F: AsRawFd + 'static> Operation for ReadDirectoryChanges<F> {
    type Output = BufResult<(), DirectoryChanges>;

    fn request(&mut self) -> Request {
        self.changes.clear();
        self.watch.start = self.changes.words.as_mut_ptr();
        self.watch.len = self.changes.capacity() as u32;
        let data = (&raw mut self.watch).cast();
        // SAFETY: `begin` makes one call and says how it has returned.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), begin, data) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut changes = self.changes;
        let result = match answer {
            Ok(0) => {
                changes.were_lost = true;
                Ok(())
            }
            Ok(len) => {
                changes.len = len.min(changes.capacity());
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(ERROR_NOTIFY_ENUM_DIR as i32) => {
                changes.were_lost = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        (result, changes)
    }
}

// SAFETY: the descriptor is owned by what the operation holds.
unsafe impl<F: OwnsFd> Owned for ReadDirectoryChanges<F> {}

/// # Safety
///
/// As a [`Begin`](crate::sys::iocp::Begin) is called, with a [`Watch`] as its data.
unsafe fn begin(fd: RawFd, overlapped: *mut c_void, data: *mut ()) -> Begun {
    // SAFETY: by this function's contract; the buffer stays until the call is over, as does the
    // OVERLAPPED.
    let succeeded = unsafe {
        let watch = &*data.cast::<Watch>();
        ReadDirectoryChangesW(
            as_handle(fd),
            watch.start.cast(),
            watch.len,
            watch.recursive.into(),
            watch.filter,
            ptr::null_mut(),
            overlapped.cast(),
            None,
        )
    };
    match Begun::new(succeeded != 0) {
        // ReadDirectoryChangesW says so when the watch is queued: its end is told of later.
        Begun::Success => Begun::Pending,
        begun @ (Begun::Pending | Begun::Over(_)) => begun,
    }
}

/// Opens a directory to be [watched](ReadDirectoryChanges).
///
/// # Errors
///
/// The system's.
pub fn open_directory(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let directory = fs::OpenOptions::new()
        .access_mode(FILE_LIST_DIRECTORY)
        // Without the first, no directory can be opened.
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED)
        .open(path)?;
    Ok(directory.into())
}

/// Changes in a directory, as the system has written them, and the memory for them.
#[derive(Default)]
pub struct DirectoryChanges {
    /// The system wants memory for whole words. All of it is initialised, so that nothing that the
    /// system says of its content is a matter of memory safety.
    words: Vec<u32>,
    /// In bytes.
    len: usize,
    were_lost: bool,
}

impl DirectoryChanges {
    /// Room for so many bytes of changes: 12 for each, and 2 for each unit of its name.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            words: vec![0; bytes.min(TRANSFER_MAX).div_ceil(size_of::<u32>())],
            len: 0,
            were_lost: false,
        }
    }

    /// Whether there were more changes than memory for them. All are lost then: what is in the
    /// directory now has to be looked up there.
    pub fn were_lost(&self) -> bool {
        self.were_lost
    }

    /// The changes, in their order.
    pub fn iter(&self) -> Changes<'_> {
        Changes {
            words: &self.words,
            next: Some(0),
            len: self.len / 2,
        }
    }

    /// In bytes.
    fn capacity(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }

    fn clear(&mut self) {
        self.len = 0;
        self.were_lost = false;
    }
}

impl fmt::Debug for DirectoryChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.were_lost {
            return f.write_str("DirectoryChanges(lost)");
        }
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a DirectoryChanges {
    type Item = Change;
    type IntoIter = Changes<'a>;

    fn into_iter(self) -> Changes<'a> {
        self.iter()
    }
}

/// Something has changed in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What has happened.
    pub kind: ChangeKind,
    /// To what, from the directory that is watched. It may be a short name of the 8.3 kind.
    pub path: PathBuf,
}

/// What has happened in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// There is something new.
    Added,
    /// Something is gone.
    Removed,
    /// Size, time or attributes of something are other ones.
    Modified,
    /// Something has another name: this is the old one. The new one is the next change.
    RenamedFrom,
    /// Something has another name: this is the new one.
    RenamedTo,
    /// What this version does not know: the system's `FILE_ACTION_` number.
    Other(u32),
}

impl From<u32> for ChangeKind {
    fn from(action: u32) -> Self {
        match action {
            FILE_ACTION_ADDED => Self::Added,
            FILE_ACTION_REMOVED => Self::Removed,
            FILE_ACTION_MODIFIED => Self::Modified,
            FILE_ACTION_RENAMED_OLD_NAME => Self::RenamedFrom,
            FILE_ACTION_RENAMED_NEW_NAME => Self::RenamedTo,
            action => Self::Other(action),
        }
    }
}

/// Iterates over the changes in a [`DirectoryChanges`]. Ends at the first that is not all there.
#[derive(Debug, Clone, Default)]
pub struct Changes<'a> {
    words: &'a [u32],
    /// Where the next change begins, if there is one, and how much has been written: both in units
    /// of 16 bits, which is what names consist of.
    next: Option<usize>,
    len: usize,
}

/// What is before the name of a change, in bytes: where the next one is, the kind, and the name's
/// length.
const HEAD: usize = 3 * size_of::<u32>();

impl Changes<'_> {
    /// Little-endian, as this system is everywhere.
    fn unit(&self, place: usize) -> u16 {
        (self.words[place / 2] >> (place % 2 * 16)) as u16
    }

    /// Not every system keeps to the rule that changes begin at whole words.
    fn word(&self, place: usize) -> usize {
        usize::from(self.unit(place)) | usize::from(self.unit(place + 1)) << 16
    }
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        // What the system says is trusted as far as it lies within what it has written.
        let start = self.next.take()?;
        let name = start.checked_add(HEAD / 2)?;
        let room = self.len.checked_sub(name)?;
        let offset = self.word(start);
        let action = self.word(start + 2) as u32;
        let name_len = self.word(start + 4) / 2;
        if room < name_len {
            return None;
        }
        // The last one says 0, and none begins within the head of the one before.
        if offset >= HEAD && offset.is_multiple_of(2) {
            self.next = start.checked_add(offset / 2);
        }
        let name: Vec<u16> = (name..name + name_len)
            .map(|place| self.unit(place))
            .collect();
        Some(Change {
            kind: action.into(),
            path: OsString::from_wide(&name).into(),
        })
    }
}

impl iter::FusedIterator for Changes<'_> {}

#[cfg(test)]
mod tests;
