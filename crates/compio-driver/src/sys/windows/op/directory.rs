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
        windows::{as_handle, declare_overlapped},
    },
};

/// Waits for changes in a directory, and returns them.
///
/// From the first of these operations on, the system stores changes between two operations for the
/// next one, in a buffer of its own that is as large as the first operation's buffer. If the changes
/// do not fit, all of them are lost, and [`were_lost`](DirectoryChanges::were_lost) reports it.
///
/// # Cancellation
///
/// Changes that have not been reported are kept for the next operation. If the operation completes
/// before its cancel, the changes that it would have reported are lost.
///
/// # Errors
///
/// All with the buffer: `ERROR_ACCESS_DENIED` if the directory itself has been deleted;
/// `ERROR_INVALID_FUNCTION` if the file system does not report changes; over a network,
/// `ERROR_INVALID_PARAMETER` if the buffer has more than 64 KiB. Other OS errors of
/// `ReadDirectoryChangesW`.
///
/// ```
/// use compio::driver::{
///     Driver, SharedFd,
///     os::windows::{ChangeKind, DirectoryChanges, ReadDirectoryChanges, open_directory},
/// };
/// use std::{future::Future, path::Path, pin::pin, task::Context};
///
/// fn run<T>(driver: &Driver, mut future: impl Future<Output = T> + Unpin, begun: impl FnOnce()) -> T {
///     let (waker, mut begun) = (driver.waker(), Some(begun));
///     loop {
///         match pin!(&mut future).poll(&mut Context::from_waker(&waker)) {
///             std::task::Poll::Ready(output) => return output,
///             std::task::Poll::Pending => {}
///         }
///         if let Some(begun) = begun.take() { begun() }
///         driver.turn(None).unwrap();
///     }
/// }
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path();
///     let driver = Driver::new()?;
///     let directory = SharedFd::from(open_directory(path)?);
///     let changes = ReadDirectoryChanges::new(directory, DirectoryChanges::with_capacity(4096));
///     let create = || drop(std::fs::File::create(path.join("new")).unwrap());
///     // During the wait, another program creates the file `new` there.
///     let (result, changes) = run(&driver, driver.submit(changes), create);
///     result?;
///     assert!(!changes.were_lost());
///     let first = changes.iter().next().unwrap();
///     assert_eq!((first.kind, &*first.path), (ChangeKind::Added, Path::new("new")));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct ReadDirectoryChanges<F = SharedFd> {
    fd: F,
    changes: DirectoryChanges,
    watch: Watch,
    entry: Option<RawEntry>,
}

/// The arguments of the call.
#[derive(Debug)]
struct Watch {
    start: *mut u32,
    len: u32,
    recursive: bool,
    filter: u32,
}

impl<F> ReadDirectoryChanges<F> {
    /// Watches a directory that [`open_directory`] has opened: names that appear and disappear, the
    /// sizes of files, and the times of their last writes. The changes go into `changes`.
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

    /// Sets whether subdirectories are watched, too.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.watch.recursive = recursive;
        self
    }

    /// Sets the kinds of changes to watch: `FILE_NOTIFY_CHANGE_` bits.
    pub fn filter(mut self, bits: u32) -> Self {
        self.watch.filter = bits;
        self
    }
}

// SAFETY: the request points to the entry and to the call's arguments, which lie in the operation.
// The arguments point to the memory of the changes, which is owned and on the heap.
unsafe impl<F: AsRawFd + 'static> Operation for ReadDirectoryChanges<F> {
    type Output = BufResult<(), DirectoryChanges>;
    describe!(Other, fd);

    fn request(&mut self) -> Request {
        self.changes.clear();
        self.watch.start = self.changes.words.as_mut_ptr();
        self.watch.len = self.changes.capacity() as u32;
        let data = (&raw mut self.watch).cast();
        // `open_directory` opens it so. The watch then begins at once, and misses no change that follows.
        declare_overlapped(self.fd.as_raw_fd());
        // SAFETY: `begin` makes one call and reports how it has returned.
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

// SAFETY: the operation holds an owner of the descriptor.
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
        // ReadDirectoryChangesW succeeds when the watch is queued: its end is reported later.
        Begun::Success => Begun::Pending,
        begun @ (Begun::Pending | Begun::Over(_)) => begun,
    }
}

/// Opens a directory in order to [watch](ReadDirectoryChanges) it.
///
/// # Errors
///
/// The OS error of `CreateFileW`, for instance `NotFound` if there is no such directory.
pub fn open_directory(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let directory = fs::OpenOptions::new()
        .access_mode(FILE_LIST_DIRECTORY)
        // Directories can be opened only with FILE_FLAG_BACKUP_SEMANTICS.
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED)
        .open(path)?;
    Ok(directory.into())
}

/// Changes in a directory, as the system has written them, and the memory for them.
#[derive(Default)]
pub struct DirectoryChanges {
    /// The system requires memory aligned to words. All of it is initialised, so that memory safety
    /// does not depend on the length that the system reports.
    words: Vec<u32>,
    /// In bytes.
    len: usize,
    were_lost: bool,
}

impl DirectoryChanges {
    /// Room for `bytes` bytes of changes: 12 for each change, and 2 for each unit of its name.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            words: vec![0; bytes.min(TRANSFER_MAX).div_ceil(size_of::<u32>())],
            len: 0,
            were_lost: false,
        }
    }

    /// Whether there were more changes than fit into the memory. All are lost then: list the
    /// directory to find its present content.
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

/// A change in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The changed entry, relative to the watched directory. It may be a short 8.3 name.
    pub path: PathBuf,
}

/// The kind of a change in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// An entry was added.
    Added,
    /// An entry was removed.
    Removed,
    /// Size, time or attributes of an entry have changed.
    Modified,
    /// An entry was renamed: this is the old name. The new one is the next change.
    RenamedFrom,
    /// An entry was renamed: this is the new name.
    RenamedTo,
    /// A kind that this version does not know: the system's `FILE_ACTION_` number.
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

/// Iterates over the changes in a [`DirectoryChanges`]. Ends at the first incomplete change.
#[derive(Debug, Clone, Default)]
pub struct Changes<'a> {
    words: &'a [u32],
    /// The start of the next change, if there is one, and the length of the written part: both in units
    /// of 16 bits, the code units of names.
    next: Option<usize>,
    len: usize,
}

/// The size in bytes of a change's head, which precedes its name: the offset of the next change, the
/// kind, and the name's length.
const HEAD: usize = 3 * size_of::<u32>();

impl Changes<'_> {
    /// Little-endian, as Windows always is.
    fn unit(&self, place: usize) -> u16 {
        (self.words[place / 2] >> (place % 2 * 16)) as u16
    }

    /// Changes should begin at whole words, but not every system aligns them.
    fn word(&self, place: usize) -> usize {
        usize::from(self.unit(place)) | usize::from(self.unit(place + 1)) << 16
    }
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        // Offsets and lengths of the system are checked against the length that it has written.
        let start = self.next.take()?;
        let name = start.checked_add(HEAD / 2)?;
        let room = self.len.checked_sub(name)?;
        let offset = self.word(start);
        let action = self.word(start + 2) as u32;
        let name_len = self.word(start + 4) / 2;
        if room < name_len {
            return None;
        }
        // The offset of the last one is 0, and no change begins within the head of the one before.
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
