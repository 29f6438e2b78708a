//! The spans of operations.

use std::time::Duration;

use compio::{
    fs::File,
    io::{AsyncRead, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::BufferPool,
    task::{self, Builder},
    time::timeout,
};
use tracing::trace;

use crate::recorder::{Records, Span, Value, record};

const STATE: &str = "runtime::resource::state_update";
const OP_STATE: &str = "runtime::resource::async_op::state_update";

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

/// The sum of an attribute of a resource.
fn sum(records: &Records, resource: &Span, name: &str) -> u64 {
    let updates = records.events_in(resource, STATE);
    let values = updates
        .iter()
        .filter(|event| event.fields.get(name).is_some())
        .map(|event| {
            assert!(event.fields.has(&format!("{name}.op"), "add"));
            assert!(event.fields.has(&format!("{name}.unit"), "B"));
            event.fields.number(name)
        });
    values.sum()
}

#[test]
fn receive_that_waits_has_span_in_its_socket_and_its_task() {
    let records = record(async {
        let (mut client, mut server) = connection().await;
        let reader = Builder::new().name("reader").spawn(async move {
            let (read, buffer) = server.read(Vec::with_capacity(16)).await;
            assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
            server
        });
        task::yield_now().await;
        client.write_all("hello").await.0.unwrap();
        reader.await.unwrap();
    });
    let receives = records.operations("recv");
    assert_eq!(receives.len(), 1);
    let task = records.task("reader");
    assert!(receives[0].stack.contains(&task.id));
    assert!(receives[0].has("task.id", task.fields.number("task.id")));
    assert!(receives[0].has("bytes", 5));
    assert_eq!(receives[0].fields.get("error"), None);
    assert_eq!(records.polls(receives[0]), [false, true]);
    assert_eq!(receives[0].enters, 2);

    let socket = records.resource_of(receives[0]);
    assert_eq!(socket.target, "compio::resource");
    assert!(socket.has("kind", "io"));
    assert!(socket.has("concrete_type", "Socket"));
    assert_eq!(socket.fields.get("fd"), receives[0].fields.get("fd"));
    assert_eq!(sum(&records, socket, "bytes_in"), 5);
    let updates = records.events_in(socket, STATE);
    let names = updates.iter().filter_map(|event| event.fields.get("name"));
    let names: Vec<_> = names.collect();
    let [Value::Str(name)] = &names[..] else {
        panic!("{names:?}");
    };
    assert!(name.contains("127.0.0.1:"), "{name}");
    let updates = records.events_in(receives[0], OP_STATE);
    assert_eq!(updates.len(), 1);
    assert!(updates[0].fields.has("bytes", 5));

    let sends = records.operations("send");
    assert!(sends[0].has("bytes", 5));
    let peer = records.resource_of(sends[0]);
    assert_ne!(peer.id, socket.id);
    assert_eq!(sum(&records, peer, "bytes_out"), 5);
}

#[test]
fn dropped_receive_is_cancelled_and_its_span_ends_with_its_future() {
    let records = record(async {
        let (client, mut server) = connection().await;
        let receive = server.read(Vec::with_capacity(16));
        assert!(timeout(Duration::from_millis(1), receive).await.is_err());
        trace!(target: "test", "after");
        drop((client, server));
    });
    let receives = records.operations("recv");
    assert_eq!(receives.len(), 1);
    assert!(receives[0].has("cancelled", true));
    assert_eq!(receives[0].fields.get("bytes"), None);
    assert!(!records.polls(receives[0]).contains(&true));
    let after = records
        .events
        .iter()
        .position(|event| event.target == "test");
    assert!(receives[0].closed_at.unwrap() <= after.unwrap());
}

#[test]
fn cancelled_receive_has_its_error() {
    let records = record(async {
        let (_client, mut server) = connection().await;
        let receive = server.read(Vec::with_capacity(16));
        let cancelled = compio::time::cancel_after(Duration::from_millis(1), receive);
        assert!(cancelled.await.0.is_err());
    });
    let receives = records.operations("recv");
    assert!(receives[0].has("cancelled", true));
    assert!(matches!(
        receives[0].fields.get("error"),
        Some(Value::Str(_))
    ));
    assert_eq!(records.polls(receives[0]).last(), Some(&true));
}

#[test]
fn file_operations_have_bytes_and_the_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let name = path.to_string_lossy().into_owned();
    let records = record(async move {
        let file = File::create(&path).unwrap();
        file.write_all_at("some bytes", 0).await.0.unwrap();
        file.close().await.unwrap();
        let file = File::open(&path).unwrap();
        let (read, _) = file.read_at(Vec::with_capacity(4), 0).await;
        assert_eq!(read.unwrap(), 4);
        let (end, _) = file.read_at(Vec::with_capacity(4), 100).await;
        assert_eq!(end.unwrap(), 0);
    });
    let writes = records.operations("write");
    assert!(writes[0].has("bytes", 10));
    let file = records.resource_of(writes[0]);
    assert!(file.has("concrete_type", "File"));
    assert_eq!(sum(&records, file, "bytes_out"), 10);
    let reads = records.operations("read");
    assert_eq!(reads.len(), 2);
    assert!(reads[0].has("bytes", 4));
    assert!(reads[1].has("bytes", 0));
    let other = records.resource_of(reads[0]);
    // The two files may have the same number.
    assert_ne!(other.id, file.id);
    assert_eq!(records.resource_of(reads[1]).id, other.id);
    let updates = records.events_in(other, STATE);
    let is_named = updates.iter().any(|event| {
        let known = event.fields.get("name");
        matches!(known, Some(Value::Str(known)) if known.ends_with(&name))
    });
    // Windows does not tell the path of a handle.
    assert!(is_named || cfg!(windows), "{updates:?}");
}

/// Windows has no operation for paths: there it is blocking work.
#[cfg(unix)]
#[test]
fn failed_operation_has_its_error() {
    let records = record(async {
        let missing = compio::fs::remove_file("/nonexistent/file").await;
        assert!(missing.is_err());
    });
    let removes = records.operations("remove");
    assert_eq!(removes.len(), 1);
    let Some(Value::Str(error)) = removes[0].fields.get("error") else {
        panic!("{:?}", removes[0]);
    };
    assert!(!error.is_empty());
    assert_eq!(removes[0].fields.get("fd"), None);
    let driver = records.resource_of(removes[0]);
    assert!(driver.has("concrete_type", "Driver"));
    assert!(driver.has("kind", "driver"));
}

#[test]
fn recv_stream_reports_the_bytes_of_each_item() {
    let records = record(async {
        let (mut client, server) = connection().await;
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        for text in ["first", "second item"] {
            client.write_all(text).await.0.unwrap();
            let buffer = stream.next().await.unwrap().unwrap();
            assert_eq!(&buffer[..], text.as_bytes());
        }
        drop(client);
        assert!(stream.next().await.is_none());
    });
    let operations = records.operations("recv");
    let sockets = operations.iter().map(|recv| records.resource_of(recv).id);
    let mut sockets: Vec<_> = sockets.collect();
    sockets.dedup();
    assert_eq!(sockets.len(), 1);
    let all = sum(&records, records.span(sockets[0]), "bytes_in");
    assert_eq!(all, ("first".len() + "second item".len()) as u64);
}
