//! Second descriptors of sockets.

use std::io;

use compio_driver::{AsFd, OwnedFd, os_calls::handle};

use super::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    socket::{Adopt, Socket},
};

impl Socket {
    /// One more descriptor of the same socket, closed on exec.
    fn duplicate(&self) -> io::Result<OwnedFd> {
        // A plain call: it never waits.
        handle::duplicate(self.as_fd())
    }
}

macro_rules! try_clone {
    ($type:ident, $kept:literal, $example:literal) => {
        impl $type {
            /// One more descriptor of the same socket, as `try_clone` of std.
            ///
            /// Both descriptors share the socket: its addresses and its connection, all options, the
            /// non-blocking mode, and the queues of the OS, so that each byte, datagram or connection
            /// comes out of one of them. A shutdown concerns both. The socket is closed when both are.
            ///
            /// They do not share the state of this crate:
            #[doc = $kept]
            /// So each of them can be [closed](Self::close) or moved to another thread, by
            /// `into_std`, on its own.
            ///
            /// Sharing within one thread needs no second descriptor: all operations take `&self` or are
            /// implemented for references.
            ///
            /// # Platform differences
            ///
            /// Windows ties a socket to the completion port of the first runtime that uses it. Duplicates
            /// wait by other means, which cost more.
            ///
            /// # Errors
            ///
            /// The OS error of the duplication, for instance EMFILE if the process has no free
            /// descriptor.
            ///
            #[doc = $example]
            pub fn try_clone(&self) -> io::Result<Self> {
                Self::adopt(self.socket.duplicate()?)
            }
        }
    };
}

/// The state of types that receive.
macro_rules! receiver {
    ($type:ident, $example:literal) => {
        try_clone!(
            $type,
            "data that is kept for the next receive, after a receive was dropped, stays with its descriptor.",
            $example
        );
    };
}

/// The state of listeners.
macro_rules! listener {
    ($type:ident) => {
        try_clone!(
            $type,
            "a connection that is kept for the next accept, after an accept was dropped, stays with its \
             descriptor.",
            ""
        );
    };
}

receiver!(
    TcpStream,
    r#"
```
use compio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

fn main() -> std::io::Result<()> {
    compio::task::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;

        // Another thread reads.
        let reader = client.try_clone()?.into_std().expect("the only handle");
        let thread = std::thread::spawn(move || std::io::read_to_string(reader));
        server.write_all("hello").await.0?;
        server.close().await?;
        assert_eq!(thread.join().unwrap()?, "hello");
        Ok(())
    })
}
```"#
);
receiver!(UdpSocket, "");
receiver!(UnixStream, "");
receiver!(UnixDatagram, "");
listener!(TcpListener);
listener!(UnixListener);
