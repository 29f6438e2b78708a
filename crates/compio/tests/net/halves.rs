//! Halves of streams.

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{ReuniteError, TcpStream},
    task::spawn,
};

use crate::support::{check_kind, pattern, run, tcp_pair};

#[test]
fn halves_know_both_addresses_and_their_stream() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        {
            let (reader, writer) = client.split();
            assert_eq!(reader.local_addr().unwrap(), here);
            assert_eq!(reader.peer_addr().unwrap(), there);
            assert_eq!(writer.local_addr().unwrap(), here);
            assert_eq!(writer.peer_addr().unwrap(), there);
            let stream: &TcpStream = reader.as_ref();
            assert_eq!(stream.local_addr().unwrap(), here);
        }
        let (reader, writer) = client.into_split();
        assert_eq!(reader.local_addr().unwrap(), here);
        assert_eq!(writer.peer_addr().unwrap(), there);
        writer.as_ref().set_nodelay(true).unwrap();
        assert!(reader.as_ref().nodelay().unwrap());
        let (other, _) = server.into_split();
        let ReuniteError(other, writer) = other.reunite(writer).unwrap_err();
        assert_eq!(other.local_addr().unwrap(), there);
        let client = reader.reunite(writer).unwrap();
        assert_eq!(client.local_addr().unwrap(), here);
    });
}

#[test]
fn a_half_peeks_while_the_other_writes() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (mut reader, mut writer) = client.into_split();
        let echo = spawn(async move {
            let (read, buffer) = server.read_exact(vec![0; 100_000]).await;
            read.unwrap();
            server.write_all(buffer).await.0.unwrap();
        });
        writer.write_all(pattern(100_000)).await.0.unwrap();
        let (seen, buffer) = reader.peek([0; 10]).await;
        assert_eq!(buffer[..seen.unwrap()], pattern(10)[..buffer.len()]);
        let (read, buffer) = reader.read_exact(vec![0; 100_000]).await;
        read.unwrap();
        assert!(buffer == pattern(100_000));
        echo.await.unwrap();
    });
}

/// A reset ends both directions: shutdown(2) returns ENOTCONN then. The direction is shut down, as
/// requested.
#[test]
fn shutdown_after_reset_succeeds() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let linger = Some(std::time::Duration::ZERO);
        socket2::SockRef::from(&server).set_linger(linger).unwrap();
        drop(server);
        let (read, _) = client.read([0; 1]).await;
        // Wine loses the error and reports EOF. Windows does not.
        if !cfg!(windows) || read.is_err() {
            check_kind(read, std::io::ErrorKind::ConnectionReset);
        }
        client.shutdown().await.unwrap();
        let (_reader, mut writer) = client.into_split();
        writer.shutdown().await.unwrap();
    });
}
