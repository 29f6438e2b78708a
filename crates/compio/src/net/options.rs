//! The socket options, each documented once.

/// Options of all sockets.
macro_rules! options {
    ($type:ident) => {
        impl $type {
            /// Takes the pending error of the socket (`SO_ERROR`), if there is one. No operation
            /// reports it afterwards.
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.options().take_error()
            }

            /// The size of the OS receive buffer in bytes (`SO_RCVBUF`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn recv_buffer_size(&self) -> io::Result<u32> {
                let size = self.socket.options().recv_buffer_size()?;
                Ok(u32::try_from(size).unwrap_or(u32::MAX))
            }

            /// Sets the size of the OS receive buffer in bytes (`SO_RCVBUF`). The OS may round and
            /// bound it, and Linux doubles it.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
                self.socket.options().set_recv_buffer_size(size as usize)
            }

            /// The size of the OS send buffer in bytes (`SO_SNDBUF`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn send_buffer_size(&self) -> io::Result<u32> {
                let size = self.socket.options().send_buffer_size()?;
                Ok(u32::try_from(size).unwrap_or(u32::MAX))
            }

            /// Sets the size of the OS send buffer in bytes (`SO_SNDBUF`). The OS may round and
            /// bound it, and Linux doubles it.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
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
            /// The maximum number of routers that a packet may pass (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn ttl(&self) -> io::Result<u32> {
                self.socket.options().ttl_v4()
            }

            /// Sets the maximum number of routers that a packet may pass (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2), for instance `InvalidInput` for 0 or a value above 255.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.socket.options().set_ttl_v4(ttl)
            }
        }
    };
}

/// Options of packets, which sockets set before they send.
macro_rules! service_options {
    ($type:ident) => {
        impl $type {
            /// The type of service of its IPv4 packets (`IP_TOS`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn tos_v4(&self) -> io::Result<u32> {
                self.socket.options().tos_v4()
            }

            /// Sets the type of service of its IPv4 packets (`IP_TOS`).
            ///
            /// # Platform differences
            ///
            /// Windows usually ignores it.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
                self.socket.options().set_tos_v4(tos)
            }
        }
    };
}

/// Options of TCP connections, inherited by accepted ones.
macro_rules! tcp_options {
    ($type:ident) => {
        impl $type {
            /// Whether small packets are sent at once (`TCP_NODELAY`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn nodelay(&self) -> io::Result<bool> {
                self.socket.options().tcp_nodelay()
            }

            /// Sends small packets at once (`TCP_NODELAY`), instead of waiting for more data.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                self.socket.options().set_tcp_nodelay(nodelay)
            }

            /// How long a close waits for unsent data (`SO_LINGER`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn linger(&self) -> io::Result<Option<Duration>> {
                self.socket.options().linger()
            }

            /// Sets how long a close waits for unsent data (`SO_LINGER`), in whole seconds. Zero
            /// resets the connection. Any other time makes the *drop* of the socket wait, which
            /// blocks the thread.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
                self.socket.options().set_linger(linger)
            }

            /// Whether the system probes an idle peer (`SO_KEEPALIVE`).
            ///
            /// # Errors
            ///
            /// The OS error of getsockopt(2).
            pub fn keepalive(&self) -> io::Result<bool> {
                self.socket.options().keepalive()
            }

            /// Probes an idle peer (`SO_KEEPALIVE`), at intervals that the system chooses,
            /// typically hours.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
                self.socket.options().set_keepalive(keepalive)
            }

            /// Probes an idle peer at these intervals.
            ///
            /// # Platform differences
            ///
            /// Not every system supports the interval and the number of probes: [`TcpKeepalive`]
            /// has the methods of the target.
            ///
            /// # Errors
            ///
            /// The OS error of setsockopt(2).
            pub fn set_tcp_keepalive(&self, times: &TcpKeepalive) -> io::Result<()> {
                self.socket.options().set_tcp_keepalive(times)
            }
        }
    };
}

pub(super) use {internet_options, options, service_options, tcp_options};
