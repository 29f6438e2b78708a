//! Pairs of connections, and raw peers.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::block_on,
    time::timeout,
};
use compio_testkit::LONG;
use compio_ws::{Config, Role, WebSocket};

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(async { timeout(LONG, body).await.expect("this takes too long") })
}

/// Polls the future once and drops it. Returns its output if it was ready.
pub(crate) fn attempt<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A client and a server without a handshake.
pub(crate) fn over<S: 'static>((client, server): (S, S)) -> (WebSocket<S>, WebSocket<S>)
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let client = WebSocket::from_stream(client, Role::Client, Vec::new(), Config::new());
    let server = WebSocket::from_stream(server, Role::Server, Vec::new(), Config::new());
    (client, server)
}

pub(crate) fn in_memory(capacity: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    over(duplex(capacity))
}

/// A connection of this role, and the stream of its peer.
pub(crate) fn with_raw_peer(role: Role, config: Config) -> (WebSocket<DuplexStream>, Raw) {
    let (left, right) = duplex(64 * 1024);
    let socket = WebSocket::from_stream(left, role, Vec::new(), config);
    let is_client = role == Role::Server;
    (
        socket,
        Raw {
            stream: right,
            is_client,
        },
    )
}

pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("its other end");
    (client, server)
}

/// A peer that writes and reads frames by itself.
pub(crate) struct Raw {
    pub(crate) stream: DuplexStream,
    /// Clients mask.
    pub(crate) is_client: bool,
}

/// The mask of raw clients.
pub(crate) const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;

/// A frame with this first byte. The length is in its shortest form.
pub(crate) fn frame(first: u8, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask_bit = u8::from(is_masked) << 7;
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(mask_bit | len as u8),
        len @ ..65536 => {
            frame.push(mask_bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask_bit | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend(KEY);
        frame.extend(
            payload
                .iter()
                .zip(KEY.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    } else {
        frame.extend(payload);
    }
    frame
}

impl Raw {
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = frame(first, self.is_client, payload);
        self.stream.write_all(frame).await.0.expect("a sent frame");
    }

    /// The first byte and the payload of the next frame, whose mask is checked. `None` at EOF.
    pub(crate) async fn recv(&mut self) -> Option<(u8, Vec<u8>)> {
        let (read, head) = self.stream.read_exact([0; 2]).await;
        read.ok()?;
        let is_masked = head[1] & 0x80 != 0;
        assert_eq!(
            is_masked, !self.is_client,
            "clients mask, and servers do not"
        );
        let len = match head[1] & 0x7F {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            len => u64::from(len),
        };
        let key = match is_masked {
            true => self.exactly(4).await,
            false => vec![0; 4],
        };
        let mut payload = self.exactly(len as usize).await;
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        Some((head[0], payload))
    }

    async fn exactly(&mut self, len: usize) -> Vec<u8> {
        let (read, bytes) = self.stream.read_exact(vec![0; len]).await;
        read.expect("a whole frame");
        bytes
    }

    /// Expects a close frame with this code, and then EOF.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.recv().await.expect("a close frame");
        assert_eq!(first, FIN | CLOSE);
        assert_eq!(payload[..2], code.to_be_bytes());
    }
}
