//! Descriptors that arrive over Unix sockets, and that the receiver does not take.

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
fn descriptors_that_are_not_taken_or_do_not_fit_are_closed() {
    check(|| {
        block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            for capacity in [0, 1, 2, 5, 10] {
                one.send_msg(["x"], carrying(5)).await.0.unwrap();
                let (received, (_, ancillary)) = other.recv_msg([[0; 1]], room(capacity)).await;
                received.unwrap();
                // The kernel uses the padding, too.
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
fn descriptors_are_closed_by_a_plain_read() {
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
fn s02_descriptors_for_a_dropped_receive() {
    check(|| {
        block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            for round in 0..20 {
                let receive = begin(other.recv_msg([[0; 1]], room(4)));
                yield_now().await;
                one.send_msg(["x"], carrying(3)).await.0.unwrap();
                // The receive has completed, and is not polled again.
                sleep(Duration::from_micros(200)).await;
                drop(receive);
                if round % 2 == 0 {
                    // The next receive gets the descriptors, and closes them by its drop.
                    other.recv_msg([[0; 1]], room(4)).await.0.unwrap();
                } else {
                    // A receive without room for the descriptors closes them.
                    assert_eq!(other.recv([0; 1]).await.0.unwrap(), 1);
                }
            }
            settle(before).await;
            // The socket's drop closes descriptors that no receive has taken.
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
fn descriptors_of_dropped_sends_are_closed() {
    check(|| {
        block_on(async {
            let (one, _other) = UnixDatagram::pair().unwrap();
            let before = open_now();
            // Until there is no room left.
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
