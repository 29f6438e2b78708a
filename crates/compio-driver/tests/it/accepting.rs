//! Connections that were accepted for somebody who had gone away.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    task::Poll,
};

use compio_driver::{Acceptor, Driver, OwnedFd, SharedFd};

use crate::support::{Bell, drain, each_backend, poll_once, poll_with, run, share, turn_until};

pub(crate) fn listener() -> (SharedFd, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (share(listener), address)
}

/// Connects, and says who it is.
pub(crate) fn client(address: std::net::SocketAddr, name: u8) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[name]).unwrap();
    client
}

/// Whose connection it is.
pub(crate) fn name_of(fd: OwnedFd) -> u8 {
    let mut name = [0];
    TcpStream::from(fd).read_exact(&mut name).unwrap();
    name[0]
}

pub(crate) fn next(driver: &Driver, acceptor: &Acceptor, fd: &SharedFd) -> u8 {
    name_of(run(driver, acceptor.accept(driver, fd)).unwrap().0)
}

#[test]
fn whoever_waits_already_is_woken() {
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
        // Whichever of the two has the connection is dropped, or asked.
        let rings = bell.rings();
        drop(first);
        let accepted = match poll_with(&mut second, &waker) {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => panic!("it was not told: {rings} rings before"),
        };
        assert!(bell.rings() > 0);
        assert_eq!(name_of(accepted.unwrap().0), 9);
        drop(second);
        drain(&driver);
    }
}

#[test]
fn whoever_came_later_is_woken_too() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut first = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut first).is_pending());
        let mut second = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut second).is_pending());
        let _client = client(address, 1);
        assert_eq!(name_of(run(&driver, first).unwrap().0), 1);
        // The first one's place is free again.
        let mut third = acceptor.accept(&driver, &fd);
        let (bell, waker) = Bell::new();
        assert!(poll_with(&mut third, &waker).is_pending());
        let _client = client(address, 2);
        turn_until(&driver, || driver.in_flight() == 1);
        drop(second);
        assert!(bell.rings() > 0, "it was not told");
        match poll_with(&mut third, &waker) {
            Poll::Ready(accepted) => assert_eq!(name_of(accepted.unwrap().0), 2),
            Poll::Pending => panic!("it was told of nothing"),
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
