//! Files and directories.
//!
//! Names, arguments and errors match [`std::fs`], whose documentation applies unless this module says
//! otherwise.
//!
//! Reads and writes of a [`File`] are positioned and take `&self`: any number may be in flight on one
//! file.
//!
//! | | runs |
//! |---|---|
//! | [`File`] and [`DirectFile`]: reads, writes, sync, metadata, disk space; [`OpenOptions::open_async`]; [`metadata()`]; [`read`], [`write`](write()), [`append`]; [`rename`], [`hard_link`], `symlink`, [`create_dir`], [`remove_file`], [`remove_dir`] | in the kernel, asynchronously, where it can |
//! | [`File::open`], [`OpenOptions::open`], [`File::try_clone`] | on this thread, at once |
//! | all others | on the thread pool |
//!
//! A relative path is resolved from the process's current directory at the time when a thread or the
//! kernel executes the operation.
//!
//! Named pipes of Windows are in `net::windows::named_pipe`, with the feature `net`; those of unix are in
//! [`pipe`](crate::pipe).
//!
//! # Cancellation
//!
//! An operation that has not started when its future is dropped does not run. One that has started runs
//! to completion, and its result is dropped: a file may have been created, renamed or removed.

mod blocking;
#[cfg(unix)]
mod dir;
mod dir_builder;
mod direct;
mod file;
mod lock;
mod metadata;
mod open_options;
mod paths;
mod read_dir;
mod space;
mod whole_file;
mod write_options;

pub use std::fs::{FileTimes, Permissions, TryLockError};

pub(crate) use self::blocking::{blocking, off_thread_with};
#[cfg(unix)]
pub use self::dir::Dir;
pub use self::{
    dir_builder::DirBuilder,
    direct::{AlignmentSource, AtomicWriteUnit, DirectAlignment, DirectFile},
    file::File,
    metadata::{FileType, Metadata},
    open_options::OpenOptions,
    paths::{
        canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read_link, remove_dir,
        remove_dir_all, remove_file, rename, set_permissions, symlink_metadata, try_exists,
    },
    read_dir::{DirEntry, ReadDir, read_dir},
    whole_file::{append, read, read_to_string, write},
    write_options::WriteOptions,
};
// Symbolic links, whose functions differ per system.
pub use crate::sys::fs_here::*;
