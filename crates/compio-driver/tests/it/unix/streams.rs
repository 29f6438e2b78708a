//! Sockets and flags that exist only on unix.

use std::{
    future::poll_fn,
    io::{Read, Write},
    net::UdpSocket,
    thread,
    time::Duration,
};

use compio_driver::{BufferPool, PooledBuffer, RecvStream};

use crate::support::{each_backend, run, share, streams, tcp};

async fn receive(stream: &mut RecvStream) -> Option<std::io::Result<PooledBuffer>> {
    poll_fn(|cx| stream.poll_next(cx)).await
}

#[test]
fn a_flag_does_not_make_a_buffer_longer_than_it_is() {
    for driver in each_backend() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let pool = BufferPool::new(&driver, 2, 16).unwrap();
        let mut stream = driver.recv_stream(share(receiver), &pool, libc::MSG_TRUNC);
        sender.send(&[7; 1000]).unwrap();
        let buffer = run(&driver, receive(&mut stream)).unwrap().unwrap();
        assert_eq!(buffer.len(), 16, "{:?}", driver.backend());

        let (mut peer, socket) = tcp();
        let mut stream = driver.recv_stream(share(socket), &pool, libc::MSG_TRUNC);
        peer.write_all(b"ten bytes.").unwrap();
        let buffer = run(&driver, receive(&mut stream)).unwrap().unwrap();
        assert_eq!(&*buffer, b"ten bytes.", "{:?}", driver.backend());
    }
}

#[test]
fn flags_about_waiting_have_no_effect() {
    for driver in each_backend() {
        for flags in [libc::MSG_DONTWAIT, libc::MSG_WAITALL] {
            let (mut peer, socket) = tcp();
            let pool = BufferPool::new(&driver, 2, 16).unwrap();
            let mut stream = driver.recv_stream(share(socket), &pool, flags);
            let writer = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                peer.write_all(b"late").unwrap();
                peer
            });
            let buffer = run(&driver, receive(&mut stream)).unwrap();
            assert_eq!(&*buffer.unwrap(), b"late", "{:?}", driver.backend());
            writer.join().unwrap();
        }
    }
}

#[test]
fn a_socket_without_zero_copy_sends() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let send = driver.send_zero_copy(share(near), b"hello".to_vec(), 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 5, "{:?}", driver.backend());
        assert_eq!(run(&driver, loan), b"hello");
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"hello");
    }
}
