//! Futures that are created and never polled have no effect (scenario 18).

use std::{
    io::{ErrorKind, Read, Seek, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use compio_driver::{
    BufferPool, Driver, SockAddr,
    op::{Accept, Blocking, Connect, Open, ReadAt, Recv, Send, Shutdown, WriteAt},
};

use crate::support::{
    NEW_FILE, READ_WRITE_CREATE, driver, each_backend, file, native, pipe, run, share, tcp,
};

#[test]
fn s18_blocking_work_never_polled_never_runs() {
    let driver = driver();
    let has_run = Arc::new(AtomicUsize::new(0));
    let runs = Arc::clone(&has_run);
    drop(driver.submit(Blocking::new(move || runs.fetch_add(1, Relaxed))));
    drop(driver);
    assert_eq!(Arc::strong_count(&has_run), 1);
    assert_eq!(has_run.load(Relaxed), 0);
}

#[test]
fn s18_a_write_never_polled_writes_nothing() {
    let driver = driver();
    let (reader, writer) = pipe();
    let written = driver.submit(WriteAt::at_cursor(writer.clone(), "x"));
    written.cancel();
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    assert_eq!(driver.in_flight(), 0);
    drop(written);
    drop(writer.try_unwrap().expect("the operation is gone"));
    let (len, _) = run(
        &driver,
        driver.submit(ReadAt::at_cursor(reader, vec![0; 8])),
    );
    assert_eq!(len.unwrap(), 0, "nothing had been written");
}

/// Makes every kind of operation, and drops it unpolled: at once, or after a turn of the driver.
fn unpolled<T>(driver: &Driver, make: impl Fn() -> T) {
    drop(make());
    let made = make();
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(driver.in_flight(), 0);
    drop(made);
}

#[test]
fn s18_no_kind_of_transfer_takes_or_gives_anything_before_its_first_poll() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        far.write_all(b"there").unwrap();
        let pool = BufferPool::new(&driver, 4, 16).unwrap();
        unpolled(&driver, || {
            driver.submit(Recv::new(near.clone(), vec![0; 8], 0))
        });
        unpolled(&driver, || {
            driver.submit(ReadAt::at_cursor(near.clone(), vec![0; 8]))
        });
        unpolled(&driver, || driver.recv_stream(near.clone(), &pool, 0));
        unpolled(&driver, || driver.submit(Send::new(near.clone(), "x", 0)));
        unpolled(&driver, || driver.send_zero_copy(near.clone(), "x", 0));
        unpolled(&driver, || {
            driver.send_msg_zero_copy(near.clone(), ["x", "y"], None, 0)
        });
        unpolled(&driver, || {
            driver.submit(Shutdown::new(near.clone(), std::net::Shutdown::Both))
        });
        assert_eq!(pool.handed_out(), 0);
        let recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
        assert_eq!(run(&driver, recv).1, b"there");
        drop(near.try_unwrap().expect("no operation shares it"));
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{:?}", driver.backend());
    }
}

#[test]
fn s18_a_file_is_neither_made_nor_moved_in_before_the_first_poll() {
    for driver in each_backend() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        unpolled(&driver, || {
            driver.submit(Open::new(native(&path), READ_WRITE_CREATE, NEW_FILE))
        });
        assert!(!path.exists());
        let (mut file, fd) = file(b"content");
        unpolled(&driver, || {
            driver.submit(ReadAt::new(fd.clone(), 0, vec![0; 4]))
        });
        unpolled(&driver, || {
            driver.submit(WriteAt::new(fd.clone(), 0, "other"))
        });
        assert_eq!(file.stream_position().unwrap(), 0);
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
    }
}

#[test]
fn s18_no_connect_or_accept_happens_before_the_first_poll() {
    for driver in each_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            share(socket.unwrap())
        };
        unpolled(&driver, || {
            driver.submit(Connect::new(socket(), SockAddr::from(address)))
        });
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "{:?}",
            driver.backend()
        );
        let client = std::net::TcpStream::connect(address).unwrap();
        let fd = share(listener.try_clone().unwrap());
        unpolled(&driver, || driver.submit(Accept::new(fd.clone())));
        unpolled(&driver, || driver.accept_stream(fd.clone()));
        let (_, peer) = run(&driver, driver.submit(Accept::new(fd))).unwrap();
        assert_eq!(peer.as_socket(), client.local_addr().ok());
    }
}
