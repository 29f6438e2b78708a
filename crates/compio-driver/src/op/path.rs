//! Operations on paths: rename, remove, create a directory, link.
//!
//! A relative path starts at the process's current directory.
//!
//! # Platform differences
//!
//! Only unix supports them; on Windows they fail.

use std::io;

use crate::{
    operation::{Operation, Owned},
    request::{NativePath, PathOp, Request},
};

/// Renames a file or directory, on the same file system. Replaces an existing file of the new name.
#[derive(Debug)]
pub struct Rename {
    from: NativePath,
    to: NativePath,
}

impl Rename {
    /// Renames `from` to `to`.
    pub fn new(from: NativePath, to: NativePath) -> Self {
        Self { from, to }
    }
}

// SAFETY: the request points to the paths, on the heap and owned.
unsafe impl Operation for Rename {
    type Output = io::Result<()>;
    describe!(Rename);

    fn request(&mut self) -> Request {
        Request::Path(PathOp::Rename {
            from: self.from.as_ptr(),
            to: self.to.as_ptr(),
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Rename {}

/// Removes a path. A file without another link is deleted once it is not open any more.
#[derive(Debug)]
pub struct Remove {
    path: NativePath,
    is_dir: bool,
}

impl Remove {
    /// Removes the path of a file that is not a directory, or a symbolic link itself.
    pub fn file(path: NativePath) -> Self {
        Self {
            path,
            is_dir: false,
        }
    }

    /// Removes an empty directory.
    pub fn dir(path: NativePath) -> Self {
        Self { path, is_dir: true }
    }
}

// SAFETY: the request points to the path, on the heap and owned.
unsafe impl Operation for Remove {
    type Output = io::Result<()>;
    describe!(Remove);

    fn request(&mut self) -> Request {
        Request::Path(PathOp::Remove {
            path: self.path.as_ptr(),
            is_dir: self.is_dir,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Remove {}

/// Creates a directory.
#[derive(Debug)]
pub struct MakeDir {
    path: NativePath,
    mode: u32,
}

impl MakeDir {
    /// Creates `path`, with these permission bits before the umask.
    pub fn new(path: NativePath, mode: u32) -> Self {
        Self { path, mode }
    }
}

// SAFETY: the request points to the path, on the heap and owned.
unsafe impl Operation for MakeDir {
    type Output = io::Result<()>;
    describe!(MakeDir);

    fn request(&mut self) -> Request {
        Request::Path(PathOp::MakeDir {
            path: self.path.as_ptr(),
            mode: self.mode,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for MakeDir {}

/// Creates a hard link or a symbolic link.
#[derive(Debug)]
pub struct Link {
    original: NativePath,
    link: NativePath,
    is_symbolic: bool,
}

impl Link {
    /// Makes `link` a hard link to the file `original`, on the same file system.
    pub fn hard(original: NativePath, link: NativePath) -> Self {
        Self {
            original,
            link,
            is_symbolic: false,
        }
    }

    /// Makes `link` a symbolic link to `original`, which need not exist.
    pub fn symbolic(original: NativePath, link: NativePath) -> Self {
        Self {
            original,
            link,
            is_symbolic: true,
        }
    }
}

// SAFETY: the request points to the paths, on the heap and owned.
unsafe impl Operation for Link {
    type Output = io::Result<()>;
    describe!(Link);

    fn request(&mut self) -> Request {
        Request::Path(PathOp::Link {
            original: self.original.as_ptr(),
            link: self.link.as_ptr(),
            is_symbolic: self.is_symbolic,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Link {}
