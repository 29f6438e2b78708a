//! Named pipes.

use std::{io::ErrorKind, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::windows::named_pipe::{ClientOptions, PipeEnd, PipeMode, ServerOptions},
    task::spawn,
    time::sleep,
};

use crate::support::{
    begin, check_code, check_kind, check_read, is_skipped_on_wine, name, pair, run,
};

const ERROR_PIPE_BUSY: i32 = 231;
const ERROR_PIPE_NOT_CONNECTED: i32 = 233;

fn room() -> Vec<u8> {
    Vec::with_capacity(64)
}

#[test]
fn a_client_without_a_server_is_refused() {
    check_kind(ClientOptions::new().open(name()), ErrorKind::NotFound);
}

#[test]
fn a_client_without_a_free_instance_gets_a_busy_error() {
    run(async {
        let name = name();
        let server = ServerOptions::new().create(&name).expect("a server");
        let first = ClientOptions::new().open(&name).expect("a client");
        server.connect().await.expect("a connection");
        check_code(ClientOptions::new().open(&name), ERROR_PIPE_BUSY);
        let second = spawn(async move {
            loop {
                match ClientOptions::new().open(&name) {
                    Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                        sleep(Duration::from_millis(1)).await;
                    }
                    opened => break opened.expect("a client"),
                }
            }
        });
        sleep(Duration::from_millis(5)).await;
        drop(first);
        server.disconnect().expect("no client");
        server.connect().await.expect("the second client");
        let second = second.await.expect("a task");
        (&second).write_all("hello").await.0.expect("a write");
        check_read((&server).read(room()).await, "hello");
    });
}

#[test]
fn a_second_first_instance_is_refused() {
    if is_skipped_on_wine("it has no notion of a first one") {
        return;
    }
    let name = name();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(true);
    let _first = options.create(&name).expect("the first");
    check_kind(options.create(&name), ErrorKind::PermissionDenied);
    ServerOptions::new().create(&name).expect("another one");
}

#[test]
fn instances_beyond_the_limit_are_refused() {
    let name = name();
    let mut options = ServerOptions::new();
    options.max_instances(1);
    let _only = options.create(&name).expect("a server");
    check_code(options.create(&name), ERROR_PIPE_BUSY);
}

#[test]
#[should_panic(expected = "1 to 254 instances, not 255")]
fn too_large_a_limit_of_instances_is_refused() {
    ServerOptions::new().max_instances(255);
}

#[test]
fn an_invalid_name_is_refused() {
    let options = ServerOptions::new();
    check_kind(options.create("no\0name"), ErrorKind::InvalidInput);
    assert!(options.create("no pipe's name").is_err());
}

#[test]
fn a_pipe_that_neither_end_may_write_is_refused() {
    let mut options = ServerOptions::new();
    options.access_inbound(false).access_outbound(false);
    check_kind(options.create(name()), ErrorKind::InvalidInput);
}

#[test]
fn a_dropped_wait_for_a_client_leaves_the_pipe_unchanged() {
    run(async {
        let name = name();
        let server = ServerOptions::new().create(&name).expect("a server");
        begin(server.connect()).await;
        let client = ClientOptions::new().open(&name).expect("a client");
        server.connect().await.expect("a connection");
        (&client).write_all("hello").await.0.expect("a write");
        check_read((&server).read(room()).await, "hello");
    });
}

#[test]
fn a_dropped_read_takes_nothing() {
    run(async {
        let (server, client) = pair().await;
        begin((&server).read(room())).await;
        (&client).write_all("hello").await.0.expect("a write");
        check_read((&server).read(room()).await, "hello");
    });
}

#[test]
fn a_closed_peer_is_eof_for_reads_and_a_broken_pipe_for_writes() {
    run(async {
        let (mut server, mut client) = pair().await;
        client.write_all("bye").await.0.expect("a write");
        drop(client);
        check_read(server.read(room()).await, "bye");
        for _ in 0..2 {
            check_read(server.read(room()).await, "");
        }
        let (written, buffer) = server.write("hello").await;
        check_kind(written, ErrorKind::BrokenPipe);
        assert_eq!(buffer, "hello");

        let (mut server, mut client) = pair().await;
        server.write_all("bye").await.0.expect("a write");
        drop(server);
        check_read(client.read(room()).await, "bye");
        check_read(client.read(room()).await, "");
        check_kind(client.write("hello").await.0, ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_disconnected_client_reads_and_writes_no_more() {
    run(async {
        let (server, mut client) = pair().await;
        server.disconnect().expect("no client");
        check_code(client.read(room()).await.0, ERROR_PIPE_NOT_CONNECTED);
        check_code(client.write("hello").await.0, ERROR_PIPE_NOT_CONNECTED);
    });
}

#[test]
fn one_task_reads_while_another_writes() {
    run(async {
        let (mut server, mut client) = pair().await;
        let text = vec![7; 300_000];
        let expected = text.clone();
        let echo = spawn(async move {
            let (read, buffer) = server.read_exact(vec![0; 300_000]).await;
            read.expect("a read");
            server.write_all(buffer).await.0.expect("a write");
            server.flush().await.expect("nothing");
            server.shutdown().await.expect("nothing");
            server
        });
        let (mut reader, mut writer) = client.split();
        writer.write_all(text).await.0.expect("a write");
        let (read, buffer) = reader.read_exact(vec![0; 300_000]).await;
        read.expect("a read");
        assert_eq!(buffer, expected);
        echo.await.expect("a task");
    });
}

#[test]
fn several_buffers_are_read_and_written() {
    run(async {
        let (mut server, mut client) = pair().await;
        let (written, _) = client.write_vectored(["", "hello", "more"]).await;
        let written = written.expect("a write");
        assert!((1..=9).contains(&written));
        let buffers = [Vec::with_capacity(2), Vec::with_capacity(64)];
        let (read, [first, _]) = server.read_vectored(buffers).await;
        assert!(read.expect("a read") >= 2);
        assert_eq!(first, b"he");
    });
}

#[test]
fn messages_are_read_one_by_one() {
    run(async {
        let name = name();
        let mut server = ServerOptions::new()
            .pipe_mode(PipeMode::Message)
            .create(&name)
            .expect("a server");
        let mut client = ClientOptions::new()
            .pipe_mode(PipeMode::Message)
            .open(&name)
            .expect("a client");
        server.connect().await.expect("a connection");
        for text in ["one", "", "three"] {
            server.write_all(text).await.0.expect("a write");
            assert_eq!(client.write(text).await.0.expect("a write"), text.len());
        }
        server.write("").await.0.expect("an empty message");
        check_read(client.read(Vec::with_capacity(2)).await, "on");
        check_read(client.read(room()).await, "e");
        check_read(client.read(room()).await, "three");
        check_read(client.read(room()).await, "");
        for text in ["one", "", "three"] {
            check_read(server.read(room()).await, text);
        }
    });
}

#[test]
fn messages_are_not_read_from_a_pipe_of_bytes() {
    let name = name();
    let _server = ServerOptions::new().create(&name).expect("a server");
    let opened = ClientOptions::new()
        .pipe_mode(PipeMode::Message)
        .open(&name);
    opened.expect_err("there are no messages");
}

#[test]
fn a_pipe_has_the_requested_directions() {
    run(async {
        let name = name();
        let server = ServerOptions::new()
            .access_inbound(false)
            .pipe_mode(PipeMode::Message)
            .create(&name)
            .expect("a server");
        check_kind(
            ClientOptions::new().open(&name),
            ErrorKind::PermissionDenied,
        );
        let client = ClientOptions::new()
            .write(false)
            .pipe_mode(PipeMode::Message)
            .open(&name)
            .expect("a client");
        server.connect().await.expect("a connection");
        (&server).write_all("hello").await.0.expect("a write");
        check_read((&client).read(room()).await, "hello");
        check_kind(
            (&client).write("hello").await.0,
            ErrorKind::PermissionDenied,
        );
    });
}

#[test]
fn both_ends_report_their_info() {
    run(async {
        let name = name();
        let server = ServerOptions::new()
            .pipe_mode(PipeMode::Message)
            .max_instances(7)
            .out_buffer_size(1024)
            .in_buffer_size(2048)
            .create(&name)
            .expect("a server");
        let client = ClientOptions::new().open(&name).expect("a client");
        let (server, client) = (server.info().expect("info"), client.info().expect("info"));
        assert_eq!((server.end, client.end), (PipeEnd::Server, PipeEnd::Client));
        for info in [server, client] {
            assert_eq!(info.mode, PipeMode::Message);
            assert_eq!(info.max_instances, 7);
        }
    });
}
