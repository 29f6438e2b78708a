//! Datagram sockets with buffers of a pool, and with sends that do not copy.

use compio_driver::Loan;
use compio_io::buf::{BufResult, IoBuf};

use super::{RecvStream, ToSocketAddrs, UdpSocket, UnixDatagram, address::first};
use crate::runtime::BufferPool;

impl UdpSocket {
    /// Receives datagrams continuously, each into a buffer of a pool.
    ///
    /// A datagram comes whole, in one buffer; bytes beyond the
    /// [size](BufferPool::buffer_size) of the buffers are lost. An empty datagram is an empty buffer.
    /// There is no EOF: `None` only follows a [`cancel`](RecvStream::cancel). If the reading direction was shut
    /// down, the OS returns empty datagrams without end, as for [`recv`](Self::recv).
    ///
    /// It does not return the senders. So it is for connected sockets, or for protocols that need no
    /// sender. Otherwise use [`recv_from`](Self::recv_from).
    ///
    /// ```
    /// use compio::{net::UdpSocket, runtime::BufferPool};
    ///
    /// fn main() -> std::io::Result<()> {
    ///     compio::task::block_on(async {
    ///         let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///         let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///         client.connect(server.local_addr()?).await?;
    ///         server.connect(client.local_addr()?).await?;
    ///         for datagram in ["hello", "", "world"] {
    ///             client.send(datagram).await.0?;
    ///         }
    ///
    ///         let pool = BufferPool::new(16, 1500)?;
    ///         let mut datagrams = server.recv_stream(&pool);
    ///         for expected in ["hello", "", "world"] {
    ///             let datagram = datagrams.next().await.expect("there is no EOF")?;
    ///             assert_eq!(*datagram, *expected.as_bytes());
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Cancellation
    ///
    /// As of [`RecvStream`], with one exception: empty datagrams that a dropped stream has received are
    /// lost.
    ///
    /// # Errors
    ///
    /// Items can be the OS error of recv(2), for instance `ConnectionRefused` after a send to a port
    /// without a socket. The stream continues after it.
    ///
    /// # Panics
    ///
    /// If the pool was made for another runtime.
    pub fn recv_stream(&self, pool: &BufferPool) -> RecvStream {
        RecvStream::of_datagrams(&self.socket, pool)
    }

    /// Sends a datagram to the connected peer without copying it, where the kernel supports it. The kernel
    /// holds the buffer until the network device has sent it. So result and buffer come one after the
    /// other: await the [`Loan`] to get the buffer back.
    ///
    /// It pays for large datagrams and real networks; on the loopback, kernels copy.
    ///
    /// ```
    /// use compio::net::UdpSocket;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     compio::task::block_on(async {
    ///         let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///         let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///         client.connect(server.local_addr()?).await?;
    ///         let (sent, loan) = client.send_zero_copy(vec![7; 8192]).await;
    ///         assert_eq!(sent?, 8192);
    ///         let (received, _) = server.recv(Vec::with_capacity(65536)).await;
    ///         assert_eq!(received?, 8192);
    ///         assert_eq!(loan.await, vec![7; 8192]);
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Platform differences
    ///
    /// Only with io_uring. Elsewhere this is a [`send`](Self::send), and the loan ends at once.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not. The buffer is dropped when the kernel has released it.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffer.
    pub async fn send_zero_copy<B: IoBuf>(&self, buffer: B) -> BufResult<usize, Loan<B>> {
        self.socket.send_zero_copy(buffer).await
    }

    /// Sends a datagram to the first address of `target` without copying it, as
    /// [`send_zero_copy`](Self::send_zero_copy).
    ///
    /// ```
    /// use compio::net::UdpSocket;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     compio::task::block_on(async {
    ///         let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///         let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///         let target = server.local_addr()?;
    ///         let (sent, loan) = client.send_to_zero_copy(vec![7; 8192], target).await;
    ///         assert_eq!(sent?, 8192);
    ///         let (received, _) = server.recv_from(Vec::with_capacity(65536)).await;
    ///         assert_eq!(received?, (8192, client.local_addr()?));
    ///         assert_eq!(loan.await, vec![7; 8192]);
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Platform differences
    ///
    /// Only with io_uring of Linux 6.1 or later. Elsewhere this is a [`send_to`](Self::send_to), and the
    /// loan ends at once.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not. The buffer is dropped when the kernel has released it.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffer. An error of the
    /// resolution of `target`, with the buffer.
    pub async fn send_to_zero_copy<B: IoBuf>(
        &self,
        buffer: B,
        target: impl ToSocketAddrs,
    ) -> BufResult<usize, Loan<B>> {
        match first(&target).await {
            Ok(address) => self.socket.send_to_zero_copy(buffer, address.into()).await,
            Err(error) => (Err(error), Loan::from(buffer)),
        }
    }
}

impl UnixDatagram {
    /// Receives datagrams continuously, each into a buffer of a pool, as
    /// [`UdpSocket::recv_stream`]. Senders and ancillary data are not returned; descriptors in it are
    /// closed.
    ///
    /// # Cancellation
    ///
    /// As of [`UdpSocket::recv_stream`].
    ///
    /// # Panics
    ///
    /// If the pool was made for another runtime.
    pub fn recv_stream(&self, pool: &BufferPool) -> RecvStream {
        RecvStream::of_datagrams(&self.socket, pool)
    }
}
