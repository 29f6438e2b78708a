//! Pipes that move between threads.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::windows::named_pipe::{ClientOptions, NamedPipeServer, ServerOptions},
    runtime::Runtime,
    time::sleep,
};

use crate::support::{begin, check_read, name, pair, run};

#[test]
fn a_connection_goes_to_another_thread() {
    run(async {
        // The pipe has been used on this thread, to wait for the client.
        let (server, mut client) = pair().await;
        let handle = server.into_handle().expect("the only handle");
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            run(async {
                let mut server = NamedPipeServer::from(handle);
                begin((&server).read(Vec::<u8>::with_capacity(64))).await;
                sender.send(()).expect("a waiting thread");
                let (read, buffer) = server.read(Vec::with_capacity(64)).await;
                read.expect("a read");
                server.write_all(buffer).await.0.expect("a write");
            });
        });
        receiver.recv().expect("a message of the thread");
        client.write_all("hello").await.0.expect("a write");
        check_read(client.read(Vec::with_capacity(64)).await, "hello");
        thread.join().expect("an echo");
    });
}

#[test]
fn a_runtime_does_not_wait_for_reads_of_an_adopted_pipe() {
    let (server, _client) = run(pair());
    let handle = server.into_handle().expect("the only handle");
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(async {
        let mut server = NamedPipeServer::from(handle);
        let (read, _) = server.read(Vec::<u8>::with_capacity(64)).await;
        panic!("nothing was written: {read:?}");
    });
    runtime.run();
    let began = Instant::now();
    drop(runtime);
    assert!(began.elapsed() < Duration::from_secs(4), "it has waited");
}

#[test]
fn an_end_with_operations_in_flight_is_not_unwrapped() {
    run(async {
        let name = name();
        let server = ServerOptions::new().create(&name).expect("a server");
        begin(server.connect()).await;
        // The system has not yet cancelled the wait.
        let mut server = server.into_handle().expect_err("it is in use");
        let _client = ClientOptions::new().open(&name).expect("a client");
        server.connect().await.expect("a connection");
        while let Err(still_in_use) = server.into_handle() {
            server = still_in_use;
            sleep(Duration::from_millis(1)).await;
        }
    });
}
