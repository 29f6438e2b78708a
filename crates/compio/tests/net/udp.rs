//! Datagrams.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use compio::net::UdpSocket;
use compio_testkit::process::is_skipped_on_wine;

use crate::support::{begin, check_kind, pattern, run};

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn connected() -> (UdpSocket, UdpSocket) {
    let ((one, one_at), (other, other_at)) = (bound().await, bound().await);
    one.connect(other_at).await.unwrap();
    other.connect(one_at).await.unwrap();
    (one, other)
}

#[test]
fn datagrams_keep_their_bounds_and_report_their_sender() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        for datagram in ["first", "", "third"] {
            let (sent, _) = one.send_to(datagram, to).await;
            assert_eq!(sent.unwrap(), datagram.len());
        }
        for datagram in ["first", "", "third"] {
            let (received, buffer) = other.recv_from(Vec::with_capacity(100)).await;
            assert_eq!(received.unwrap(), (datagram.len(), from));
            assert_eq!(buffer, datagram.as_bytes());
        }
    });
}

#[test]
fn excess_bytes_of_a_datagram_are_lost() {
    run(async {
        let (one, other) = connected().await;
        for _ in 0..4 {
            one.send("0123456789").await.0.unwrap();
        }
        one.send("next").await.0.unwrap();
        let (received, buffer) = other.recv_from(Vec::with_capacity(4)).await;
        assert_eq!((received.unwrap().0, &buffer[..]), (4, &b"0123"[..]));
        let (received, buffer) = other.recv([0; 4]).await;
        assert_eq!((received.unwrap(), &buffer), (4, b"0123"));
        let (received, buffers) = other.recv_vectored([vec![0; 2], vec![0; 3]]).await;
        assert_eq!(received.unwrap(), 5);
        assert_eq!(buffers, [b"01".to_vec(), b"234".to_vec()]);
        assert_eq!(other.recv(Vec::new()).await.0.unwrap(), 0);
        let (received, buffer) = other.recv(Vec::with_capacity(10)).await;
        assert_eq!((received.unwrap(), &buffer[..]), (4, &b"next"[..]));
    });
}

#[test]
fn a_peeked_datagram_is_not_consumed() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        begin(other.peek_from(vec![0; 10])).await;
        one.send_to("hello", to).await.0.unwrap();
        for _ in 0..2 {
            let (seen, buffer) = other.peek_from(Vec::with_capacity(10)).await;
            assert_eq!(seen.unwrap(), (5, from));
            assert_eq!(buffer, b"hello");
            // A part of the datagram.
            let (seen, buffer) = other.peek(Vec::with_capacity(2)).await;
            assert_eq!((seen.unwrap(), &buffer[..]), (2, &b"he"[..]));
        }
        let (received, buffer) = other.recv_from(Vec::with_capacity(10)).await;
        assert_eq!(received.unwrap(), (5, from));
        assert_eq!(buffer, b"hello");
        begin(other.recv_from(vec![0; 10])).await;
    });
}

#[test]
fn several_buffers_make_one_datagram() {
    run(async {
        let (one, other) = connected().await;
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        assert_eq!(one.send_vectored(["one", "", "three"]).await.0.unwrap(), 8);
        let buffers = [Vec::with_capacity(2), Vec::with_capacity(100)];
        let (received, [first, second]) = other.recv_from_vectored(buffers).await;
        assert_eq!(received.unwrap(), (8, from));
        assert_eq!((&first[..], &second[..]), (&b"on"[..], &b"ethree"[..]));

        let (stranger, _) = bound().await;
        let (sent, _) = stranger.send_to_vectored(["a", "b"], from).await;
        assert_eq!(sent.unwrap(), 2);
        // The connected socket receives from its peer only.
        begin(one.recv_vectored([vec![0; 1], vec![0; 9]])).await;
        let (sent, _) = other.send_vectored(["x", "y"]).await;
        assert_eq!(sent.unwrap(), 2);
        let (received, buffers) = one.recv_vectored([vec![0; 1], vec![0; 9]]).await;
        assert_eq!(received.unwrap(), 2);
        assert_eq!(buffers, [b"x".to_vec(), b"y".to_vec()]);
        assert_eq!(one.peer_addr().unwrap(), to);
    });
}

#[test]
fn datagrams_of_all_sizes_arrive() {
    run(async {
        let (one, other) = connected().await;
        // The greatest payload of IPv4.
        for len in [0, 1, 1500, 65_507] {
            assert_eq!(one.send(pattern(len)).await.0.unwrap(), len);
            let (received, buffer) = other.recv(Vec::with_capacity(70_000)).await;
            assert_eq!(received.unwrap(), len);
            assert!(buffer == pattern(len));
        }
        let (sent, buffer) = one.send(pattern(65_508)).await;
        sent.unwrap_err();
        assert!(buffer == pattern(65_508));
    });
}

#[test]
fn a_failed_send_returns_the_buffer() {
    run(async {
        let (one, _) = bound().await;
        let (sent, buffer) = one.send(b"hello".to_vec()).await;
        sent.unwrap_err();
        assert_eq!(buffer, b"hello");
        check_kind(one.peer_addr(), ErrorKind::NotConnected);
        let none: &[SocketAddr] = &[];
        let (sent, buffer) = one.send_to(b"hello".to_vec(), none).await;
        check_kind(sent, ErrorKind::InvalidInput);
        assert_eq!(buffer, b"hello");
        let (sent, buffers) = one.send_to_vectored([b"hello".to_vec()], none).await;
        check_kind(sent, ErrorKind::InvalidInput);
        assert_eq!(buffers, [b"hello".to_vec()]);
        let (sent, _) = one.send_to("hello", "localhost.invalid:1").await;
        sent.unwrap_err();
    });
}

#[test]
fn binding_a_port_in_use_fails() {
    run(async {
        let (_one, address) = bound().await;
        check_kind(UdpSocket::bind(address).await, ErrorKind::AddrInUse);
    });
}

#[test]
fn options_are_as_they_were_set() {
    run(async {
        let (one, _) = bound().await;
        assert!(!one.broadcast().unwrap());
        one.set_broadcast(true).unwrap();
        assert!(one.broadcast().unwrap());
        one.set_multicast_loop_v4(false).unwrap();
        assert!(!one.multicast_loop_v4().unwrap());
        one.set_multicast_ttl_v4(5).unwrap();
        assert_eq!(one.multicast_ttl_v4().unwrap(), 5);
        one.set_ttl(40).unwrap();
        assert_eq!(one.ttl().unwrap(), 40);
        assert!(one.take_error().unwrap().is_none());
        let six = UdpSocket::bind("[::1]:0").await.unwrap();
        six.set_multicast_loop_v6(false).unwrap();
        assert!(!six.multicast_loop_v6().unwrap());
    });
}

#[cfg(unix)]
#[test]
fn a_service_class_is_kept() {
    run(async {
        let (one, _) = bound().await;
        one.set_tos_v4(0x10).unwrap();
        assert_eq!(one.tos_v4().unwrap(), 0x10);
    });
}

#[test]
fn a_group_is_joined_and_left_once() {
    run(async {
        let (one, _) = bound().await;
        let (group, here) = (Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::LOCALHOST);
        one.join_multicast_v4(group, here).unwrap();
        one.join_multicast_v4(group, here).unwrap_err();
        one.leave_multicast_v4(group, here).unwrap();
        one.leave_multicast_v4(group, here).unwrap_err();
        // A unicast address is no group.
        one.join_multicast_v4(here, here).unwrap_err();
        let six = UdpSocket::bind("[::1]:0").await.unwrap();
        six.leave_multicast_v6(&Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0xfb), 1)
            .unwrap_err();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_group_receives_its_datagrams() {
    run(async {
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let member = UdpSocket::bind((group, 0)).await.unwrap();
        member
            .join_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
        let (sender, from) = bound().await;
        let options = socket2::SockRef::from(&sender);
        options.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let address = member.local_addr().unwrap();
        sender.send_to("all of you", address).await.0.unwrap();
        let (received, buffer) = member.recv_from(Vec::with_capacity(100)).await;
        assert_eq!(received.unwrap(), (10, from));
        assert_eq!(buffer, b"all of you");
    });
}

/// The port of a socket that was closed: a send to it leads to an ICMP message "port unreachable".
async fn closed_port() -> SocketAddr {
    let (socket, address) = bound().await;
    socket.close().await.unwrap();
    address
}

#[test]
fn receive_without_peer_ignores_unreachable_port_of_earlier_send() {
    run(async {
        let std_socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let adopted = UdpSocket::from_std(std_socket).unwrap();
        for server in [bound().await.0, adopted] {
            let (client, from) = bound().await;
            let closed = closed_port().await;
            for _ in 0..3 {
                server.send_to("nobody listens", closed).await.0.unwrap();
            }
            let to = server.local_addr().unwrap();
            client.send_to("hello", to).await.0.unwrap();
            let (received, buffer) = server.recv_from(Vec::with_capacity(16)).await;
            assert_eq!(received.unwrap(), (5, from));
            assert_eq!(buffer, b"hello");
        }
    });
}

#[test]
fn receive_with_peer_reports_unreachable_port_of_earlier_send() {
    if is_skipped_on_wine("it reports no unreachable port") {
        return;
    }
    run(async {
        let (client, _) = bound().await;
        client.connect(closed_port().await).await.unwrap();
        client.send("nobody listens").await.0.unwrap();
        let error = client.recv(Vec::with_capacity(16)).await.0.unwrap_err();
        let refused = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
        assert!(refused.contains(&error.kind()), "{error}");
    });
}
