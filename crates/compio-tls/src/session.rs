//! The TLS protocol without I/O: bytes in, bytes out.
//!
//! [`Session`] is all that the engine needs from a TLS implementation. [`Rustls`] fills it with the buffered
//! API of rustls 0.23. The trait takes a slice and returns the consumed length, as sans-IO
//! implementations do, so another one replaces only this file.

use std::io::{self, IoSlice, Read, Write};

use rustls::Connection;

/// One side of a TLS connection.
pub(crate) trait Session {
    fn is_handshaking(&self) -> bool;

    /// Consumes a prefix of the received bytes, which may be empty, and processes it. Returns its length, also
    /// with an error, which is final.
    ///
    /// The caller passes no more bytes while there is [`plaintext`](Self::plaintext).
    fn receive(&mut self, input: &[u8]) -> (usize, Result<(), rustls::Error>);

    /// The first plaintext that is not consumed, or an empty slice.
    fn plaintext(&mut self) -> &[u8];

    /// Consumes plaintext.
    fn consume(&mut self, len: usize);

    /// Moves early data that has arrived behind the bytes in `data`. Returns whether more may arrive.
    fn take_early_data(&mut self, data: &mut Vec<u8>) -> bool;

    /// Whether this is a server that has accepted early data: it may respond before the handshake is complete.
    fn has_accepted_early_data(&mut self) -> bool;

    /// Encrypts a prefix of the bytes as early data: returns its length, 0 if the server would not accept more.
    fn send_early_data(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the peer has sent `close_notify`.
    fn is_closed_by_peer(&self) -> bool;

    /// Encrypts a prefix of the plaintext and returns its length.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Encrypts `close_notify`.
    fn close(&mut self);

    fn has_output(&self) -> bool;

    /// Releases memory before a wait for the peer.
    fn release(&mut self);

    /// Passes encrypted bytes to `to`, which takes a prefix.
    fn output(&mut self, to: &mut dyn Write) -> io::Result<usize>;
}

/// The buffered API of rustls over memory.
#[derive(Debug)]
pub(crate) struct Rustls {
    pub(crate) connection: Connection,
    is_closed_by_peer: bool,
}

impl Rustls {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            is_closed_by_peer: false,
        }
    }

    fn process(&mut self) -> Result<(), rustls::Error> {
        let state = self.connection.process_new_packets()?;
        self.is_closed_by_peer = state.peer_has_closed();
        // The reply to a KeyUpdate waits for the next write. An empty one sends it.
        let _ = self.connection.writer().write(&[]);
        Ok(())
    }
}

impl Session for Rustls {
    fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    fn receive(&mut self, input: &[u8]) -> (usize, Result<(), rustls::Error>) {
        if input.is_empty() {
            return (0, self.process());
        }
        let mut rest = input;
        // It takes about 4 KiB per call.
        match self.connection.read_tls(&mut rest) {
            Ok(len) => (len, self.process()),
            // A record or handshake message that exceeds every limit.
            Err(error) => (0, Err(rustls::Error::General(error.to_string()))),
        }
    }

    fn plaintext(&mut self) -> &[u8] {
        self.connection
            .reader()
            .into_first_chunk()
            .unwrap_or_default()
    }

    fn consume(&mut self, len: usize) {
        io::BufRead::consume(&mut self.connection.reader(), len);
    }

    fn take_early_data(&mut self, data: &mut Vec<u8>) -> bool {
        let Connection::Server(server) = &mut self.connection else {
            return false;
        };
        let is_handshaking = server.is_handshaking();
        let is_hello_processed = server.protocol_version().is_some();
        match server.early_data() {
            Some(mut early) => {
                // A read from memory does not fail.
                let _ = early.read_to_end(data);
                is_handshaking
            }
            None => is_handshaking && !is_hello_processed,
        }
    }

    fn has_accepted_early_data(&mut self) -> bool {
        match &mut self.connection {
            Connection::Server(server) => server.early_data().is_some(),
            Connection::Client(_) => false,
        }
    }

    fn send_early_data(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Connection::Client(client) = &mut self.connection else {
            return Ok(0);
        };
        match client.early_data() {
            Some(mut early) => early.write(bytes),
            None => Ok(0),
        }
    }

    fn is_closed_by_peer(&self) -> bool {
        self.is_closed_by_peer
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connection.writer().write_vectored(slices)
    }

    fn close(&mut self) {
        self.connection.send_close_notify();
    }

    fn has_output(&self) -> bool {
        self.connection.wants_write()
    }

    fn release(&mut self) {
        // Each read shrinks the empty receive buffer to 4 KiB first. This one ends there.
        let _ = self.connection.read_tls(&mut Blocked);
    }

    fn output(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(to)
    }
}

/// A reader that has no bytes yet.
struct Blocked;

impl Read for Blocked {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
