//! Connections that were accepted for somebody who had gone away.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    task::Poll,
};

use compio_driver::{Acceptor, Driver, OwnedFd, SharedFd};

use crate::support::{Bell, drain, each_backend, poll_once, poll_with, run, share, turn_until};

fn listener() -> (SharedFd, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (share(listener), address)
}

/// Connects, and says who it is.
fn client(address: std::net::SocketAddr, name: u8) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[name]).unwrap();
    client
}

/// Whose connection it is.
fn name_of(fd: OwnedFd) -> u8 {
    let mut name = [0];
    TcpStream::from(fd).read_exact(&mut name).unwrap();
    name[0]
}

fn next(driver: &Driver, acceptor: &Acceptor, fd: &SharedFd) -> u8 {
    name_of(run(driver, acceptor.accept(driver, fd)).unwrap().0)
}

#[test]
fn what_came_for_a_dropped_future_is_the_next_ones() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut forgotten = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut forgotten).is_pending());
        let _client = client(address, 7);
        // It has its connection, which it is not asked for.
        turn_until(&driver, || driver.in_flight() == 0);
        drop(forgotten);
        assert_eq!(next(&driver, &acceptor, &fd), 7, "{:?}", driver.backend());
    }
}

#[test]
fn what_comes_after_the_drop_is_not_lost_either() {
    for driver in each_backend() {
        for round in 0..50 {
            let (fd, address) = listener();
            let acceptor = Acceptor::new();
            let mut forgotten = acceptor.accept(&driver, &fd);
            assert!(poll_once(&driver, &mut forgotten).is_pending());
            driver.turn(Some(std::time::Duration::ZERO)).unwrap();
            // Both happen before the kernel is looked at again.
            let _client = client(address, round);
            drop(forgotten);
            drain(&driver);
            assert_eq!(next(&driver, &acceptor, &fd), round);
        }
    }
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

#[test]
fn what_nobody_wants_is_closed_with_the_acceptor() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut forgotten = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut forgotten).is_pending());
        let mut client = TcpStream::connect(address).unwrap();
        turn_until(&driver, || driver.in_flight() == 0);
        drop(forgotten);
        drop(acceptor);
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }
}
