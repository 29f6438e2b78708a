//! The standard streams on unix. They are ordinary descriptors. Other processes share them, so their
//! modes stay unchanged.

use std::{
    cell::OnceCell,
    io::{self, stderr, stdin, stdout},
};

use compio_driver::{AsFd, SharedFd, os_calls::handle};
use compio_io::buf::{BufResult, IoBuf, IoBufMut};

use crate::cursor_io;

#[derive(Debug)]
pub(crate) struct Input {
    fd: OnceCell<SharedFd>,
}

#[derive(Debug)]
pub(crate) struct Output {
    which: Which,
    fd: OnceCell<SharedFd>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Out,
    Error,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self {
            fd: OnceCell::new(),
        }
    }

    pub(crate) async fn read<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        match duplicate_once(&self.fd, stdin()) {
            Ok(fd) => cursor_io::read(fd, buffer).await,
            Err(error) => (Err(error), buffer),
        }
    }
}

impl Output {
    pub(crate) fn new(which: Which) -> Self {
        Self {
            which,
            fd: OnceCell::new(),
        }
    }

    pub(crate) async fn write<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        let fd = match self.which {
            Which::Out => duplicate_once(&self.fd, stdout()),
            Which::Error => duplicate_once(&self.fd, stderr()),
        };
        match fd {
            Ok(fd) => cursor_io::write(fd, buffer).await,
            Err(error) => (Err(error), buffer),
        }
    }
}

/// A duplicate of the descriptor: the process's own stays open when the duplicate is closed.
fn duplicate_once(cell: &OnceCell<SharedFd>, stream: impl AsFd) -> io::Result<&SharedFd> {
    if let Some(fd) = cell.get() {
        return Ok(fd);
    }
    let duplicate = handle::duplicate(stream.as_fd())?;
    Ok(cell.get_or_init(|| duplicate.into()))
}
