//! Connections that the kernel accepted for a dropped accept.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use compio_driver::{Acceptor, Driver, OwnedFd, SharedFd};

use crate::support::{Bell, drain, each_backend, poll_once, poll_with, run, share, turn_until};

pub(crate) fn listener() -> (SharedFd, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (share(listener), address)
}

/// Connects, and sends a name.
pub(crate) fn client(address: std::net::SocketAddr, name: u8) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[name]).unwrap();
    client
}

/// The name of the client of this connection.
pub(crate) fn name_of(fd: OwnedFd) -> u8 {
    let mut name = [0];
    TcpStream::from(fd).read_exact(&mut name).unwrap();
    name[0]
}

pub(crate) fn next(driver: &Driver, acceptor: &Acceptor, fd: &SharedFd) -> u8 {
    name_of(run(driver, acceptor.accept(driver, fd)).unwrap().0)
}

#[test]
fn settle_waits_for_the_completion_of_a_dropped_accept() {
    for driver in each_backend() {
        let (fd, _) = listener();
        let acceptor = Acceptor::new();
        let mut accept = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut accept).is_pending());
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(accept);
        run(&driver, acceptor.settle(&driver));
        assert_eq!(driver.in_flight(), 0, "{:?}", driver.backend());
    }
}

#[test]
fn acceptor_with_connection_of_dropped_accept_has_kept_one() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut accept = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut accept).is_pending());
        assert!(!acceptor.has_kept());
        let _client = client(address, 3);
        drain(&driver);
        drop(accept);
        assert!(acceptor.has_kept(), "{:?}", driver.backend());
        assert_eq!(next(&driver, &acceptor, &fd), 3);
        assert!(!acceptor.has_kept());
    }
}

#[test]
fn accept_that_has_completed_releases_its_waker() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut accept = acceptor.accept(&driver, &fd);
        let (bell, waker) = Bell::new();
        assert!(poll_with(&mut accept, &waker).is_pending());
        let _client = client(address, 4);
        drain(&driver);
        let Poll::Ready(accepted) = poll_with(&mut accept, &waker) else {
            panic!("the accept is pending")
        };
        assert_eq!(name_of(accepted.unwrap().0), 4);
        drop((accept, waker));
        assert_eq!(Arc::strong_count(&bell), 1, "{:?}", driver.backend());
    }
}

#[test]
fn settle_waits_for_accept_dropped_under_other_driver() {
    for (other, driver) in each_backend().zip(each_backend()) {
        let (fd, _) = listener();
        let acceptor = Acceptor::new();
        let mut accept = acceptor.accept(&other, &fd);
        assert!(poll_once(&other, &mut accept).is_pending());
        other.turn(Some(Duration::ZERO)).unwrap();
        drop(accept);
        run(&driver, acceptor.settle(&driver));
        assert_eq!(other.in_flight(), 0, "{:?}", other.backend());
    }
}

/// Its cancel would have waited for the shutdown.
#[test]
fn settle_after_begin_of_shutdown_ends_the_dropped_accept() {
    for driver in each_backend() {
        let (fd, _) = listener();
        let acceptor = Acceptor::new();
        let mut accept = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut accept).is_pending());
        driver.begin_shut_down();
        drop(accept);
        run(&driver, acceptor.settle(&driver));
        assert_eq!(driver.in_flight(), 0, "{:?}", driver.backend());
    }
}

#[test]
fn stream_dropped_under_one_driver_leaves_connection_to_other() {
    for (other, driver) in each_backend().zip(each_backend()) {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut stream = acceptor.stream(&other, &fd);
        assert!(
            stream
                .poll_next(&mut Context::from_waker(&other.waker()))
                .is_pending()
        );
        other.turn(Some(Duration::ZERO)).unwrap();
        drop(stream);
        let mut accept = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut accept).is_pending());
        assert_eq!(other.in_flight(), 0, "{:?}", other.backend());
        let _client = client(address, 7);
        assert_eq!(name_of(run(&driver, accept).unwrap().0), 7);
    }
}

#[test]
fn a_waiting_accept_gets_the_connection_of_a_dropped_one() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut first = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut first).is_pending());
        let mut second = acceptor.accept(&driver, &fd);
        let (bell, waker) = Bell::new();
        assert!(poll_with(&mut second, &waker).is_pending());
        let _client = client(address, 9);
        turn_until(&driver, || driver.in_flight() == 1);
        // If `first` has the connection, the drop passes it on. Otherwise `second` has it.
        let rings = bell.rings();
        drop(first);
        let accepted = match poll_with(&mut second, &waker) {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => panic!("the second accept is pending after {rings} wakes"),
        };
        assert!(bell.rings() > 0);
        assert_eq!(name_of(accepted.unwrap().0), 9);
        drop(second);
        drain(&driver);
    }
}

#[test]
fn a_later_accept_gets_the_connection_of_a_dropped_one() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut first = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut first).is_pending());
        let mut second = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut second).is_pending());
        let _client = client(address, 1);
        assert_eq!(name_of(run(&driver, first).unwrap().0), 1);
        // The wait list has a free entry again.
        let mut third = acceptor.accept(&driver, &fd);
        let (bell, waker) = Bell::new();
        assert!(poll_with(&mut third, &waker).is_pending());
        let _client = client(address, 2);
        turn_until(&driver, || driver.in_flight() == 1);
        drop(second);
        assert!(bell.rings() > 0, "the third accept should be woken");
        match poll_with(&mut third, &waker) {
            Poll::Ready(accepted) => assert_eq!(name_of(accepted.unwrap().0), 2),
            Poll::Pending => panic!("the third accept is pending"),
        }
        drop(third);
        drain(&driver);
    }
}

#[test]
fn no_connection_is_lost_in_a_storm_of_drops() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let clients: Vec<_> = (0..60).map(|name| client(address, name)).collect();
        let mut names = Vec::new();
        let mut step = 0;
        while names.len() < clients.len() {
            let mut accept = acceptor.accept(&driver, &fd);
            step += 1;
            if let Poll::Ready(accepted) = poll_once(&driver, &mut accept) {
                names.push(name_of(accepted.unwrap().0));
            } else if step % 3 == 0 {
                driver.turn(Some(std::time::Duration::ZERO)).unwrap();
            } else if step % 5 == 0 {
                names.push(name_of(run(&driver, accept).unwrap().0));
            }
        }
        drain(&driver);
        names.sort_unstable();
        assert!(names.iter().copied().eq(0..60), "{:?}", driver.backend());
    }
}
