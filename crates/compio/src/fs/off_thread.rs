//! Blocking code on the pool of threads: for what no kernel does asynchronously, or none faster.

use std::{fs::File, io, panic, thread};

use compio_driver::{
    SharedFd,
    op::{Blocking, BlockingOn},
};

use crate::runtime;

/// Runs `code` on another thread.
///
/// # Cancellation
///
/// Code that has not begun does not begin; what has goes on to its end, and the result is dropped.
pub(crate) async fn off_thread<T, C>(code: C) -> io::Result<T>
where
    T: Send + 'static,
    C: FnOnce() -> io::Result<T> + Send + 'static,
{
    came_back(runtime::submit(Blocking::new(code)).await)
}

/// As [`off_thread`], with a file that stays open meanwhile.
pub(crate) async fn off_thread_with<T, C>(fd: &SharedFd, code: C) -> io::Result<T>
where
    T: Send + 'static,
    C: FnOnce(&File) -> io::Result<T> + Send + 'static,
{
    came_back(runtime::submit(BlockingOn::new(fd.clone(), code)).await)
}

fn came_back<T>(result: io::Result<thread::Result<io::Result<T>>>) -> io::Result<T> {
    match result? {
        Ok(result) => result,
        Err(panic) => panic::resume_unwind(panic),
    }
}
