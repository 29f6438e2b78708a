//! Descriptors that come over Unix sockets, and that nobody takes.

use std::{fs::File, os::fd::OwnedFd, time::Duration};

use compio::{
    io::AsyncRead,
    net::{SocketAncillary, UnixDatagram, UnixStream},
    task::{block_on, yield_now},
    time::sleep,
};

use crate::{begin, check, open_now, settle, try_begin};

fn carrying(count: usize) -> SocketAncillary {
    let null = File::open("/dev/null").unwrap();
    let mut ancillary = SocketAncillary::new();
    let descriptors = (0..count).map(|_| OwnedFd::from(null.try_clone().unwrap()));
    ancillary.add_descriptors(descriptors).unwrap();
    ancillary
}

fn room(descriptors: usize) -> SocketAncillary {
    SocketAncillary::with_capacity(SocketAncillary::space(4 * descriptors))
}

#[test]
fn those_that_nobody_takes_or_that_do_not_fit() {
    check(|| {
        block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            for capacity in [0, 1, 2, 5, 10] {
                one.send_msg(["x"], carrying(5)).await.0.unwrap();
                let (received, (_, ancillary)) = other.recv_msg([[0; 1]], room(capacity)).await;
                received.unwrap();
                // The kernel makes use of the padding.
                let came = ancillary.descriptors().len();
                assert!((capacity.min(5)..=5.min(capacity + 1)).contains(&came));
                assert_eq!(ancillary.truncated(), came < 5);
                assert_eq!(open_now(), before + came);
                drop(ancillary);
                assert_eq!(open_now(), before);
            }
        });
    });
}

#[test]
fn those_that_a_plain_read_passes_over() {
    check(|| {
        block_on(async {
            let (one, mut other) = UnixStream::pair().unwrap();
            let before = open_now();
            one.send_msg(["x"], carrying(3)).await.0.unwrap();
            assert_eq!(other.read([0; 1]).await.0.unwrap(), 1);
            settle(before).await;
        });
    });
}

#[test]
fn s02_descriptors_that_come_for_a_receive_that_was_given_up() {
    check(|| {
        block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            for round in 0..20 {
                let receive = begin(other.recv_msg([[0; 1]], room(4)));
                yield_now().await;
                one.send_msg(["x"], carrying(3)).await.0.unwrap();
                // Its completion is there, for nobody.
                sleep(Duration::from_micros(200)).await;
                drop(receive);
                if round % 2 == 0 {
                    // The next one has them, and closes them with what it has received.
                    other.recv_msg([[0; 1]], room(4)).await.0.unwrap();
                } else {
                    // What comes without room for them closes them.
                    assert_eq!(other.recv([0; 1]).await.0.unwrap(), 1);
                }
            }
            settle(before).await;
            // What nobody takes goes with the socket.
            let receive = begin(other.recv_msg([[0; 1]], room(4)));
            yield_now().await;
            one.send_msg(["x"], carrying(3)).await.0.unwrap();
            drop(receive);
            drop((one, other));
            settle(before - 2).await;
        });
    });
}

#[test]
fn those_of_sends_that_were_given_up() {
    check(|| {
        block_on(async {
            let (one, _other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            // Until there is no room any more.
            for _ in 0..50 {
                let send = try_begin(one.send_msg(["x"], carrying(2)));
                yield_now().await;
                drop(send);
            }
            drop((one, _other));
            settle(before - 2).await;
        });
    });
}
