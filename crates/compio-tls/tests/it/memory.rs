//! Limits of memory, with idle and hostile peers. Both sides of a connection are counted.

use std::io;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    task::yield_now,
};
use compio_testkit::{
    allocator::{Counting, OfThread},
    buffer::pattern,
    check::check_kind,
    future::{begin, both},
};

use crate::support::{Pair, run};

#[global_allocator]
static ALLOCATOR: Counting<OfThread> = Counting(OfThread);

/// The bytes of this thread since an earlier count.
fn growth(before: isize) -> isize {
    OfThread::live_bytes() - before
}

/// The memory of both sides of a connection that waits after responses of this length.
async fn idle_memory(response: usize) -> isize {
    let pair = Pair::new();
    // The runtime and the caches of rustls reach their size.
    for _ in 0..2 {
        pair.over_tcp().await;
    }
    let before = OfThread::live_bytes();
    let (mut client, mut server) = pair.over_tcp().await;
    for _ in 0..5 {
        client.write_all("request").await.0.unwrap();
        assert_eq!(server.read_exact([0; 7]).await.1, *b"request");
        let (sent, received) = both(
            server.write_all(pattern(response)),
            client.read_exact(vec![0; response]),
        )
        .await;
        sent.0.unwrap();
        received.0.unwrap();
    }
    begin(server.read([0; 8])).await;
    begin(client.read([0; 8])).await;
    growth(before)
}

#[test]
fn idle_connection_holds_little_memory() {
    run(async {
        let small = idle_memory(500).await;
        let large = idle_memory(60_000).await;
        println!("idle: {small} bytes after small responses, {large} after large ones");
        assert!(small < 24 * 1024, "{small} bytes");
        // The next receive of the client has room for 64 KiB. The server holds no response.
        assert!(large < (24 + 64) * 1024, "{large} bytes");
    });
}

#[test]
fn handshake_in_fragments_of_one_byte_is_bounded() {
    run(async {
        let pair = Pair::new();
        let (mut peer, server) = duplex(4096);
        let before = OfThread::live_bytes();
        let server = pair.acceptor.stream(server).unwrap();
        let mut peak = 0;
        let attack = async {
            // A ClientHello whose header promises 65,535 bytes.
            let hello = [1, 0, 255, 255].into_iter().chain(pattern(65_535));
            for byte in hello {
                if peer.write_all([22, 3, 1, 0, 1, byte]).await.0.is_err() {
                    break;
                }
                yield_now().await;
                peak = peak.max(growth(before));
            }
            peer.shutdown().await
        };
        let refused = async {
            let handshake = server.handshake().await;
            // Otherwise the next write of the peer would wait for room.
            drop(server);
            handshake
        };
        let (_, handshake) = both(attack, refused).await;
        check_kind(handshake, io::ErrorKind::InvalidData);
        println!("fragments: {peak} bytes");
        assert!(peak < 256 * 1024, "{peak} bytes");
    });
}

#[test]
fn unread_plaintext_is_bounded() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        let data = pattern(1_000_000);
        let before = OfThread::live_bytes();
        let mut peak = 0;
        let slow = async {
            let mut total = 0;
            while total < 1_000_000 {
                // Each read takes a little of a record, and drops one read before.
                begin(yield_now()).await;
                let (read, _) = server.read([0; 997]).await;
                total += read.unwrap();
                peak = peak.max(growth(before));
            }
        };
        let (sent, ()) = both(client.write_all(data), slow).await;
        sent.0.unwrap();
        println!("unread: {peak} bytes");
        // 64 KiB of the stream in memory, 128 KiB of the output, 64 KiB of the input, and records in rustls.
        assert!(peak < 450 * 1024, "{peak} bytes");
    });
}
