//! The sockets, timers and tasks that hickory uses.
//!
//! hickory requires `Send` of all of them. They are wrapped in a [`SendWrapper`]: a use on another thread panics,
//! and a drop on another thread happens on the home thread.

use std::{
    io::{self, IoSlice},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use compio::{
    net::{PollStream, TcpSocket, TcpStream},
    runtime::{AsyncFd, SendWrapper},
    task::spawn,
    time::{sleep, timeout},
};
use futures_io::{AsyncRead, AsyncWrite};
use hickory_resolver::net::runtime::{
    DnsTcpStream as TcpTrait, DnsUdpSocket as UdpTrait, RuntimeProvider, Spawn, Time,
};

/// The time limit of a connection whose caller states none: the one that hickory has with other runtimes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A future as hickory stores it.
type SendFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs hickory on the current runtime of compio.
///
/// A resolver stays on the thread where it is used first: its sockets panic on another one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provider;

impl RuntimeProvider for Provider {
    type Handle = Spawner;
    type Timer = DnsTime;
    type Udp = DnsUdpSocket;
    type Tcp = DnsTcpStream;

    fn create_handle(&self) -> Spawner {
        Spawner
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> SendFuture<io::Result<DnsTcpStream>> {
        let connect = async move {
            let socket = if server.is_ipv4() {
                TcpSocket::new_v4()?
            } else {
                TcpSocket::new_v6()?
            };
            if let Some(local) = local {
                socket.bind(local)?;
            }
            let stream =
                timeout(limit.unwrap_or(CONNECT_TIMEOUT), socket.connect(server)).await??;
            stream.set_nodelay(true)?;
            Ok(DnsTcpStream(SendWrapper::new(PollStream::new(stream)?)))
        };
        Box::pin(SendWrapper::new(connect))
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        _server: SocketAddr,
    ) -> SendFuture<io::Result<DnsUdpSocket>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local)?;
            socket.set_nonblocking(true)?;
            Ok(DnsUdpSocket(SendWrapper::new(AsyncFd::new(socket)?)))
        })
    }
}

/// Spawns hickory's connections as tasks of the current runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spawner;

impl Spawn for Spawner {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        spawn(future).detach();
    }
}

/// The timers of compio.
#[derive(Debug, Clone, Copy, Default)]
pub struct DnsTime;

#[async_trait]
impl Time for DnsTime {
    async fn delay_for(duration: Duration) {
        SendWrapper::new(sleep(duration)).await;
    }

    async fn timeout<F: Future + Send + 'static>(
        duration: Duration,
        future: F,
    ) -> io::Result<F::Output> {
        Ok(SendWrapper::new(timeout(duration, future)).await?)
    }
}

/// A UDP socket. It waits for readiness, because hickory lends a buffer for the time of a poll.
#[derive(Debug)]
pub struct DnsUdpSocket(SendWrapper<AsyncFd<UdpSocket>>);

impl UdpTrait for DnsUdpSocket {
    type Time = DnsTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0
            .poll_read_with(cx, |socket| socket.recv_from(&mut *buffer))
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll_write_with(cx, |socket| socket.send_to(bytes, target))
    }
}

/// A TCP connection to a name server.
#[derive(Debug)]
pub struct DnsTcpStream(SendWrapper<PollStream<TcpStream>>);

impl TcpTrait for DnsTcpStream {
    type Time = DnsTime;
}

impl AsyncRead for DnsTcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for DnsTcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
