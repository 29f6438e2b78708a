//! The options of sockets, each described once.

/// Options of everything that is a socket.
macro_rules! options {
    ($type:ident) => {
        impl $type {
            /// Takes the error that the socket holds, which no operation has reported yet, if there
            /// is one.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.options().take_error()
            }

            /// How many bytes the system keeps for the reader.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn recv_buffer_size(&self) -> io::Result<u32> {
                let size = self.socket.options().recv_buffer_size()?;
                Ok(u32::try_from(size).unwrap_or(u32::MAX))
            }

            /// Asks the system to keep so many bytes for the reader. It may round and bound that,
            /// and Linux doubles it.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
                self.socket.options().set_recv_buffer_size(size as usize)
            }

            /// How many bytes the system takes from the writer in advance.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn send_buffer_size(&self) -> io::Result<u32> {
                let size = self.socket.options().send_buffer_size()?;
                Ok(u32::try_from(size).unwrap_or(u32::MAX))
            }

            /// Asks the system to take so many bytes from the writer in advance. It may round and
            /// bound that, and Linux doubles it.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
                self.socket.options().set_send_buffer_size(size as usize)
            }
        }
    };
}

/// Options of the internet protocol.
macro_rules! internet_options {
    ($type:ident) => {
        impl $type {
            /// Over how many routers a packet may go (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn ttl(&self) -> io::Result<u32> {
                self.socket.options().ttl_v4()
            }

            /// Chooses over how many routers a packet may go (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.socket.options().set_ttl_v4(ttl)
            }
        }
    };
}

/// Options of packets that sockets set before they send.
macro_rules! service_options {
    ($type:ident) => {
        impl $type {
            /// How the network is asked to treat its IPv4 packets (`IP_TOS`).
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn tos_v4(&self) -> io::Result<u32> {
                self.socket.options().tos_v4()
            }

            /// Asks the network how to treat its IPv4 packets (`IP_TOS`).
            ///
            /// # Platform differences
            ///
            /// Windows ignores it as a rule.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
                self.socket.options().set_tos_v4(tos)
            }
        }
    };
}

/// Options of TCP connections, also of those to come.
macro_rules! tcp_options {
    ($type:ident) => {
        impl $type {
            /// Whether small packets are sent at once.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn nodelay(&self) -> io::Result<bool> {
                self.socket.options().tcp_nodelay()
            }

            /// Sends small packets at once, instead of waiting whether more comes.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                self.socket.options().set_tcp_nodelay(nodelay)
            }

            /// How long a close waits for unsent data.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn linger(&self) -> io::Result<Option<Duration>> {
                self.socket.options().linger()
            }

            /// Chooses how long a close waits for unsent data, in whole seconds. Zero resets the
            /// connection. Any other time makes the *drop* of the socket wait, which blocks the
            /// thread.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
                self.socket.options().set_linger(linger)
            }

            /// Whether a silent peer is asked now and then whether it is still there.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn keepalive(&self) -> io::Result<bool> {
                self.socket.options().keepalive()
            }

            /// Asks a silent peer now and then whether it is still there, at times which the system
            /// has chosen: hours, as a rule.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
                self.socket.options().set_keepalive(keepalive)
            }

            /// Asks a silent peer now and then whether it is still there, at these times.
            ///
            /// # Platform differences
            ///
            /// Not every system can be told the interval and the number of questions:
            /// [`TcpKeepalive`] has what there is.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn set_tcp_keepalive(&self, times: &TcpKeepalive) -> io::Result<()> {
                self.socket.options().set_tcp_keepalive(times)
            }
        }
    };
}

pub(super) use {internet_options, options, service_options, tcp_options};
