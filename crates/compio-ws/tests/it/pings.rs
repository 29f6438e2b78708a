//! Pings and pongs without the help of the program.

use compio::{io::AsyncWriteExt, task};
use compio_testkit::future::both;
use compio_ws::{Bytes, Config, Message, Role};

use crate::support::{CLOSE, FIN, PING, PONG, TEXT, attempt, frame, in_memory, run, with_raw_peer};

#[test]
fn a_side_that_only_receives_answers_pings() {
    run(async {
        for role in [Role::Client, Role::Server] {
            let (mut socket, mut peer) = with_raw_peer(role, Config::new());
            let receiving = task::spawn(async move {
                let ping = socket.recv().await.unwrap().unwrap();
                // No later call sends the pong.
                (socket, ping)
            });
            peer.send(FIN | PING, b"are you there?").await;
            assert_eq!(
                peer.recv().await,
                Some((FIN | PONG, b"are you there?".to_vec()))
            );
            let (_socket, ping) = receiving.await.unwrap();
            assert_eq!(ping, Message::Ping(Bytes::from_static(b"are you there?")));
        }
    });
}

#[test]
fn a_pong_leaves_while_the_receive_waits() {
    run(async {
        let (mut client, mut server) = in_memory(4);
        let receiving = async move {
            while let Some(message) = client.recv().await {
                message.unwrap();
            }
        };
        let pinging = async {
            for number in 0..20 {
                server
                    .send(Message::Ping(vec![number; 100].into()))
                    .await
                    .unwrap();
                let pong = server.recv().await.unwrap().unwrap();
                assert_eq!(pong, Message::Pong(vec![number; 100].into()));
            }
            server.close(1000.into(), "").await.unwrap();
        };
        both(receiving, pinging).await;
    });
}

#[test]
fn a_pong_does_not_enter_a_message_that_is_being_sent() {
    run(async {
        let (socket, mut peer) = with_raw_peer(Role::Server, Config::new());
        let (mut sender, mut receiver) = socket.split();
        let sending = task::spawn(async move { sender.send(vec![5; 1 << 20]).await });
        let receiving = task::spawn(async move {
            assert!(receiver.recv().await.unwrap().unwrap().is_ping());
            receiver.recv().await
        });
        peer.send(FIN | PING, b"now").await;
        let (_, payload) = peer.recv().await.unwrap();
        assert!(payload == vec![5; 1 << 20]);
        assert_eq!(peer.recv().await, Some((FIN | PONG, b"now".to_vec())));
        sending.await.unwrap().unwrap();
        drop(peer);
        assert!(receiving.await.unwrap().unwrap().is_err());
    });
}

/// The peer sends pings and reads nothing. Later pongs replace earlier ones.
#[test]
fn a_flood_of_pings_without_reads_is_received_and_bounded() {
    run(async {
        const COUNT: u32 = 20_000;
        let (mut socket, mut peer) = with_raw_peer(Role::Server, Config::new());
        let flooding = task::spawn(async move {
            let mut payload = vec![0; 125];
            for number in 0..COUNT {
                payload[..4].copy_from_slice(&number.to_be_bytes());
                let ping = frame(FIN | PING, true, &payload);
                peer.stream.write_all(ping).await.0.unwrap();
            }
            peer.send(FIN | TEXT, b"end").await;
            peer
        });
        for _ in 0..COUNT {
            assert!(socket.recv().await.unwrap().unwrap().is_ping());
        }
        assert!(socket.recv().await.unwrap().unwrap().is_text());
        let mut peer = flooding.await.unwrap();
        // Now it reads. Far fewer pongs than pings arrive, and the last ping has its pong.
        let answering = task::spawn(async move { socket.recv().await });
        let (mut count, mut last) = (0, 0);
        while last < COUNT - 1 {
            let (first, payload) = peer.recv().await.unwrap();
            assert_eq!(first, FIN | PONG);
            last = u32::from_be_bytes(payload[..4].try_into().unwrap());
            count += 1;
        }
        assert!(count < 6 * 64 * 1024 / 125, "{count} pongs");
        drop(peer);
        assert!(answering.await.unwrap().unwrap().is_err());
    });
}

/// Control frames wait inside of the protocol while the peer reads nothing. The close frame comes behind them.
#[test]
fn a_close_frame_behind_a_flood_of_pings_is_answered() {
    run(async {
        for role in [Role::Client, Role::Server] {
            // Each length fills the protocol's limit in another way.
            for len in [0, 1, 60, 100, 125] {
                let (mut socket, mut peer) = with_raw_peer(role, Config::new());
                assert!(attempt(socket.send(vec![0; 1 << 20])).is_none());
                for _ in 0..200 {
                    peer.send(FIN | PING, &vec![b'p'; len]).await;
                    assert!(socket.recv().await.unwrap().unwrap().is_ping());
                }
                peer.send(FIN | CLOSE, b"\x03\xE8bye").await;
                assert!(socket.recv().await.unwrap().unwrap().is_close());
                let ending = task::spawn(async move { assert!(socket.recv().await.is_none()) });
                assert_eq!(peer.recv().await.unwrap().1.len(), 1 << 20);
                loop {
                    let (first, payload) = peer.recv().await.unwrap();
                    if first == FIN | CLOSE {
                        assert_eq!(payload, b"\x03\xE8bye");
                        break;
                    }
                    assert_eq!((first, payload.len()), (FIN | PONG, len));
                }
                ending.await.unwrap();
            }
        }
    });
}

#[test]
fn an_unanswered_pong_of_the_peer_is_a_message() {
    run(async {
        let (mut socket, mut peer) = with_raw_peer(Role::Client, Config::new());
        peer.send(FIN | PONG, b"x").await;
        let pong = socket.recv().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"x")));
        assert!(attempt(peer.recv()).is_none(), "a pong is not answered");
    });
}
