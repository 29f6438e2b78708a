//! The socket file: its creation, its mode, and its removal.

use std::{
    fs::{Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf, absolute},
};

use compio_driver::os_calls::path::{metadata, remove_file, set_permissions};

use crate::net::{UnixListener, UnixStream};

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

/// Whether the path is a socket at which no process listens.
async fn is_stale(path: &Path) -> bool {
    // A symbolic link is not followed.
    let is_socket = metadata(path, false).is_ok_and(|found| found.file_type().is_socket());
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).await.is_err_and(is_refused)
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
