//! Open directories as the start of relative paths.

use std::{
    io,
    path::{Path, PathBuf},
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SharedFd,
    op::Open,
    os_calls::{
        handle::{self, LooseFd},
        system,
    },
};

use crate::{
    fs::{File, Metadata, OpenOptions, ReadDir, off_thread_with},
    runtime,
    sys::{Attributes, open_flags, path_to_c},
};

/// An open directory, at which relative paths start. The handle stays valid if the directory or one
/// of its parents is renamed or replaced; a path would then lead elsewhere. Clones are handles of the
/// same open directory.
///
/// Absolute paths, and paths with `..`, lead out of the directory: it is not a sandbox.
///
/// # Platform differences
///
/// Only on unix: Windows has no such calls.
///
/// ```
/// use compio::fs::Dir;
///
/// fn main() -> std::io::Result<()> {
///     let scratch = tempfile::tempdir()?;
///     let path = scratch.path();
///     compio::task::block_on(async {
///         let dir = Dir::open(path).await?;
///         dir.create_dir("new").await?;
///         let new = dir.open_dir("new").await?;
///         dir.rename("new", &dir, "old").await?;
///         let file = new.create("file").await?;
///         file.write_at("hello", 0).await.0?;
///         assert_eq!(dir.metadata("old/file").await?.len(), 5);
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
#[derive(Debug, Clone)]
pub struct Dir {
    fd: SharedFd,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the directory.
    ///
    /// # Errors
    ///
    /// The OS error, for instance [`NotFound`](io::ErrorKind::NotFound),
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied), or
    /// [`NotADirectory`](io::ErrorKind::NotADirectory) if the path leads to another type of file.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let opened = Open::new(path_to_c(path.as_ref())?, DIRECTORY, 0);
        let fd = runtime::submit(opened).await?.into();
        Ok(Self { fd })
    }

    /// Opens a directory below this one.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the directory.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path_to_c(path.as_ref())?;
        let opened = Open::at(self.fd.clone(), path, DIRECTORY, 0);
        let fd = runtime::submit(opened).await?.into();
        Ok(Self { fd })
    }

    /// Opens a file for reading.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// The OS error, for instance `NotFound` if there is no such file, or `PermissionDenied`.
    pub async fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_file_with(path, OpenOptions::new().read(true))
            .await
    }

    /// Opens a file for writing; it is created if it is missing and emptied if not.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// The OS error, for instance `NotFound` if a directory of the path is missing, `PermissionDenied`, or
    /// `IsADirectory`.
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        self.open_file_with(path, &options).await
    }

    /// Opens a file with these options.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`].
    pub async fn open_file_with(
        &self,
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> io::Result<File> {
        let (flags, mode) = open_flags(&options.options)?;
        let opened = Open::at(self.fd.clone(), path_to_c(path.as_ref())?, flags, mode);
        runtime::submit(opened).await.map(File::from)
    }

    /// As [`fs::metadata`](crate::fs::metadata()).
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// The OS error, for instance `NotFound` if there is no such file.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        let asked = Attributes::of_at(Some(&self.fd), path.as_ref(), true);
        asked.await.map(Metadata)
    }

    /// As [`fs::symlink_metadata`](crate::fs::symlink_metadata()).
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// The OS error, for instance `NotFound` if there is no such file.
    pub async fn symlink_metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        let asked = Attributes::of_at(Some(&self.fd), path.as_ref(), false);
        asked.await.map(Metadata)
    }

    /// As [`fs::try_exists`](crate::fs::try_exists()).
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// The OS error, except `NotFound`, for instance `PermissionDenied` if a directory of the path cannot be
    /// searched.
    pub async fn try_exists(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        match self.metadata(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The attributes of the directory itself.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the directory.
    ///
    /// # Errors
    ///
    /// The OS error of the query.
    pub async fn dir_metadata(&self) -> io::Result<Metadata> {
        Attributes::of_file(&self.fd).await.map(Metadata)
    }

    /// Reads the directory. The paths of its entries are their names.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the directory.
    ///
    /// # Errors
    ///
    /// The OS error, for instance `PermissionDenied`; `EMFILE` or `ENFILE` if no descriptor is left.
    pub async fn read_dir(&self) -> io::Result<ReadDir> {
        let first = off_thread_with(&self.fd, |dir| {
            Ok(ReadDir::next_batch(system::read_dir_at(dir)?))
        });
        let dir = Some(self.fd.clone());
        Ok(ReadDir::new(dir, PathBuf::new(), first.await?))
    }

    /// As [`fs::create_dir`](crate::fs::create_dir()).
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of mkdirat(2), for instance `AlreadyExists`, or `NotFound` if a parent is missing.
    pub async fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path_to_c(path.as_ref())?;
        off_thread_with(&self.fd, move |dir| system::make_dir_at(dir, &path)).await
    }

    /// As [`fs::remove_file`](crate::fs::remove_file()).
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of unlinkat(2), for instance `NotFound`, or `IsADirectory` or `PermissionDenied` for a
    /// directory.
    pub async fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path_to_c(path.as_ref())?;
        off_thread_with(&self.fd, move |dir| system::remove_file_at(dir, &path)).await
    }

    /// As [`fs::remove_dir`](crate::fs::remove_dir()).
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of unlinkat(2), for instance `NotFound`, `NotADirectory`, or `DirectoryNotEmpty`.
    pub async fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path_to_c(path.as_ref())?;
        off_thread_with(&self.fd, move |dir| system::remove_dir_at(dir, &path)).await
    }

    /// As [`fs::rename`](crate::fs::rename()), from this directory to `to_dir`, which may be the same.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of renameat(2), for instance `NotFound`, or `CrossesDevices` if the two directories are
    /// on different file systems.
    pub async fn rename(
        &self,
        from: impl AsRef<Path>,
        to_dir: &Dir,
        to: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (from, to) = (path_to_c(from.as_ref())?, path_to_c(to.as_ref())?);
        let to_dir = LooseFd::from(handle::duplicate(to_dir.fd.as_fd())?);
        off_thread_with(&self.fd, move |dir| {
            system::rename_at(dir, &from, to_dir, &to)
        })
        .await
    }

    /// As [`fs::hard_link`](crate::fs::hard_link()): the file gets the name `link` in `link_dir`, which
    /// may be this directory.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of linkat(2), for instance `NotFound`, `AlreadyExists`, or `CrossesDevices` if the two
    /// directories are on different file systems.
    pub async fn hard_link(
        &self,
        original: impl AsRef<Path>,
        link_dir: &Dir,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (original, link) = (path_to_c(original.as_ref())?, path_to_c(link.as_ref())?);
        let link_dir = LooseFd::from(handle::duplicate(link_dir.fd.as_fd())?);
        off_thread_with(&self.fd, move |dir| {
            system::hard_link_at(dir, &original, link_dir, &link)
        })
        .await
    }

    /// As [`fs::symlink`](crate::fs::symlink()): `link`, in this directory, points to `original`.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// The OS error of symlinkat(2), for instance `AlreadyExists`.
    pub async fn symlink(
        &self,
        original: impl AsRef<Path>,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (original, link) = (path_to_c(original.as_ref())?, path_to_c(link.as_ref())?);
        off_thread_with(&self.fd, move |dir| {
            system::symlink_at(&original, dir, &link)
        })
        .await
    }

    /// As [`fs::read_link`](crate::fs::read_link()).
    ///
    /// # Cancellation
    ///
    /// Has no effect on the link.
    ///
    /// # Errors
    ///
    /// The OS error of readlinkat(2), for instance `NotFound`, or `InvalidInput` if it is not a symbolic
    /// link.
    pub async fn read_link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = path_to_c(path.as_ref())?;
        off_thread_with(&self.fd, move |dir| system::read_link_at(dir, &path)).await
    }

    /// Waits until all changes of entries in this directory (creation, renaming, removal) are on the
    /// disk.
    ///
    /// # Cancellation
    ///
    /// The kernel may complete the synchronization after a cancel.
    ///
    /// # Errors
    ///
    /// The OS error of fsync(2), such as an I/O error.
    pub async fn sync_all(&self) -> io::Result<()> {
        runtime::submit(compio_driver::op::Sync::all(self.fd.clone())).await
    }
}

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        handle::expose(self.fd.as_fd())
    }
}

impl AsRawFd for Dir {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: fd.into() }
    }
}
