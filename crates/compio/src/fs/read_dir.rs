//! Reading directories.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use compio_driver::{
    SharedFd,
    os_calls::path::{self as calls, Entries},
};

use super::{FileType, Metadata, blocking};
use crate::sys::{Attributes, Entry};

/// The number of entries that are read at a time.
const BATCH: usize = 128;

/// Reads a directory: its entries except `.` and `..`, in the order of the OS. Files that are created
/// or removed during the reading may be missing or included.
///
/// ```
/// use compio::fs;
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path();
///     compio::task::block_on(async {
///         fs::write(path.join("a"), "hello").await.0?;
///         let mut entries = fs::read_dir(path).await?;
///         while let Some(entry) = entries.next_entry().await? {
///             assert_eq!(entry.file_name(), "a");
///             assert!(entry.file_type().await?.is_file());
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::read_dir`].
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let root = path.as_ref().to_owned();
    let path = root.clone();
    let batch = blocking(move || Ok(ReadDir::next_batch(calls::read_dir(&path)?)));
    Ok(ReadDir::new(None, root, batch.await?))
}

/// The entries of a directory, made by [`read_dir`]. They are read in batches.
pub struct ReadDir {
    /// The directory that relative paths start from, if it is not the current one.
    dir: Option<SharedFd>,
    root: Rc<Path>,
    ready: VecDeque<io::Result<Entry>>,
    source: Source,
}

enum Source {
    Rests(Entries),
    /// A batch is being read. Not part of the future that waits for it, so that dropping that
    /// future loses nothing.
    Works(Pin<Box<dyn Future<Output = io::Result<Batch>>>>),
    Over,
}

pub(crate) struct Batch {
    entries: VecDeque<io::Result<Entry>>,
    /// The source of more entries.
    rest: Option<Entries>,
}

impl ReadDir {
    pub(crate) fn new(dir: Option<SharedFd>, root: PathBuf, first: Batch) -> Self {
        let mut entries = Self {
            dir,
            root: root.into(),
            ready: VecDeque::new(),
            source: Source::Over,
        };
        entries.take(first);
        entries
    }

    /// Reads a batch. May block.
    pub(crate) fn next_batch(mut source: Entries) -> Batch {
        let entries: VecDeque<_> = source
            .by_ref()
            .take(BATCH)
            .map(|entry| entry.map(Entry))
            .collect();
        let rest = (entries.len() == BATCH).then_some(source);
        Batch { entries, rest }
    }

    /// The next entry; `None` when there are no more.
    ///
    /// # Cancellation
    ///
    /// No entry is lost.
    ///
    /// # Errors
    ///
    /// The OS error of reading the directory. More entries or errors may follow.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// As [`next_entry`](Self::next_entry), for hand-written futures and streams.
    ///
    /// # Errors
    ///
    /// As for [`next_entry`](Self::next_entry).
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                let (dir, root) = (self.dir.clone(), Rc::clone(&self.root));
                return Poll::Ready(entry.map(|entry| Some(DirEntry { dir, root, entry })));
            }
            match std::mem::replace(&mut self.source, Source::Over) {
                Source::Over => return Poll::Ready(Ok(None)),
                Source::Rests(entries) => {
                    let batch = blocking(move || Ok(ReadDir::next_batch(entries)));
                    self.source = Source::Works(Box::pin(batch));
                }
                Source::Works(mut batch) => match batch.as_mut().poll(cx) {
                    Poll::Ready(batch) => self.take(batch?),
                    Poll::Pending => {
                        self.source = Source::Works(batch);
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        self.ready = batch.entries;
        self.source = batch.rest.map_or(Source::Over, Source::Rests);
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.root).finish()
    }
}

/// A file in a directory, read by [`ReadDir`].
pub struct DirEntry {
    dir: Option<SharedFd>,
    root: Rc<Path>,
    pub(crate) entry: Entry,
}

impl DirEntry {
    /// The file's path: the path given to [`read_dir`], joined with the name.
    pub fn path(&self) -> PathBuf {
        self.root.join(self.entry.name())
    }

    /// The file's name in the directory.
    pub fn file_name(&self) -> OsString {
        self.entry.name().to_owned()
    }

    /// The type of the file. Symbolic links are not followed. Most file systems report it with the
    /// directory entry.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// As for [`metadata`](Self::metadata), if the directory entry does not contain the type.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.entry.kind() {
            Some(kind) => Ok(FileType(kind)),
            None => Ok(self.metadata().await?.file_type()),
        }
    }

    /// The attributes of the file, without following a symbolic link.
    ///
    /// # Platform differences
    ///
    /// On Windows they come from the directory entry, as of the time of reading. Elsewhere this is a
    /// call by path.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// The OS error of lstat(2), for instance `NotFound` if the file is gone.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        match self.entry.attributes() {
            Some(attributes) => Ok(Metadata(attributes)),
            None => Attributes::of_at(self.dir.as_ref(), &self.path(), false)
                .await
                .map(Metadata),
        }
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
