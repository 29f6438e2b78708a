//! The socket file: its creation, its mode, and its removal.

use std::{
    fs::{Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use compio_driver::os_calls::path::{metadata, remove_file, set_permissions};

use crate::{
    io::AsyncRead,
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

/// The time for the end of a killed process.
const END_LIMIT: Duration = Duration::from_secs(1);

const RETRY: Duration = Duration::from_millis(10);

/// The socket file of a listener. Its drop removes the file, unless another process has replaced it.
pub(super) struct Bound {
    /// Absolute: the process may change its directory. The bind gets the given path, which may be much shorter.
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Bound {
    pub(super) async fn new(path: &Path) -> io::Result<(Self, UnixListener)> {
        let whole_path = absolute(path)?;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path).await => {
                remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let metadata = metadata(path, false)?;
        let bound = Self {
            path: whole_path,
            identity: (metadata.dev(), metadata.ino()),
        };
        // Others that connect before are refused by their user.
        set_permissions(path, Permissions::from_mode(0o600))?;
        Ok((bound, listener))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let is_own = |found: Metadata| (found.dev(), found.ino()) == self.identity;
        if metadata(&self.path, false).is_ok_and(is_own) {
            // The drop cannot report a failure.
            let _ = remove_file(&self.path);
        }
    }
}

/// Whether the path is a socket at which no process listens. Waits for a process that has been killed: the kernel closes the
/// listener of its ring a moment after its end.
async fn is_stale(path: &Path) -> bool {
    // A symbolic link is not followed.
    if !metadata(path, false).is_ok_and(|found| found.file_type().is_socket()) {
        return false;
    }
    let silent = async {
        loop {
            match UnixStream::connect(path).await {
                Ok(mut stream) => {
                    // A console speaks first.
                    let (read, _) = stream.read([0; 1]).await;
                    if read.is_ok_and(|len| len > 0) {
                        return false;
                    }
                }
                Err(error) => return error.kind() == io::ErrorKind::ConnectionRefused,
            }
            sleep(RETRY).await;
        }
    };
    timeout(END_LIMIT, silent).await.unwrap_or(false)
}

/// The effective user of this process.
pub(super) fn own_user() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}

/// Whether the peer is of this user, or root.
pub(super) fn is_of(stream: &UnixStream, user: u32) -> bool {
    const ROOT: u32 = 0;
    let peer = stream.peer_cred();
    peer.is_ok_and(|peer| peer.uid() == user || peer.uid() == ROOT)
}
