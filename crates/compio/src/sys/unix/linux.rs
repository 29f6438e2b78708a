//! Socket options and abstract socket names, which only Linux has.

use std::{
    io,
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr},
};

use crate::net::{TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixStream, socket::Socket};

/// Whether Unix sockets have names outside of the file system.
pub(crate) const ABSTRACT_NAMES: bool = true;

/// The address of a Unix socket that has a name outside of the file system.
pub(crate) fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

/// The name outside of the file system, if the address is one.
pub(crate) fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}

/// Lets other listeners of the same user share the address (`SO_REUSEPORT`). Linux distributes connections
/// among them. True.
pub(crate) fn share_address(socket: &Socket) -> io::Result<bool> {
    socket.options().set_reuse_port(true)?;
    Ok(true)
}

/// Whether other listeners may share the address.
pub(crate) fn shares_address(socket: &Socket) -> io::Result<bool> {
    socket.options().reuse_port()
}

/// On Linux.
impl TcpStream {
    /// Whether received data is acknowledged at once (`TCP_QUICKACK`).
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn quickack(&self) -> io::Result<bool> {
        self.socket.options().tcp_quickack()
    }

    /// Acknowledges received data at once, instead of waiting for data to send along with the
    /// acknowledgement (`TCP_QUICKACK`). The kernel may reset the option later by itself.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.socket.options().set_tcp_quickack(quickack)
    }
}

macro_rules! devices {
    ($type:ident) => {
        /// On Linux.
        impl $type {
            /// The network device that the socket is bound to (`SO_BINDTODEVICE`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
                self.socket.options().device()
            }

            /// Binds the socket to a network device by name, or to none (`SO_BINDTODEVICE`).
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2), for instance ENODEV if there is no such device, or
            /// `PermissionDenied`.
            pub fn bind_device(&self, device: Option<&[u8]>) -> io::Result<()> {
                self.socket.options().bind_device(device)
            }
        }
    };
}

devices!(TcpSocket);
devices!(UdpSocket);

macro_rules! credentials {
    ($type:ident) => {
        /// On Linux.
        impl $type {
            /// Whether messages are received with the credentials of their sender
            /// (`SO_PASSCRED`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn passcred(&self) -> io::Result<bool> {
                self.socket.options().passcred()
            }

            /// Requests the sender's credentials as ancillary data of each message
            /// (`SO_PASSCRED`).
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_passcred(&self, passcred: bool) -> io::Result<()> {
                self.socket.options().set_passcred(passcred)
            }
        }
    };
}

credentials!(UnixDatagram);
credentials!(UnixStream);
