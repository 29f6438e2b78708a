//! UDP between hosts.

use std::{io::ErrorKind, time::Duration};

use compio::{net::UdpSocket, time};

use super::run_pair;

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
