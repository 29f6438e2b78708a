//! Zero-copy sends of several buffers and to an address. Those of one buffer are in `soundness/writes.rs`.

use std::{
    future::Future,
    io::{ErrorKind, Read},
    net::{Shutdown, SocketAddr, UdpSocket},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio_driver::{CancelToken, Driver, DriverBuilder, Loan, OpKind, SharedFd};

use compio_testkit::socket::read_all;

use crate::support::{
    Canary, check_code, code, drain, each_backend, pattern, poll_once, run, share, streams, tcp,
};

/// A send that has not returned its result.
type Sending<V> = Pin<Box<dyn Future<Output = (std::io::Result<usize>, Loan<V>)>>>;

fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Turns a few times, in which the future may complete.
fn turns<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Poll<F::Output> {
    for _ in 0..5 {
        if let Poll::Ready(output) = poll_once(driver, future) {
            return Poll::Ready(output);
        }
        driver.turn(Some(Duration::from_millis(1))).unwrap();
    }
    poll_once(driver, future)
}

/// Sends pairs of canaries until the socket is full: the loans, and the send that waits.
fn fill(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<std::cell::Cell<usize>>,
) -> (Vec<Loan<[Canary; 2]>>, Sending<[Canary; 2]>) {
    let mut loans = Vec::new();
    loop {
        let buffers = [7, 8].map(|byte| Canary::holding(vec![byte; 200_000], deaths));
        let mut send: Sending<_> =
            Box::pin(driver.send_msg_zero_copy(fd.clone(), buffers, None, 0));
        match turns(driver, &mut send) {
            Poll::Ready((sent, loan)) => {
                assert!(sent.unwrap() > 0);
                loans.push(loan);
            }
            Poll::Pending => return (loans, send),
        }
    }
}

#[test]
fn buffers_of_a_stream_arrive_in_order_and_come_back() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let sent = pattern(300_000);
        let reader = read_all(peer);
        let socket = share(socket);
        let mut rest = sent.clone();
        while !rest.is_empty() {
            // More and fewer slices than fit into the operation, of them some empty.
            for size in [70_000, 1000] {
                let mut buffers: Vec<Vec<u8>> = rest.chunks(size).map(<[u8]>::to_vec).collect();
                buffers.insert(0, Vec::new());
                let send = driver.send_msg_zero_copy(socket.clone(), buffers.clone(), None, 0);
                let (count, loan) = run(&driver, send);
                assert!(run(&driver, loan) == buffers, "{:?}", driver.backend());
                rest.drain(..count.unwrap());
                if rest.is_empty() {
                    break;
                }
            }
        }
        drop(socket);
        assert!(reader.join().unwrap() == sent, "{:?}", driver.backend());
    }
}

#[test]
fn datagrams_arrive_at_the_address() {
    for driver in each_backend() {
        let ((one, from), (other, to)) = (udp(), udp());
        let one = share(one);
        let mut room = vec![0; 70_000];
        for len in [0, 1, 9000] {
            let send = driver.send_to_zero_copy(one.clone(), pattern(len), to.into(), 0);
            let (sent, loan) = run(&driver, send);
            assert_eq!(sent.unwrap(), len, "{:?}", driver.backend());
            assert_eq!(other.recv_from(&mut room).unwrap(), (len, from));
            assert!(room[..len] == pattern(len));
            assert!(run(&driver, loan) == pattern(len));
        }
        let buffers = [pattern(3000), Vec::new(), pattern(5000)];
        let send = driver.send_msg_zero_copy(one, buffers.clone(), Some(to.into()), 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 8000, "{:?}", driver.backend());
        assert_eq!(other.recv_from(&mut room).unwrap(), (8000, from));
        assert!(room[..8000] == buffers.concat());
        assert!(run(&driver, loan) == buffers);
    }
}

/// Linux refuses to send the pages of so many buffers in place.
#[cfg(unix)]
#[test]
fn datagram_of_many_buffers_arrives_whole() {
    for driver in each_backend() {
        let ((one, _), (other, to)) = (udp(), udp());
        let one = share(one);
        let mut room = vec![0; 70_000];
        for count in [16, 20, 100, 1024] {
            let buffers = vec![pattern(8); count];
            let send = driver.send_msg_zero_copy(one.clone(), buffers.clone(), Some(to.into()), 0);
            let (sent, loan) = run(&driver, send);
            assert_eq!(sent.unwrap(), count * 8, "{:?}", driver.backend());
            assert_eq!(other.recv(&mut room).unwrap(), count * 8);
            assert!(room[..count * 8] == buffers.concat());
            assert!(run(&driver, loan) == buffers);
        }
    }
}

#[test]
fn datagram_that_is_too_long_returns_its_buffers() {
    for driver in each_backend() {
        let ((one, _), (other, to)) = (udp(), udp());
        let one = share(one);
        let send = driver.send_to_zero_copy(one.clone(), pattern(70_000), to.into(), 0);
        let (sent, loan) = run(&driver, send);
        check_code(sent, code::TOO_LONG);
        assert!(run(&driver, loan) == pattern(70_000));
        let buffers = [pattern(40_000), pattern(30_000)];
        let send = driver.send_msg_zero_copy(one.clone(), buffers.clone(), Some(to.into()), 0);
        let (sent, loan) = run(&driver, send);
        check_code(sent, code::TOO_LONG);
        assert!(run(&driver, loan) == buffers);
        // Nothing was sent, and the socket is usable.
        let send = driver.send_to_zero_copy(one, "next", to.into(), 0);
        assert_eq!(run(&driver, send).0.unwrap(), 4);
        assert_eq!(other.recv(&mut [0; 100]).unwrap(), 4);
    }
}

#[test]
fn sends_without_bytes_return_their_buffers() {
    for driver in each_backend() {
        let (_peer, stream) = tcp();
        let stream = share(stream);
        let ((one, _), (other, to)) = (udp(), udp());
        let one = share(one);
        for buffers in [vec![], vec![Vec::new(); 3]] {
            let send = driver.send_msg_zero_copy(stream.clone(), buffers.clone(), None, 0);
            let (sent, loan) = run(&driver, send);
            assert_eq!(sent.unwrap(), 0, "{:?}", driver.backend());
            assert_eq!(run(&driver, loan), buffers);
            // An empty datagram is a datagram.
            let send = driver.send_msg_zero_copy(one.clone(), buffers.clone(), Some(to.into()), 0);
            let (sent, loan) = run(&driver, send);
            assert_eq!(sent.unwrap(), 0, "{:?}", driver.backend());
            assert_eq!(other.recv(&mut [0; 10]).unwrap(), 0);
            assert_eq!(run(&driver, loan), buffers);
        }
    }
}

#[test]
fn failed_send_returns_its_buffers() {
    for driver in each_backend() {
        let (_peer, socket) = tcp();
        socket2::SockRef::from(&socket)
            .shutdown(Shutdown::Write)
            .unwrap();
        let buffers = [pattern(10), pattern(20)];
        let send = driver.send_msg_zero_copy(share(socket), buffers.clone(), None, 0);
        let (sent, loan) = run(&driver, send);
        sent.unwrap_err();
        assert_eq!(run(&driver, loan), buffers);
    }
}

#[test]
fn socket_without_zero_copy_sends_copies_of_the_buffers() {
    for driver in each_backend() {
        let (mut peer, socket) = streams();
        let buffers = [pattern(10), pattern(20)];
        let send = driver.send_msg_zero_copy(share(socket), buffers.clone(), None, 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 30, "{:?}", driver.backend());
        assert_eq!(run(&driver, loan), buffers);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!(got, buffers.concat());
    }
}

/// The kernel holds the buffers until its notification, whether a task awaits the loan or not.
#[test]
fn s13_buffers_of_dropped_sends_and_loans_stay_until_the_notification() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let (loans, waiting) = fill(&driver, &fd, &deaths);
        let made = 2 * (loans.len() + 1);
        for mut loan in loans {
            if turns(&driver, &mut loan).is_pending() {
                let before = deaths.get();
                drop(loan);
                assert_eq!(deaths.get(), before, "freed too early");
            }
        }
        drop(waiting);
        drop(fd);
        let reader = read_all(peer);
        drain(&driver);
        assert_eq!(deaths.get(), made);
        let got = reader.join().unwrap();
        assert!(got.iter().all(|byte| matches!(byte, 7 | 8)));
    }
}

#[test]
fn s13_dropped_driver_waits_for_its_loans() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let (loans, waiting) = fill(&driver, &fd, &deaths);
        let made = 2 * (loans.len() + 1);
        drop(fd);
        let reader = read_all(peer);
        driver.shut_down();
        drop(driver);
        drop(waiting);
        drop(loans);
        assert_eq!(deaths.get(), made);
        let got = reader.join().unwrap();
        assert!(got.iter().all(|byte| matches!(byte, 7 | 8)));
    }
}

#[test]
fn s13_loan_returns_its_buffers_after_the_shutdown() {
    for kind in each_backend().map(|driver| driver.backend().kind()) {
        let driver = DriverBuilder::new().backend(kind).build().unwrap();
        let (_peer, socket) = tcp();
        let buffers = [pattern(100), pattern(200)];
        let send = driver.send_msg_zero_copy(share(socket), buffers.clone(), None, 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 300);
        driver.shut_down();
        assert_eq!(run(&driver, loan), buffers);
    }
}

#[test]
fn send_of_driver_that_has_been_shut_down_is_refused() {
    for driver in each_backend() {
        let (_peer, socket) = tcp();
        let buffers = [pattern(10), pattern(20)];
        let send = driver.send_msg_zero_copy(share(socket), buffers.clone(), None, 0);
        driver.shut_down();
        let (sent, loan) = run(&driver, send);
        sent.unwrap_err();
        assert_eq!(run(&driver, loan), buffers);
    }
}

#[test]
fn token_cancels_a_send_that_waits_and_its_buffers_come_back() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let token = CancelToken::new();
        let scope = driver.scope(&token);
        let (loans, waiting) = fill(&driver, &fd, &deaths);
        drop(scope);
        token.cancel();
        let (sent, loan) = run(&driver, waiting);
        check_code(sent, code::CANCELLED);
        let buffers = run(&driver, loan);
        assert_eq!(deaths.get(), 0);
        drop(buffers);
        assert_eq!(deaths.get(), 2);
        // The others have been sent.
        drop(peer);
        for loan in loans {
            run(&driver, loan);
        }
    }
}

#[test]
fn closed_peer_ends_sends_and_loans() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let (loans, waiting) = fill(&driver, &fd, &deaths);
        let made = 2 * (loans.len() + 1);
        drop(peer);
        let (sent, loan) = run(&driver, waiting);
        let error = sent.unwrap_err();
        let kinds = [
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionAborted,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
        run(&driver, loan);
        for loan in loans {
            run(&driver, loan);
        }
        assert_eq!(deaths.get(), made);
    }
}

/// After the result the kernel only reads the buffers: the socket may be closed, and its number reused.
#[test]
fn record_of_a_loan_names_no_descriptor() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let (loans, waiting) = fill(&driver, &fd, &deaths);
        drop((waiting, fd));
        let records = driver.records();
        let lent = records.iter().filter(|record| !record.is_orphaned);
        assert!(lent.clone().count() <= loans.len());
        for record in lent {
            assert_eq!(record.kind, OpKind::Send);
            assert_eq!(record.fd, None, "{:?}", driver.backend());
        }
        drop(peer);
        for loan in loans {
            run(&driver, loan);
        }
    }
}
