//! The other ways to receive and send.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{PollStream, TcpListener, TcpSocket, TcpStream},
    runtime::BufferPool,
    task, time,
};

use super::run_pair;

/// Answers each connection with its bytes, to EOF.
async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let stream = stream?;
        task::spawn(async move {
            let mut reader = &stream;
            let mut writer = &stream;
            loop {
                let (read, bytes) = reader.read(Vec::with_capacity(4096)).await;
                if read? == 0 {
                    return writer.shutdown().await;
                }
                writer.write_all(bytes).await.0?;
            }
        })
        .detach();
    }
    Ok(())
}

#[test]
fn pooled_buffers_are_received() {
    run_pair(echo, async {
        let mut stream = TcpStream::connect("server:7").await?;
        stream.write_all(vec![5; 10_000]).await.0?;
        stream.shutdown().await?;
        let pool = BufferPool::new(4, 1000)?;
        let mut received = stream.recv_stream(&pool);
        let mut len = 0;
        while let Some(buffer) = received.next().await {
            let buffer = buffer?;
            assert!(buffer.iter().all(|byte| *byte == 5));
            len += buffer.len();
        }
        assert_eq!(len, 10_000);
        Ok(())
    });
}

#[test]
fn polls_with_borrowed_buffers_transfer_bytes() {
    run_pair(echo, async {
        let stream = TcpStream::connect("server:7").await?;
        let mut stream = PollStream::new(stream)?;
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let (mut rest, mut received) = (&sent[..], Vec::new());
        let mut room = [MaybeUninit::new(0_u8); 1000];
        while received.len() < sent.len() {
            if !rest.is_empty() {
                let parts = [IoSlice::new(&rest[..1]), IoSlice::new(&rest[1..])];
                let write = time::timeout(
                    Duration::from_millis(1),
                    poll_fn(|cx| stream.poll_write_vectored(cx, &parts)),
                );
                if let Ok(len) = write.await {
                    rest = &rest[len?..];
                }
            }
            let read = poll_fn(|cx| stream.poll_read(cx, &mut room)).await?;
            // SAFETY: all were initialized at the begin.
            received.extend(
                room[..read]
                    .iter()
                    .map(|byte| unsafe { byte.assume_init() }),
            );
        }
        assert!(received == sent);
        Ok(())
    });
}

#[test]
fn loaned_buffers_are_sent_and_returned() {
    run_pair(echo, async {
        let mut stream = TcpStream::connect("server:7").await?;
        let (sent, loan) = stream.send_zero_copy(vec![9; 100]).await;
        assert_eq!(sent?, 100);
        assert_eq!(loan.await, [9; 100]);
        stream.read_exact([0; 100]).await.0?;
        Ok(())
    });
}

#[test]
fn vectored_transfers_and_peeks_work() {
    run_pair(echo, async {
        let mut stream = TcpStream::connect("server:7").await?;
        let (sent, _) = stream.write_vectored([vec![1; 3], vec![2; 4]]).await;
        assert_eq!(sent?, 7);
        let (peeked, bytes) = stream.peek([0; 2]).await;
        assert_eq!((peeked?, bytes), (2, [1, 1]));
        let room = [Vec::with_capacity(5), Vec::with_capacity(5)];
        let (read, parts) = stream.read_vectored(room).await;
        assert_eq!(read?, 7);
        assert_eq!(parts, [vec![1, 1, 1, 2, 2], vec![2, 2]]);
        Ok(())
    });
}

#[test]
fn options_of_sockets_are_kept() {
    run_pair(echo, async {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_keepalive(true)?;
        socket.set_send_buffer_size(8192)?;
        socket.bind("0.0.0.0:5000".parse().unwrap())?;
        let server = compio::net::lookup_host("server:7").await?.next().unwrap();
        let stream = socket.connect(server).await?;
        assert_eq!(stream.local_addr()?.to_string(), "10.0.0.2:5000");
        assert!(stream.nodelay()? && stream.keepalive()?);
        assert_eq!(stream.linger()?, Some(Duration::ZERO));
        assert_eq!(stream.send_buffer_size()?, 8192);
        assert!(stream.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn connect_with_a_time_limit_ends_in_virtual_time() {
    run_pair(
        || async {
            let socket = TcpSocket::new_v4()?;
            socket.bind("0.0.0.0:7".parse().unwrap())?;
            let listener = socket.listen(1)?;
            time::sleep(Duration::from_secs(3600)).await;
            drop(listener);
            Ok(())
        },
        async {
            let server = compio::net::lookup_host("server:7").await?.next().unwrap();
            let _first = TcpStream::connect(server).await?;
            // The queue of the listener is full.
            let begin = time::now();
            let limit = Duration::from_secs(5);
            let error = TcpStream::connect_timeout(&server, limit)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(time::now() - begin, limit);
            Ok(())
        },
    );
}

#[test]
fn dropped_receive_loses_no_bytes() {
    run_pair(echo, async {
        let mut stream = TcpStream::connect("server:7").await?;
        for number in 0..50_u8 {
            stream.write_all([number]).await.0?;
            let limit = Duration::from_micros(u64::from(number) * 100);
            let first = time::timeout(limit, stream.read([0; 1])).await;
            let byte = match first {
                Ok((read, byte)) => read.map(|_| byte)?,
                Err(_) => {
                    let (read, byte) = stream.read_exact([0; 1]).await;
                    read.map(|()| byte)?
                }
            };
            assert_eq!(byte, [number]);
        }
        Ok(())
    });
}

#[test]
fn abort_resets_the_connection() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            let (stream, _) = listener.accept().await?;
            stream.set_linger(Some(Duration::ZERO))?;
            drop(stream);
            std::future::pending().await
        },
        async {
            let mut stream = TcpStream::connect("server:7").await?;
            let error = Pin::new(&mut stream).read([0; 1]).await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            Ok(())
        },
    );
}
