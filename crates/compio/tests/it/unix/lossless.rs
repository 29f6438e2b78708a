//! Descriptors that arrived for a dropped receive.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use compio::{
    io::AsyncRead,
    net::{SocketAncillary, UnixDatagram, UnixStream},
    time::sleep,
};

use crate::support::{begin, run};

fn room() -> SocketAncillary {
    SocketAncillary::with_capacity(SocketAncillary::space(16))
}

/// A file with this content.
fn file(content: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn content(mut ancillary: SocketAncillary) -> String {
    let mut descriptors = ancillary.take_descriptors();
    assert_eq!(descriptors.len(), 1);
    let mut content = String::new();
    let mut file = File::from(descriptors.remove(0));
    file.read_to_string(&mut content).unwrap();
    content
}

fn with_file(content: &str) -> SocketAncillary {
    let mut ancillary = SocketAncillary::new();
    ancillary.add_descriptors([file(content)]).unwrap();
    ancillary
}

#[test]
fn descriptors_go_to_the_next_receive_with_room_for_them() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for round in 0..20 {
            let mut receive = Box::pin(ours.recv_msg([Vec::with_capacity(8)], room()));
            begin(&mut receive).await;
            let (sent, _) = theirs.send_msg(["abcd"], with_file("here")).await;
            sent.unwrap();
            sleep(Duration::ZERO).await;
            drop(receive);
            // They come once, with the first bytes.
            let (received, (bytes, ancillary)) =
                ours.recv_msg([Vec::with_capacity(3)], room()).await;
            assert_eq!(
                (received.unwrap(), &bytes[0][..]),
                (3, &b"abc"[..]),
                "{round}"
            );
            assert_eq!(content(ancillary), "here");
            let (received, (bytes, ancillary)) =
                ours.recv_msg([Vec::with_capacity(3)], room()).await;
            assert_eq!((received.unwrap(), &bytes[0][..]), (1, &b"d"[..]));
            assert!(ancillary.is_empty());
        }
    });
}

#[test]
fn a_receive_without_room_for_descriptors_gets_the_bytes() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut receive = Box::pin(ours.recv_msg([Vec::with_capacity(8)], room()));
        begin(&mut receive).await;
        theirs
            .send_msg(["abcd"], with_file("here"))
            .await
            .0
            .unwrap();
        sleep(Duration::ZERO).await;
        drop(receive);
        let (read, bytes) = (&ours).read(Vec::with_capacity(8)).await;
        assert_eq!((read.unwrap(), &bytes[..]), (4, &b"abcd"[..]));
    });
}

#[test]
fn a_datagram_keeps_its_descriptors() {
    run(async {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        for _ in 0..20 {
            let mut receive = Box::pin(ours.recv_msg([Vec::with_capacity(8)], room()));
            begin(&mut receive).await;
            theirs.send_msg(["abcd"], with_file("one")).await.0.unwrap();
            theirs.send_msg(["ef"], with_file("other")).await.0.unwrap();
            sleep(Duration::ZERO).await;
            drop(receive);
            for (expected, there) in [("abcd", "one"), ("ef", "other")] {
                let (received, (bytes, ancillary)) =
                    ours.recv_msg([Vec::with_capacity(8)], room()).await;
                assert_eq!(received.unwrap().len, expected.len());
                assert_eq!(bytes[0], expected.as_bytes());
                assert_eq!(content(ancillary), there);
            }
        }
    });
}
