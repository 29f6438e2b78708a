//! 32: a message that waits for room at its receiver arrives whole, and once.

use std::{
    io,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use compio_driver::{
    Driver, Poller, SharedFd, SockAddr,
    ancillary::SocketAncillary,
    op::{RecvAncillary, Send, SendMsg, SendTo},
};

use crate::support::{
    LONG, begin, check_code, code, drain, each_backend, is_woken, poll_once, run, share,
};

/// A bound receiver, a sender, and the receiver's address.
struct Pair {
    receiver: UnixDatagram,
    sender: UnixDatagram,
    address: SocketAddr,
}

fn pair() -> Pair {
    // Relaxed: only a count.
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{}", std::process::id(), NAMES.fetch_add(1, Relaxed));
    let address = SocketAddr::from_abstract_name(name).unwrap();
    Pair {
        receiver: UnixDatagram::bind_addr(&address).unwrap(),
        sender: UnixDatagram::unbound().unwrap(),
        address,
    }
}

/// A sender with a connection to its receiver.
fn connected() -> (UnixDatagram, SharedFd) {
    let pair = pair();
    pair.sender.connect_addr(&pair.address).unwrap();
    (pair.receiver, share(pair.sender))
}

/// Sends until the receiver's queue is full. Returns the number of messages.
fn fill(to: &SocketAddr) -> usize {
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    let mut count = 0;
    loop {
        match sender.send_to_addr(b"filler", to) {
            Ok(_) => count += 1,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return count;
            }
        }
    }
}

fn as_sock_addr(address: &SocketAddr) -> SockAddr {
    let name = address.as_abstract_name().unwrap();
    let path = [b"\0", name].concat();
    SockAddr::unix(std::path::Path::new(std::str::from_utf8(&path).unwrap())).unwrap()
}

fn receive(receiver: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 100];
    receiver.set_read_timeout(Some(LONG)).unwrap();
    let len = receiver.recv(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

/// The fillers, and no message after them.
fn check_fillers(receiver: &UnixDatagram, count: usize) {
    for _ in 0..count {
        assert_eq!(receive(receiver), b"filler");
    }
}

fn check_empty(receiver: &UnixDatagram) {
    receiver.set_nonblocking(true).unwrap();
    let error = receiver.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

/// Submits all queued requests.
fn turn(driver: &Driver) {
    for _ in 0..3 {
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn s32_datagram_to_full_receiver_arrives_whole() {
    for driver in each_backend() {
        let (receiver, sender) = connected();
        let count = fill(&receiver.local_addr().unwrap());
        let mut send = driver.submit(Send::new(sender, b"payload".to_vec(), 0));
        begin(&driver, &mut send);
        turn(&driver);
        begin(&driver, &mut send);
        check_fillers(&receiver, count);
        let (sent, buffer) = run(&driver, send);
        assert_eq!(sent.unwrap(), 7);
        assert_eq!(buffer, b"payload");
        assert_eq!(receive(&receiver), b"payload");
        check_empty(&receiver);
    }
}

#[test]
fn s32_datagram_with_address_to_full_receiver_arrives_whole() {
    for driver in each_backend() {
        let pair = pair();
        let count = fill(&pair.address);
        let sender = share(pair.sender);
        let address = as_sock_addr(&pair.address);
        let mut send = driver.submit(SendTo::new(sender, b"payload".to_vec(), address, 0));
        begin(&driver, &mut send);
        turn(&driver);
        begin(&driver, &mut send);
        check_fillers(&pair.receiver, count);
        let (sent, _) = run(&driver, send);
        assert_eq!(sent.unwrap(), 7);
        assert_eq!(receive(&pair.receiver), b"payload");
        check_empty(&pair.receiver);
    }
}

/// The sender is already subscribed at the poller, and its own readiness does not change.
#[test]
fn s32_datagram_with_address_from_known_sender_to_full_receiver_arrives_whole() {
    for driver in each_backend() {
        let pair = pair();
        let sender = share(pair.sender);
        let address = as_sock_addr(&pair.address);
        for _ in 0..2 {
            let count = fill(&pair.address);
            let send = SendTo::new(sender.clone(), b"payload".to_vec(), address.clone(), 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            turn(&driver);
            check_fillers(&pair.receiver, count);
            assert_eq!(run(&driver, send).0.unwrap(), 7);
            assert_eq!(receive(&pair.receiver), b"payload");
        }
    }
}

#[test]
fn s32_message_with_descriptor_to_full_receiver_keeps_its_bytes() {
    for driver in each_backend() {
        for is_connected in [true, false] {
            let pair = pair();
            let count = fill(&pair.address);
            if is_connected {
                pair.sender.connect_addr(&pair.address).unwrap();
            }
            let address = (!is_connected).then(|| as_sock_addr(&pair.address));
            let (sent_fd, _) = UnixDatagram::pair().unwrap();
            let mut ancillary = SocketAncillary::new();
            ancillary.add_descriptors([OwnedFd::from(sent_fd)]).unwrap();
            let parts = ["pay", "load"];
            let send = SendMsg::new(share(pair.sender), parts, ancillary, address, 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            turn(&driver);
            check_fillers(&pair.receiver, count);
            assert_eq!(run(&driver, send).0.unwrap(), 7);
            let room = SocketAncillary::with_capacity(64);
            let receive =
                RecvAncillary::new(share(pair.receiver), [Vec::with_capacity(20)], room, 0);
            let (received, (buffers, ancillary)) = run(&driver, driver.submit(receive));
            assert_eq!(received.unwrap().len, 7);
            assert_eq!(buffers[0], b"payload");
            assert_eq!(ancillary.descriptors().len(), 1);
        }
    }
}

#[test]
fn s32_many_datagrams_to_full_receiver_all_arrive_whole() {
    for driver in each_backend() {
        let (receiver, sender) = connected();
        let count = fill(&receiver.local_addr().unwrap());
        let mut sends: Vec<_> = (0..50_u8)
            .map(|number| driver.submit(Send::new(sender.clone(), vec![number; 9], 0)))
            .collect();
        for send in &mut sends {
            begin(&driver, send);
        }
        turn(&driver);
        check_fillers(&receiver, count);
        receiver.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        while came.len() < sends.len() {
            let mut buffer = [0; 100];
            match receiver.recv(&mut buffer) {
                Ok(len) => {
                    assert_eq!(buffer[..len], [buffer[0]; 9]);
                    came.push(buffer[0]);
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    driver.turn(Some(LONG)).unwrap();
                }
            }
        }
        for send in sends {
            assert_eq!(run(&driver, send).0.unwrap(), 9);
        }
        came.sort_unstable();
        assert!(came.into_iter().eq(0..50));
    }
}

#[test]
fn s32_cancelled_datagram_to_full_receiver_is_not_sent() {
    for driver in each_backend() {
        for is_connected in [true, false] {
            let pair = pair();
            let count = fill(&pair.address);
            if is_connected {
                pair.sender.connect_addr(&pair.address).unwrap();
            }
            let address = (!is_connected).then(|| as_sock_addr(&pair.address));
            let sender = share(pair.sender);
            let send = SendMsg::new(sender.clone(), ["payload"], [], address.clone(), 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            turn(&driver);
            send.cancel();
            check_code(run(&driver, send).0, code::CANCELLED);

            // A cancel before the first submission.
            let send = SendMsg::new(sender.clone(), ["payload"], [], address.clone(), 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            send.cancel();
            check_code(run(&driver, send).0, code::CANCELLED);

            // A drop cancels, too, and leaves no operation in flight.
            let send = SendMsg::new(sender.clone(), ["payload"], [], address.clone(), 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            turn(&driver);
            drop(send);
            drain(&driver);

            // So does a cancel by number.
            let mut send = SendMsg::new(sender, ["payload"], [], address, 0);
            // SAFETY: the operation stays here until its entry has come.
            unsafe { driver.push(&mut send, 7) }.unwrap();
            turn(&driver);
            driver.cancel(7);
            let entry = driver.poll_one(Some(LONG)).unwrap();
            check_code(entry.into_result(), code::CANCELLED);

            check_fillers(&pair.receiver, count);
            check_empty(&pair.receiver);
        }
    }
}

#[test]
fn s32_dropped_driver_ends_its_waiting_datagrams() {
    for driver in each_backend() {
        let pair = pair();
        let count = fill(&pair.address);
        let address = as_sock_addr(&pair.address);
        let sender = share(pair.sender);
        let mut sends: Vec<_> = (0..3)
            .map(|_| driver.submit(SendTo::new(sender.clone(), "payload", address.clone(), 0)))
            .collect();
        for send in &mut sends {
            begin(&driver, send);
        }
        turn(&driver);
        driver.shut_down();
        assert_eq!(driver.in_flight(), 0);
        for send in sends {
            check_code(run(&driver, send).0, code::CANCELLED);
        }
        check_fillers(&pair.receiver, count);
        check_empty(&pair.receiver);
    }
}

#[test]
fn s32_datagram_with_dontwait_to_full_receiver_is_refused() {
    for driver in each_backend() {
        let (receiver, sender) = connected();
        fill(&receiver.local_addr().unwrap());
        let send = Send::new(sender.clone(), "payload", libc::MSG_DONTWAIT);
        let (sent, _) = run(&driver, driver.submit(send));
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // Beside another operation, so that the send goes through the ring.
        let mut waits = driver.submit(Send::new(sender.clone(), "payload", 0));
        begin(&driver, &mut waits);
        let send = Send::new(sender, "payload", libc::MSG_DONTWAIT);
        let (sent, _) = run(&driver, driver.submit(send));
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}

/// Without a connection there is no event for room at the receiver: the send is retried on a timer.
#[test]
fn s32_waiting_datagram_does_not_spin() {
    for driver in each_backend() {
        let pair = pair();
        fill(&pair.address);
        let address = as_sock_addr(&pair.address);
        let mut send = driver.submit(SendTo::new(share(pair.sender), "payload", address, 0));
        begin(&driver, &mut send);
        let before = driver.enters();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            driver.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert!(poll_once(&driver, &mut send).is_pending());
        let enters = driver.enters() - before;
        assert!(enters < 1000, "{enters}");
    }
}

/// An outer loop is woken for the next retry.
#[test]
fn s32_waiting_datagram_is_sent_under_outer_loop() {
    for driver in each_backend() {
        for is_connected in [true, false] {
            let pair = pair();
            let count = fill(&pair.address);
            if is_connected {
                pair.sender.connect_addr(&pair.address).unwrap();
            }
            let address = (!is_connected).then(|| as_sock_addr(&pair.address));
            let send = SendMsg::new(share(pair.sender), ["payload"], [], address, 0);
            let mut send = driver.submit(send);
            begin(&driver, &mut send);
            turn(&driver);
            check_fillers(&pair.receiver, count);
            let (sent, _) = loop {
                if let std::task::Poll::Ready(sent) = poll_once(&driver, &mut send) {
                    break sent;
                }
                if driver.prepare_to_sleep() {
                    assert!(is_woken(&driver, LONG));
                }
                driver.turn(Some(Duration::ZERO)).unwrap();
            };
            assert_eq!(sent.unwrap(), 7);
            assert_eq!(receive(&pair.receiver), b"payload");
        }
    }
}

/// The kernel copies each message to a user's netlink socket before it looks for room, too.
#[test]
fn s32_netlink_message_to_full_receiver_arrives_whole() {
    for driver in each_backend() {
        let netlink = || {
            let family = libc::AF_NETLINK;
            let kind = socket2::Type::DGRAM;
            let protocol = socket2::Protocol::from(libc::NETLINK_USERSOCK);
            socket2::Socket::new(socket2::Domain::from(family), kind, Some(protocol))
        };
        let (Ok(receiver), Ok(sender)) = (netlink(), netlink()) else {
            eprintln!("not tested here: no netlink sockets");
            return;
        };
        let any = netlink_address();
        receiver.bind(&any).unwrap();
        sender.connect(&receiver.local_addr().unwrap()).unwrap();
        sender.set_nonblocking(true).unwrap();
        let mut count = 0;
        while sender.send(b"filler").is_ok() {
            count += 1;
        }
        sender.set_nonblocking(false).unwrap();
        let mut send = driver.submit(Send::new(share(sender), "payload", 0));
        begin(&driver, &mut send);
        turn(&driver);
        receiver.set_read_timeout(Some(LONG)).unwrap();
        let receive = || {
            let mut buffer = Vec::with_capacity(100);
            let len = receiver.recv(buffer.spare_capacity_mut()).unwrap();
            // SAFETY: that many bytes were received.
            unsafe { buffer.set_len(len) };
            buffer
        };
        for _ in 0..count {
            assert_eq!(receive(), b"filler");
        }
        assert_eq!(run(&driver, send).0.unwrap(), 7);
        assert_eq!(receive(), b"payload");
    }
}

/// The address "any" of netlink sockets.
fn netlink_address() -> SockAddr {
    // SAFETY: plain C structs of numbers; the shorter one fits into the longer one.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let address = storage.cast::<libc::sockaddr_nl>();
            *address = std::mem::zeroed();
            (*address).nl_family = libc::AF_NETLINK as libc::sa_family_t;
            *len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            Ok(())
        })
    }
    .unwrap();
    address
}
