//! Ancillary data of datagrams.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

#[cfg(any(target_os = "linux", windows))]
use compio::net::PacketInfo;
use compio::net::{AncillaryData, SocketAncillary, UdpSocket};

use crate::support::{begin, check_kind, run};
#[cfg(target_os = "linux")]
use {crate::support::pattern, std::net::Ipv6Addr};

async fn pair(ip: impl Into<IpAddr>) -> (UdpSocket, UdpSocket) {
    let ip = ip.into();
    let one = UdpSocket::bind((ip, 0)).await.unwrap();
    let other = UdpSocket::bind((ip, 0)).await.unwrap();
    one.connect(other.local_addr().unwrap()).await.unwrap();
    (one, other)
}

/// An ancillary buffer with some room.
fn room() -> SocketAncillary {
    SocketAncillary::with_capacity(256)
}

#[cfg(target_os = "linux")]
fn with(data: AncillaryData<'_>) -> SocketAncillary {
    let mut ancillary = SocketAncillary::new();
    ancillary.add(data).expect("the system has it");
    ancillary
}

async fn received(socket: &UdpSocket, expected: &[u8]) -> SocketAncillary {
    let buffers = [Vec::with_capacity(3), Vec::with_capacity(1 << 16)];
    let (message, ([head, tail], ancillary)) = socket.recv_msg(buffers, room()).await;
    let message = message.unwrap();
    assert_eq!(message.len, expected.len());
    assert!(!message.truncated && !ancillary.truncated());
    assert_eq!([head, tail].concat(), expected);
    ancillary
}

#[test]
fn a_message_without_ancillary_data_is_a_datagram() {
    run(async {
        let (one, other) = pair(Ipv4Addr::LOCALHOST).await;
        let (sent, _) = one.send_msg(["one", "two"], SocketAncillary::new()).await;
        assert_eq!(sent.unwrap(), 6);
        let buffers = [Vec::with_capacity(100)];
        let (message, (buffers, ancillary)) = other.recv_msg(buffers, SocketAncillary::new()).await;
        let message = message.unwrap();
        assert_eq!(message.address, one.local_addr().unwrap());
        assert_eq!(buffers, [b"onetwo"]);
        assert!(ancillary.is_empty());
        let to = one.local_addr().unwrap();
        let (sent, _) = other.send_msg_to(["answer"], ancillary, to).await;
        assert_eq!(sent.unwrap(), 6);
        assert_eq!(one.recv([0; 6]).await.0.unwrap(), 6);
        let none: &[SocketAddr] = &[];
        let (sent, (buffers, _)) = one.send_msg_to(["x"], SocketAncillary::new(), none).await;
        check_kind(sent, ErrorKind::InvalidInput);
        assert_eq!(buffers, ["x"]);
    });
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_datagram_reports_its_destination() {
    run(async {
        let here = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            // Wine does not report the packet info of IPv6.
            #[cfg(target_os = "linux")]
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ];
        for ip in here {
            let (one, other) = pair(ip).await;
            other.set_recv_packet_info(true).unwrap();
            one.send("hello").await.0.unwrap();
            let ancillary = received(&other, b"hello").await;
            let data: Vec<_> = ancillary.messages().collect();
            let [AncillaryData::PacketInfo(PacketInfo { address, interface })] = data[..] else {
                panic!("{data:?}");
            };
            assert_eq!(address, ip);
            assert!(interface > 0);
            other.set_recv_packet_info(false).unwrap();
            one.send("hello").await.0.unwrap();
            assert_eq!(received(&other, b"hello").await.messages().count(), 0);
        }
    });
}

/// On other systems the loopback interface has one address.
#[cfg(target_os = "linux")]
#[test]
fn a_datagram_is_sent_from_the_given_address() {
    run(async {
        let server = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        server.set_recv_packet_info(true).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = SocketAddr::from(([127, 0, 0, 42], server.local_addr().unwrap().port()));
        client.send_to("hello", elsewhere).await.0.unwrap();
        let ancillary = received(&server, b"hello").await;
        let data: Vec<_> = ancillary.messages().collect();
        let [AncillaryData::PacketInfo(info)] = data[..] else {
            panic!("{data:?}");
        };
        assert_eq!(info.address, elsewhere.ip());
        // The answer is sent from that address.
        let from = AncillaryData::PacketInfo(PacketInfo {
            interface: 0,
            ..info
        });
        let to = client.local_addr().unwrap();
        let (sent, _) = server.send_msg_to(["answer"], with(from), to).await;
        sent.unwrap();
        let (answer, _) = client.recv_from([0; 6]).await;
        assert_eq!(answer.unwrap(), (6, elsewhere));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn congestion_is_reported() {
    run(async {
        let (one, other) = pair(Ipv4Addr::LOCALHOST).await;
        other.set_recv_tos_v4(true).unwrap();
        for tos in [AncillaryData::Tos(2), AncillaryData::Tos(0xb9)] {
            one.send_msg(["hello"], with(tos)).await.0.unwrap();
            let ancillary = received(&other, b"hello").await;
            assert_eq!(ancillary.messages().collect::<Vec<_>>(), [tos]);
        }
        let (one, other) = pair(Ipv6Addr::LOCALHOST).await;
        other.set_recv_tclass_v6(true).unwrap();
        other.set_recv_packet_info(true).unwrap();
        let class = AncillaryData::TrafficClass(3);
        one.send_msg(["hello"], with(class)).await.0.unwrap();
        let ancillary = received(&other, b"hello").await;
        assert_eq!(ancillary.messages().count(), 2);
        assert!(ancillary.messages().any(|data| data == class));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn one_buffer_is_sent_as_several_datagrams() {
    run(async {
        let (one, other) = pair(Ipv4Addr::LOCALHOST).await;
        let segments = with(AncillaryData::SegmentSize(1000));
        let (sent, (_, segments)) = one.send_msg([pattern(2500)], segments).await;
        assert_eq!(sent.unwrap(), 2500);
        for chunk in pattern(2500).chunks(1000) {
            let (received, buffer) = other.recv(Vec::with_capacity(5000)).await;
            assert_eq!(received.unwrap(), chunk.len());
            assert_eq!(buffer, chunk);
        }
        other.set_gro(true).unwrap();
        one.send_msg([pattern(2500)], segments).await.0.unwrap();
        let ancillary = received(&other, &pattern(2500)).await;
        assert_eq!(
            ancillary.messages().collect::<Vec<_>>(),
            [AncillaryData::SegmentSize(1000)]
        );
        other.set_gro(false).unwrap();
        let whole = with(AncillaryData::SegmentSize(0));
        one.send_msg([pattern(10)], whole).await.0.unwrap();
        received(&other, &pattern(10)).await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn truncated_ancillary_data_is_reported() {
    run(async {
        let (one, other) = pair(Ipv4Addr::LOCALHOST).await;
        other.set_recv_packet_info(true).unwrap();
        for _ in 0..3 {
            one.send("hello").await.0.unwrap();
        }
        let (message, (buffers, ancillary)) = other.recv_msg([Vec::with_capacity(2)], room()).await;
        let message = message.unwrap();
        assert_eq!((message.len, message.truncated), (2, true));
        assert_eq!(buffers, [b"he"]);
        assert!(!ancillary.truncated());
        for capacity in [0, SocketAncillary::space(0) + 5] {
            let room = SocketAncillary::with_capacity(capacity);
            let (message, (_, ancillary)) = other.recv_msg([Vec::with_capacity(5)], room).await;
            assert!(!message.unwrap().truncated);
            assert!(ancillary.truncated());
            // The rest of the message is no address.
            let mut messages = ancillary.messages();
            assert!(!messages.any(|data| matches!(data, AncillaryData::PacketInfo(_))));
        }
    });
}

#[test]
fn a_dropped_receive_takes_nothing() {
    run(async {
        let (one, other) = pair(Ipv4Addr::LOCALHOST).await;
        begin(other.recv_msg([Vec::with_capacity(9)], room())).await;
        one.send("hello").await.0.unwrap();
        received(&other, b"hello").await;
    });
}

#[test]
fn unsupported_ancillary_data_is_refused() {
    let mut ancillary = SocketAncillary::new();
    if cfg!(windows) {
        let added = ancillary.add(AncillaryData::Tos(0xb9));
        check_kind(added, ErrorKind::Unsupported);
        check_kind(ancillary.add_descriptors([]), ErrorKind::Unsupported);
    }
    assert!(ancillary.is_empty());
    assert_eq!(ancillary.len(), 0);
}
