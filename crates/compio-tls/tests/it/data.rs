//! Data after the handshake: halves, large transfers, key updates, buffers.

use std::io;

use compio::{
    buf::{IntoInner, IoBuf},
    io::{
        AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex, split,
    },
    net::{TcpSocket, TcpStream},
    task::spawn,
};
use compio_testkit::{
    buffer::pattern,
    check::check_kind,
    future::{begin, both},
};

use compio_tls::TlsStream;

use crate::support::{Pair, VERSIONS, listener, run};

/// Two connected sockets with small buffers. With smaller ones, TCP waits for delayed acknowledgements.
async fn small_tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(32 * 1024).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    let (client, server) = both(socket.connect(address), listener.accept()).await;
    let (client, (server, _)) = (client.unwrap(), server.unwrap());
    server.set_send_buffer_size(32 * 1024).unwrap();
    server.set_recv_buffer_size(32 * 1024).unwrap();
    (client, server)
}

const LEN: usize = 5_000_000;

/// Sends much in both directions at once, by a task for each half.
async fn send_both_ways<S: 'static>(client: TlsStream<S>, server: TlsStream<S>) {
    let mut tasks = Vec::new();
    for stream in [client, server] {
        let (mut reader, mut writer) = stream.into_split();
        tasks.push(spawn(async move {
            writer.write_all(pattern(LEN)).await.0.unwrap();
            writer.shutdown().await.unwrap();
        }));
        tasks.push(spawn(async move {
            let (read, data) = reader.read_to_end(Vec::new()).await;
            assert_eq!(read.unwrap(), LEN);
            assert!(data == pattern(LEN));
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn halves_carry_5_mb_both_ways_at_once_over_small_tcp_buffers() {
    run(async {
        for version in VERSIONS {
            let (client, server) = Pair::of(&[version]).over(small_tcp_pair().await).await;
            send_both_ways(client, server).await;
        }
    });
}

#[cfg(unix)]
#[test]
fn halves_carry_5_mb_both_ways_at_once_over_tiny_unix_buffers() {
    run(async {
        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        let adopt = |end| {
            let end = compio::net::UnixStream::from_std(end).unwrap();
            end.set_send_buffer_size(2048).unwrap();
            end
        };
        let (client, server) = Pair::new().over((adopt(left), adopt(right))).await;
        send_both_ways(client, server).await;
    });
}

#[test]
fn streams_in_memory_and_unix_sockets_carry_tls() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(700)).await;
        let sent = async {
            client.write_all(pattern(100_000)).await.0.unwrap();
            client.flush().await.unwrap();
        };
        let ((), received) = both(sent, server.read_exact(vec![0; 100_000])).await;
        assert!(received.1 == pattern(100_000));

        #[cfg(unix)]
        {
            let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
            let adopt = |end| compio::net::UnixStream::from_std(end).unwrap();
            let (mut client, mut server) = Pair::new().over((adopt(left), adopt(right))).await;
            server.write_all("hello").await.0.unwrap();
            assert_eq!(client.read_exact([0; 5]).await.1, *b"hello");
        }
    });
}

#[test]
fn halves_join_again() {
    run(async {
        let (client, mut server) = Pair::new().over_tcp().await;
        let (reader, mut writer) = client.into_split();
        writer.write_all("hello").await.0.unwrap();
        let mut client = reader.unsplit(writer).unwrap();
        server.read_exact([0; 5]).await.0.unwrap();
        server.write_all("world").await.0.unwrap();
        assert_eq!(client.read_exact([0; 5]).await.1, *b"world");
    });
}

#[test]
fn read_fills_its_buffer_and_sets_its_length() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        // Three records, which one read returns once they have arrived together.
        for part in ["ab", "cd", "ef"] {
            client.write_all(part).await.0.unwrap();
        }
        let (read, buffer) = server.read(b"0123456789".to_vec()).await;
        assert_eq!((read.unwrap(), &buffer[..]), (6, &b"abcdef"[..]));

        client.write_all("abcdef").await.0.unwrap();
        let (read, buffer) = server.read([b'-'; 4]).await;
        assert_eq!((read.unwrap(), &buffer), (4, b"abcd"));
        let (read, window) = server.read(vec![b'-'; 5].slice(2..4)).await;
        assert_eq!((read.unwrap(), window.into_inner()), (2, b"--ef-".to_vec()));

        let (read, _) = server.read(Vec::new()).await;
        assert_eq!(read.unwrap(), 0);

        client.write_all("abcdef").await.0.unwrap();
        let (read, (head, tail)) = server.read_vectored(([0; 2], Vec::with_capacity(8))).await;
        assert_eq!((read.unwrap(), &head, &tail[..]), (6, b"ab", &b"cdef"[..]));
        client.shutdown().await.unwrap();
        let (read, buffer) = server.read(b"old".to_vec()).await;
        assert_eq!((read.unwrap(), buffer.len()), (0, 0));
    });
}

#[test]
fn extension_traits_and_adapters_work() {
    run(async {
        let (mut client, server) = Pair::new().over_tcp().await;
        let (written, _) = client
            .write_vectored_all(["first\n", "second\n", "third"])
            .await;
        written.unwrap();
        client.shutdown().await.unwrap();
        let mut lines = BufReader::new(server);
        let mut all = Vec::new();
        loop {
            let len = {
                let bytes = lines.fill_buf().await.unwrap();
                all.extend_from_slice(bytes);
                bytes.len()
            };
            if len == 0 {
                break;
            }
            lines.consume(len);
        }
        assert_eq!(all, b"first\nsecond\nthird");
    });
}

#[test]
fn buffered_reads_borrow_the_plaintext() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        client.write_all("hello").await.0.unwrap();
        assert_eq!(server.fill_buf().await.unwrap(), b"hello");
        AsyncBufRead::consume(&mut server, 2);
        assert_eq!(server.fill_buf().await.unwrap(), b"llo");
    });
}

#[test]
fn empty_write_sends_nothing() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        assert_eq!(client.write("").await.0.unwrap(), 0);
        assert_eq!(client.write_vectored(["", ""]).await.0.unwrap(), 0);
        begin(server.read([0; 8])).await;
    });
}

#[test]
fn key_update_is_answered_by_a_peer_that_only_waits_to_read() {
    run(async {
        let (client, server) = Pair::of(&VERSIONS[1..]).over_tcp().await;
        let (mut reader, mut writer) = server.into_split();
        let idle = spawn(async move { reader.read([0; 8]).await.0 });
        let mut client = client;
        // The tickets of the server are received first.
        begin(client.read([0; 8])).await;
        client.update_keys().await.unwrap();
        let (peeked, _) = client.get_ref().peek([0; 1]).await;
        assert_eq!(peeked.unwrap(), 1, "the reply has arrived");
        // The connection works with the new keys, in both directions.
        writer.write_all("reply").await.0.unwrap();
        assert_eq!(client.read_exact([0; 5]).await.1, *b"reply");
        client.write_all("end").await.0.unwrap();
        assert_eq!(idle.await.unwrap().unwrap(), 3);
    });
}

#[test]
fn key_updates_between_data_of_a_busy_connection_are_answered() {
    run(async {
        let (client, server) = Pair::of(&VERSIONS[1..]).over_tcp().await;
        let (mut reader, mut writer) = server.into_split();
        let echo = spawn(async move {
            loop {
                let (read, mut data) = reader.read(Vec::with_capacity(10_000)).await;
                let len = read.unwrap();
                if len == 0 {
                    return writer.shutdown().await.unwrap();
                }
                data.truncate(len);
                writer.write_all(data).await.0.unwrap();
            }
        });
        let mut client = client;
        for _ in 0..20 {
            client.write_all(pattern(30_000)).await.0.unwrap();
            client.update_keys().await.unwrap();
            let (read, data) = client.read_exact(vec![0; 30_000]).await;
            read.unwrap();
            assert!(data == pattern(30_000));
        }
        client.shutdown().await.unwrap();
        assert_eq!(client.read([0; 8]).await.0.unwrap(), 0);
        echo.await.unwrap();
    });
}

#[test]
fn key_update_of_tls_1_2_is_refused() {
    run(async {
        let (client, _server) = Pair::of(&VERSIONS[..1]).in_memory().await;
        check_kind(client.update_keys().await, io::ErrorKind::InvalidInput);
    });
}

#[test]
fn read_does_not_wait_for_output_that_the_peer_does_not_receive() {
    run(async {
        // Each side has more output than the stream takes: reads must send in between.
        let (mut client, mut server) = Pair::new().over(duplex(4096)).await;
        begin(client.write(pattern(60_000))).await;
        begin(server.write(pattern(50_000))).await;
        let at_client = async {
            let (read, data) = client.read_exact(vec![0; 50_000]).await;
            read.unwrap();
            client.flush().await.unwrap();
            data
        };
        let at_server = server.read_exact(vec![0; 60_000]);
        let (at_client, at_server) = both(at_client, at_server).await;
        assert!(at_client == pattern(50_000) && at_server.1 == pattern(60_000));
    });
}

#[test]
fn splits_of_the_io_module_work_as_well() {
    run(async {
        let (client, mut server) = Pair::new().over_tcp().await;
        let (mut reader, mut writer) = split(client);
        let ((), greeting) = both(
            async {
                writer.write_all("hello").await.0.unwrap();
                let (_, bytes) = server.read_exact([0; 5]).await;
                server.write_all(bytes).await.0.unwrap();
            },
            reader.read_exact([0; 5]),
        )
        .await;
        assert_eq!(greeting.1, *b"hello");
    });
}
