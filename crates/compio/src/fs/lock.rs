//! Locks of whole files.
//!
//! A wait for a lock is a series of attempts. No kernel waits for a lock asynchronously. A thread that
//! waits cannot be cancelled: it would take the lock for a dropped future. And if all pool threads wait
//! for a lock, its owner may find no thread to release it.

use std::{fs::TryLockError, io, time::Duration};

use compio_driver::{AsFd, os_calls::file};

use super::File;
use crate::time::sleep;

/// Between the first two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Between later attempts: as long as the wait has been, but at most this.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Locks, which [`std::fs::File`] describes. They belong to the open file, and so to all its clones
/// and duplicates. They end at the latest when it is closed.
impl File {
    /// Waits until the file is unlocked, and locks it.
    ///
    /// The lock is retried at most 50 ms apart. The order of several waiting tasks is unspecified.
    ///
    /// # Cancellation
    ///
    /// The file is not locked.
    ///
    /// # Platform differences
    ///
    /// On Windows a lock also prevents reads and writes by others. Elsewhere locks are advisory. On
    /// network file systems an attempt may take a round trip to the server, which blocks the thread.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::lock`].
    ///
    /// ```
    /// use compio::fs::File;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let dir = tempfile::tempdir()?;
    ///     let path = dir.path().join("file");
    ///     compio::task::block_on(async {
    ///         let file = File::create(&path)?;
    ///         file.lock().await?;
    ///         assert!(File::open(&path)?.try_lock_shared().is_err());
    ///         file.unlock()?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub async fn lock(&self) -> io::Result<()> {
        wait_for(|| self.try_lock()).await
    }

    /// As [`lock`](Self::lock), but others may share the lock.
    ///
    /// # Cancellation
    ///
    /// The file is not locked.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::lock_shared`].
    pub async fn lock_shared(&self) -> io::Result<()> {
        wait_for(|| self.try_lock_shared()).await
    }

    /// Locks the file if it is unlocked.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::try_lock`].
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.attempt(true)
    }

    /// As [`try_lock`](Self::try_lock), but others may share the lock.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::try_lock_shared`].
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.attempt(false)
    }

    /// Releases the lock.
    ///
    /// # Platform differences
    ///
    /// On Windows, it fails if the file is not locked.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::unlock`].
    pub fn unlock(&self) -> io::Result<()> {
        file::unlock(self.fd.as_fd())
    }

    fn attempt(&self, exclusive: bool) -> Result<(), TryLockError> {
        match file::try_lock(self.fd.as_fd(), exclusive) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TryLockError::WouldBlock),
            Err(error) => Err(TryLockError::Error(error)),
        }
    }
}

async fn wait_for(attempt: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let mut pause = PAUSE_MIN;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}
