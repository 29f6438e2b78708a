//! The sockets that a server accepts.

use compio::net::{StreamSocket, TcpStream, UnixStream};

/// The stream sockets that a server accepts: [`TcpStream`] and [`UnixStream`].
pub trait ServerSocket: StreamSocket + sealed::ServerSocket {}

impl<S: StreamSocket + sealed::ServerSocket> ServerSocket for S {}

pub(super) mod sealed {
    #[cfg(feature = "tls")]
    use std::{sync::Arc, time::Duration};

    #[cfg(feature = "tls")]
    use compio_tls::{TlsStream, rustls::ServerConfig};

    #[cfg(feature = "tls")]
    use crate::ConnectionError;

    pub trait ServerSocket: Sized {
        /// Sets the options of an accepted socket.
        fn prepare(&self);

        /// As `tls::handshake`, which needs reads and writes by reference. This bound would be repeated in each use.
        #[cfg(feature = "tls")]
        fn handshake(
            self,
            config: Arc<ServerConfig>,
            limit: Option<Duration>,
            shutdown: &mut (impl Future<Output = ()> + Unpin),
        ) -> impl Future<Output = Result<Option<TlsStream<Self>>, ConnectionError>>;
    }
}

macro_rules! server_socket {
    ($socket:ty, $prepare:expr) => {
        impl sealed::ServerSocket for $socket {
            fn prepare(&self) {
                let prepare: fn(&Self) = $prepare;
                prepare(self);
            }

            #[cfg(feature = "tls")]
            async fn handshake(
                self,
                config: std::sync::Arc<compio_tls::rustls::ServerConfig>,
                limit: Option<std::time::Duration>,
                shutdown: &mut (impl Future<Output = ()> + Unpin),
            ) -> Result<Option<compio_tls::TlsStream<Self>>, super::ConnectionError> {
                super::tls::handshake(self, config, limit, shutdown).await
            }
        }
    };
}

// The parts of a response, and the last message of a handshake, are separate writes. Without the option, the next one
// may wait for an acknowledgement. A failure only costs time.
server_socket!(TcpStream, |socket| drop(socket.set_nodelay(true)));
server_socket!(UnixStream, |_| {});
