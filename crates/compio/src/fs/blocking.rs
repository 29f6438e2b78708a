//! Blocking calls on the thread pool, for work that no kernel does asynchronously, or does faster.

use std::{io, panic, thread};

use compio_driver::{
    AsFd, BorrowedFd, SharedFd,
    op::{Blocking, BlockingOn},
};

use crate::runtime;

/// Runs `code` on another thread.
///
/// # Cancellation
///
/// A call that has not started does not run. One that has started runs to completion, and its result is
/// dropped.
pub(crate) async fn blocking<T, C>(code: C) -> io::Result<T>
where
    T: Send + 'static,
    C: FnOnce() -> io::Result<T> + Send + 'static,
{
    came_back(runtime::submit(Blocking::new(code)).await)
}

/// As [`blocking`], with a descriptor that stays open during the call.
pub(crate) async fn off_thread_with<T, C>(fd: &SharedFd, code: C) -> io::Result<T>
where
    T: Send + 'static,
    C: FnOnce(BorrowedFd<'_>) -> io::Result<T> + Send + 'static,
{
    let call = BlockingOn::new(fd.clone(), |file| code(file.as_fd()));
    came_back(runtime::submit(call).await)
}

fn came_back<T>(result: io::Result<thread::Result<io::Result<T>>>) -> io::Result<T> {
    match result? {
        Ok(result) => result,
        Err(panic) => panic::resume_unwind(panic),
    }
}
