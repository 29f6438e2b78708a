//! Unix sockets before they listen or connect.

use std::io::ErrorKind;

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixSocket,
};

use crate::support::{check_kind, run};

#[test]
fn client_with_an_address_connects_to_a_listener_with_a_backlog() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("one"), dir.path().join("other"));
        let server = UnixSocket::new_stream().unwrap();
        server.bind(&there).unwrap();
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*there));
        let listener = server.listen(1).unwrap();
        let client = UnixSocket::new_stream().unwrap();
        client.bind(&here).unwrap();
        let mut client = client.connect(&there).await.unwrap();
        let (mut accepted, address) = listener.accept().await.unwrap();
        assert_eq!(address.as_pathname(), Some(&*here));
        client.write_all("hello").await.0.unwrap();
        assert_eq!(accepted.read_exact([0; 5]).await.1, *b"hello");
        // By an address.
        let again = UnixSocket::new_stream().unwrap();
        let address = listener.local_addr().unwrap();
        again.connect_addr(&address).await.unwrap();
        check_kind(
            UnixSocket::new_stream().unwrap().bind_addr(&address),
            ErrorKind::AddrInUse,
        );
    });
}

#[test]
fn datagram_sockets_exchange_datagrams() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let server = UnixSocket::new_datagram().unwrap();
        server.bind(&path).unwrap();
        let server = server.datagram().unwrap();
        let client = UnixSocket::new_datagram().unwrap().datagram().unwrap();
        client.send_to("hello", &path).await.0.unwrap();
        assert_eq!(server.recv([0; 5]).await.1, *b"hello");
    });
}

#[test]
fn sockets_of_the_other_type_are_refused() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let datagram = || UnixSocket::new_datagram().unwrap();
        check_kind(datagram().listen(1), ErrorKind::InvalidInput);
        let connected = datagram().connect(dir.path().join("socket")).await;
        check_kind(connected, ErrorKind::InvalidInput);
        let stream = UnixSocket::new_stream().unwrap();
        check_kind(stream.datagram(), ErrorKind::InvalidInput);
        let error = UnixSocket::new_stream()
            .unwrap()
            .connect(dir.path().join("none"))
            .await;
        check_kind(error, ErrorKind::NotFound);
    });
}
