//! What only Linux has.

use std::{
    io,
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr},
};

use crate::net::{TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixStream};

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

/// On Linux.
impl TcpStream {
    /// Whether what is received is acknowledged at once (`TCP_QUICKACK`).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn quickack(&self) -> io::Result<bool> {
        self.socket.options().tcp_quickack()
    }

    /// Acknowledges what is received at once, instead of waiting whether there is something to send
    /// with it (`TCP_QUICKACK`). The system may go back to its own ways by itself.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.socket.options().set_tcp_quickack(quickack)
    }
}

macro_rules! devices {
    ($type:ident) => {
        /// On Linux.
        impl $type {
            /// The network device that it is bound to (`SO_BINDTODEVICE`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
                self.socket.options().device()
            }

            /// Binds it to a network device by name, or to none (`SO_BINDTODEVICE`).
            ///
            /// # Errors
            ///
            /// The system's.
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
            /// Whether messages are received with the credentials of who sent them
            /// (`SO_PASSCRED`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn passcred(&self) -> io::Result<bool> {
                self.socket.options().passcred()
            }

            /// Asks for the credentials of who sends a message, beside it (`SO_PASSCRED`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_passcred(&self, passcred: bool) -> io::Result<()> {
                self.socket.options().set_passcred(passcred)
            }
        }
    };
}

credentials!(UnixDatagram);
credentials!(UnixStream);
