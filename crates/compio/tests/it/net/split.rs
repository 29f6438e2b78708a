//! Halves of streams.

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{ReuniteError, TcpStream},
    task::{spawn, yield_now},
};

use crate::support::{pattern, run, tcp_pair};

#[test]
fn borrowed_halves_read_and_write() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        {
            let (mut reader, mut writer) = client.split();
            writer.write_all("hello").await.0.unwrap();
            writer.flush().await.unwrap();
            let (read, buffer) = server.read_exact(vec![0; 5]).await;
            read.unwrap();
            server.write_all(buffer).await.0.unwrap();
            let (read, buffer) = reader.read_exact([0; 5]).await;
            read.unwrap();
            assert_eq!(&buffer, b"hello");
            let (written, _) = writer.write_vectored(["a", "b"]).await;
            assert_eq!(written.unwrap(), 2);
        }
        // Borrowed halves shut nothing down.
        client.write_all("more").await.0.unwrap();
        let (read, _) = server.read_exact([0; 6]).await;
        read.unwrap();
    });
}

#[test]
fn owned_halves_serve_two_tasks_at_once() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut tasks = Vec::new();
        for stream in [client, server] {
            let (mut reader, mut writer) = stream.into_split();
            tasks.push(spawn(async move {
                writer.write_all(pattern(4 << 20)).await.0.unwrap();
                // Its drop sends an EOF to the peer's reader.
            }));
            tasks.push(spawn(async move {
                let (read, buffer) = reader.read_to_end(Vec::new()).await;
                assert_eq!(read.unwrap(), 4 << 20);
                assert!(buffer == pattern(4 << 20));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn the_drop_of_the_writing_half_sends_eof() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read([0; 1]).await.0.unwrap(), 0);
        server.write_all("answer").await.0.unwrap();
        let (read, buffer) = reader.read_exact([0; 6]).await;
        read.unwrap();
        assert_eq!(&buffer, b"answer");
    });
}

#[test]
fn the_drop_of_the_reading_half_shuts_nothing_down() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (reader, mut writer) = client.into_split();
        drop(reader);
        writer.write_all("hello").await.0.unwrap();
        let (read, _) = server.read_exact([0; 5]).await;
        read.unwrap();
    });
}

#[test]
fn a_shutdown_of_the_writing_half_sends_eof() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (_reader, mut writer) = client.into_split();
        writer.shutdown().await.unwrap();
        assert_eq!(server.read([0; 1]).await.0.unwrap(), 0);
        drop(writer);
        server.write_all("unread").await.0.unwrap();
    });
}

#[test]
fn a_forgotten_writing_half_leaves_the_direction_open() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (reader, writer) = client.into_split();
        writer.forget();
        let mut stream = reader.as_stream();
        stream.write_all("hello").await.0.unwrap();
        let (read, _) = server.read_exact([0; 5]).await;
        read.unwrap();
    });
}

#[test]
fn halves_of_one_stream_are_put_together_again() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let address = client.local_addr().unwrap();
        let (reader, writer) = client.into_split();
        assert_eq!(writer.as_stream().local_addr().unwrap(), address);
        let client: TcpStream = reader.reunite(writer).unwrap();
        let (reader, writer) = client.into_split();
        let mut client = writer.reunite(reader).unwrap();
        assert_eq!(client.local_addr().unwrap(), address);
        // Neither direction was shut down, and no other handle is left.
        client.write_all("hello").await.0.unwrap();
        let (read, _) = server.read_exact([0; 5]).await;
        read.unwrap();
        client.into_std().unwrap();
    });
}

#[test]
fn halves_of_two_streams_are_not_reunited() {
    run(async {
        let (client, server) = tcp_pair().await;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader.reunite(server_writer).unwrap_err();
        assert!(!error.to_string().is_empty());
        let ReuniteError(client_reader, server_writer) = error;
        client_reader.reunite(client_writer).unwrap();
        server_reader.reunite(server_writer).unwrap();
    });
}

#[test]
fn a_writing_half_dropped_with_a_write_in_flight_shuts_down_after_the_sent_bytes() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (_reader, mut writer) = client.into_split();
        let task = spawn(async move {
            // More than the socket takes without a reader.
            writer.write_all(pattern(64 << 20)).await.0
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let (read, buffer) = server.read_to_end(Vec::new()).await;
        let read = read.unwrap();
        assert!(read < 64 << 20);
        assert!(buffer == pattern(64 << 20)[..read]);
    });
}
