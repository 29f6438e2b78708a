//! Sockets that are reused.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use compio_driver::{
    Driver, OwnedFd, SharedFd, SockAddr,
    op::{Connect, Recv, Send, Socket},
    os::windows::DisconnectEx,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, SOCK_STREAM, WSAENOTCONN};

use crate::support::{check_code, check_read, driver, is_skipped_on_wine, run, share};

fn socket(driver: &Driver) -> SharedFd {
    let socket = Socket::new(AF_INET.into(), SOCK_STREAM, 0);
    let socket: OwnedFd = run(driver, driver.submit(socket)).expect("a socket");
    share(socket)
}

#[test]
fn a_socket_is_connected_again() {
    let driver = driver();
    let socket = socket(&driver);
    for greeting in ["one", "two"] {
        if greeting == "two" && is_skipped_on_wine("it disconnects for good") {
            return;
        }
        // Another peer each time: the first one cannot be reached again at once.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = SockAddr::from(listener.local_addr().expect("its address"));
        let connect = Connect::new(socket.clone(), address);
        run(&driver, driver.submit(connect)).expect("a connection");
        let (mut peer, _) = listener.accept().expect("the same connection");
        peer.write_all(greeting.as_bytes()).expect("a write");
        let received = Recv::new(socket.clone(), Vec::with_capacity(64), 0);
        check_read(run(&driver, driver.submit(received)), greeting);
        let sent = Send::new(socket.clone(), greeting, 0);
        run(&driver, driver.submit(sent)).0.expect("a write");

        let mut heard = String::new();
        let reader = std::thread::spawn(move || peer.read_to_string(&mut heard).map(|_| heard));
        run(&driver, driver.submit(DisconnectEx::new(socket.clone()))).expect("no connection");
        let heard = reader.join().expect("a thread").expect("a read");
        assert_eq!(heard, greeting);
    }
}

#[test]
fn a_socket_that_is_not_connected_is_refused() {
    let driver = driver();
    let socket = socket(&driver);
    let disconnected = run(&driver, driver.submit(DisconnectEx::new(socket)));
    check_code(disconnected, WSAENOTCONN);
}
