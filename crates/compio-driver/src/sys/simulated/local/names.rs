//! The names of Unix sockets: paths in the file system of the host, and abstract names.

use std::{os::unix::ffi::OsStrExt, path::Path};

use libc::{EADDRINUSE, ECONNREFUSED, EEXIST, EINVAL, EPROTOTYPE};
use socket2::SockAddr;

use super::Kind;
use crate::sys::simulated::{
    descriptors::SocketId,
    files::{At, Ino},
    world::{HostId, State},
};

/// The key of a bound socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The file, which may be renamed.
    File(HostId, Ino),
    /// Streams and datagrams have names of their own.
    Abstract(HostId, Kind, Vec<u8>),
}

/// The address of a socket without a name.
pub(super) fn unnamed() -> SockAddr {
    SockAddr::unix(Path::new("")).expect("the empty path is not too long")
}

fn path_of(address: &SockAddr) -> Option<&[u8]> {
    address
        .as_pathname()
        .map(|path| path.as_os_str().as_bytes())
}

impl State {
    /// bind(2). A path gets a new file. The system chooses an abstract name for the empty address.
    pub(in crate::sys::simulated) fn bind_local(
        &mut self,
        id: SocketId,
        address: &SockAddr,
    ) -> Result<(), i32> {
        let endpoint = self.local.get(id)?;
        let (host, kind) = (endpoint.host, endpoint.kind);
        if !address.is_unix() || endpoint.name.is_some() {
            return Err(EINVAL);
        }
        let (address, place) = if let Some(path) = path_of(address) {
            let time = self.wall_time(host);
            let made = self.hosts[host].files.make_socket(path, time);
            let ino = made.map_err(|code| if code == EEXIST { EADDRINUSE } else { code })?;
            (address.clone(), Place::File(host, ino))
        } else if let Some(name) = address.as_abstract_namespace() {
            let place = Place::Abstract(host, kind, name.to_vec());
            (address.clone(), place)
        } else {
            self.local.chosen += 1;
            let name = format!("{:05x}", self.local.chosen);
            let address = SockAddr::unix(format!("\0{name}")).map_err(|_| EINVAL)?;
            (address, Place::Abstract(host, kind, name.into_bytes()))
        };
        if self.local.bound.contains_key(&place) {
            return Err(EADDRINUSE);
        }
        self.local.bound.insert(place.clone(), id);
        let endpoint = self.local.get_mut(id)?;
        endpoint.name = Some(address);
        endpoint.place = Some(place);
        Ok(())
    }

    /// The socket at an address: ECONNREFUSED if no socket has the name, EPROTOTYPE if it has another kind.
    pub(super) fn find_local(
        &self,
        host: HostId,
        kind: Kind,
        address: &SockAddr,
    ) -> Result<SocketId, i32> {
        let place = if let Some(path) = path_of(address) {
            Place::File(host, self.hosts[host].files.find(At::root(path), true)?)
        } else {
            let name = address.as_abstract_namespace().ok_or(EINVAL)?;
            Place::Abstract(host, kind, name.to_vec())
        };
        let found = *self.local.bound.get(&place).ok_or(ECONNREFUSED)?;
        if self.local.get(found)?.kind != kind {
            return Err(EPROTOTYPE);
        }
        Ok(found)
    }
}
