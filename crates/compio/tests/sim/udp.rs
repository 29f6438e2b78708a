//! UDP between hosts.

use std::{io, io::ErrorKind, net::IpAddr, time::Duration};

use compio::{
    net::{AncillaryData, PacketInfo, SocketAncillary, UdpSocket},
    sim::{self, CompletionFaults},
    time,
};
use compio_testkit::check::{check_code, check_kind};

use super::{both::run_both, run_one, run_pair};

#[test]
fn datagrams_arrive_with_their_sender() {
    run_pair(
        || async {
            let socket = UdpSocket::bind("0.0.0.0:53").await?;
            loop {
                let (received, bytes) = socket.recv_from(Vec::with_capacity(100)).await;
                let (_, from) = received?;
                socket.send_to(bytes, from).await.0?;
            }
        },
        async {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            for text in ["one", "two", "three"] {
                socket.send_to(text, "server:53").await.0?;
            }
            let mut all = Vec::new();
            for _ in 0..3 {
                let (received, bytes) = socket.recv_from(Vec::with_capacity(100)).await;
                let (len, from) = received?;
                assert_eq!(from.to_string(), "10.0.0.1:53");
                assert_eq!(len, bytes.len());
                all.push(String::from_utf8(bytes).unwrap());
            }
            all.sort();
            assert_eq!(all, ["one", "three", "two"]);
            Ok(())
        },
    );
}

#[test]
fn datagram_to_no_socket_is_an_error_of_a_connected_one() {
    run_pair(
        || async {
            time::sleep(Duration::from_secs(10)).await;
            Ok(())
        },
        async {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.connect("server:53").await?;
            socket.send("lost").await.0?;
            let error = socket.recv([0; 10]).await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        },
    );
}

#[test]
fn long_datagram_is_cut() {
    run_pair(
        || async {
            let socket = UdpSocket::bind("0.0.0.0:53").await?;
            socket.send_to(vec![7; 1000], "client:99").await.0?;
            time::sleep(Duration::from_secs(10)).await;
            Ok(())
        },
        async {
            let socket = UdpSocket::bind("0.0.0.0:99").await?;
            let (received, bytes) = socket.recv_from([0; 10]).await;
            assert_eq!(received?.0, 10);
            assert_eq!(bytes, [7; 10]);
            Ok(())
        },
    );
}

/// Room for this number of messages of ancillary data.
fn room(count: usize) -> SocketAncillary {
    SocketAncillary::with_capacity(count * SocketAncillary::space(20))
}

/// The content of a datagram and its ancillary data, and whether this was truncated.
async fn receive(
    socket: &UdpSocket,
    room: SocketAncillary,
) -> io::Result<(Vec<u8>, Vec<String>, bool)> {
    let (received, ([mut bytes], ancillary)) = socket.recv_msg([vec![0; 1000]], room).await;
    bytes.truncate(received?.len);
    let messages = ancillary.messages().map(|data| format!("{data:?}"));
    Ok((bytes, messages.collect(), ancillary.truncated()))
}

#[test]
fn ancillary_data_has_destination_and_type_of_service() {
    for address in ["127.0.0.1", "::1"] {
        run_both(move |_| async move {
            let address: IpAddr = address.parse().unwrap();
            let server = UdpSocket::bind((address, 0)).await?;
            let client = UdpSocket::bind((address, 0)).await?;
            let to = server.local_addr()?;
            client.send_to("none", to).await.0?;
            let (_, messages, is_truncated) = receive(&server, room(2)).await?;
            assert_eq!((messages.len(), is_truncated), (0, false));

            server.set_recv_packet_info(true)?;
            let tos: fn(u8) -> AncillaryData<'static> = if address.is_ipv4() {
                server.set_recv_tos_v4(true)?;
                client.set_tos_v4(0x10)?;
                AncillaryData::Tos
            } else {
                server.set_recv_tclass_v6(true)?;
                AncillaryData::TrafficClass
            };
            let (interface, own) = (1, if address.is_ipv4() { 0x10 } else { 0 });
            let info = AncillaryData::PacketInfo(PacketInfo { address, interface });
            client.send_to("own", to).await.0?;
            let (_, messages, _) = receive(&server, room(2)).await?;
            assert_eq!(messages, [format!("{info:?}"), format!("{:?}", tos(own))]);

            let mut ancillary = SocketAncillary::new();
            ancillary.add(tos(2))?;
            client.send_msg_to(["of one send"], ancillary, to).await.0?;
            let (content, messages, _) = receive(&server, room(2)).await?;
            assert_eq!(content, b"of one send");
            assert_eq!(messages, [format!("{info:?}"), format!("{:?}", tos(2))]);

            client.send_to("short", to).await.0?;
            let one = SocketAncillary::with_capacity(SocketAncillary::space(20));
            let (_, messages, is_truncated) = receive(&server, one).await?;
            assert_eq!((&messages[0], is_truncated), (&format!("{info:?}"), true));
            server.set_recv_packet_info(false)?;
            client.send_to("x", to).await.0?;
            assert_eq!(receive(&server, room(2)).await?.1.len(), 1);
            Ok(())
        });
    }
}

#[test]
fn segments_of_a_send_are_datagrams() {
    run_both(|_| async {
        let server = UdpSocket::bind("127.0.0.1:0").await?;
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(server.local_addr()?).await?;
        let bytes: Vec<u8> = (0..250).collect();
        let mut ancillary = SocketAncillary::new();
        ancillary.add(AncillaryData::SegmentSize(100))?;
        let (sent, _) = client.send_msg([bytes.clone()], ancillary).await;
        assert_eq!(sent?, 250);
        for segment in bytes.chunks(100) {
            assert_eq!(server.recv(Vec::with_capacity(1000)).await.1, segment);
        }
        Ok(())
    });
}

#[test]
fn send_of_segments_without_memory_sends_none() {
    run_one(async {
        let server = UdpSocket::bind("127.0.0.1:0").await?;
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(server.local_addr()?).await?;
        sim::completions("client").unwrap().set(CompletionFaults {
            no_resources: 0.5,
            ..CompletionFaults::default()
        });
        let mut sends = [0, 0];
        for number in 0..20 {
            let mut ancillary = SocketAncillary::new();
            ancillary.add(AncillaryData::SegmentSize(1))?;
            let sent = client.send_msg([[number; 4]], ancillary).await.0;
            sends[usize::from(sent.is_ok())] += 1;
            for _ in 0..sent.unwrap_or(0) {
                let (received, bytes) = server.recv([0; 1]).await;
                assert_eq!((received?, bytes), (1, [number]));
            }
        }
        assert!(sends[0] > 0 && sends[1] > 0, "{sends:?}");
        Ok(())
    });
}

#[test]
fn source_of_a_datagram_is_an_address_of_the_host() {
    run_pair(
        || async {
            let socket = UdpSocket::bind("0.0.0.0:53").await?;
            socket.set_recv_packet_info(true)?;
            loop {
                let (received, (_, data)) = socket.recv_msg([[0; 9]], room(2)).await;
                let from = received?.address;
                let info = AncillaryData::PacketInfo(PacketInfo {
                    address: "10.0.0.1".parse().unwrap(),
                    interface: 2,
                });
                assert_eq!(data.messages().collect::<Vec<_>>(), [info]);
                let mut answer = SocketAncillary::new();
                answer.add(info)?;
                socket.send_msg_to(["answer"], answer, from).await.0?;
            }
        },
        async {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.send_to("question", "server:53").await.0?;
            let (received, _) = socket.recv_from([0; 9]).await;
            assert_eq!(received?.1.to_string(), "10.0.0.1:53");
            let mut foreign = SocketAncillary::new();
            foreign.add(AncillaryData::PacketInfo(PacketInfo {
                address: "10.0.0.1".parse().unwrap(),
                interface: 0,
            }))?;
            let (sent, _) = socket.send_msg_to(["x"], foreign, "10.0.0.1:53").await;
            check_code(sent, libc::EINVAL);
            Ok(())
        },
    );
}

#[test]
fn other_options_of_datagrams_are_unsupported() {
    run_one(async {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.set_gro(true)?;
        let joined = socket.join_multicast_v4([224, 0, 0, 1].into(), [0, 0, 0, 0].into());
        check_kind(joined, ErrorKind::Unsupported);
        let mut ancillary = SocketAncillary::new();
        ancillary.add(AncillaryData::Other {
            level: libc::SOL_SOCKET,
            kind: libc::SCM_TXTIME,
            data: &[0; 8],
        })?;
        let (sent, _) = socket
            .send_msg_to(["x"], ancillary, socket.local_addr()?)
            .await;
        check_kind(sent, ErrorKind::Unsupported);
        Ok(())
    });
}
