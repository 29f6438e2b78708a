//! Runtimes that are dropped while something waits that waits on unix alone: for the other end of a
//! FIFO, or for a listener without room.

use std::time::Duration;

use compio::{driver::BackendKind, fs::File, net::TcpStream, runtime::Runtime, time::sleep};

#[test]
fn a_runtime_is_dropped_with_the_opening_of_a_fifo_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a string that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    let runtime = Runtime::new().unwrap();
    // A thread that waits for a reader cannot be called back; the ring can.
    if runtime.backend().kind() != BackendKind::IoUring
        || std::env::var_os("COMPIO_URING_WITHOUT").is_some()
    {
        return;
    }
    let open = runtime.spawn(File::create_async(path));
    runtime.block_on(sleep(Duration::from_millis(5)));
    assert!(!open.is_finished());
    drop(runtime);
    assert!(open.is_finished());
}

#[test]
fn a_connection_under_way_is_given_up() {
    // Room for one that nobody accepts: the next one waits.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&loopback.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();

    let runtime = Runtime::new().unwrap();
    let connect = runtime.spawn(TcpStream::connect(address));
    runtime.block_on(sleep(Duration::from_millis(2)));
    assert!(!connect.is_finished());
    drop(runtime);
    assert!(connect.is_finished());
}
