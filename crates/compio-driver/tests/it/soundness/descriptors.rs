//! 1 to 3: connections that were accepted, and files that were opened, for a dropped future.

use std::{
    io::{ErrorKind, Read},
    net::{TcpListener, TcpStream},
    task::Poll,
    time::Duration,
};

use compio_driver::{Acceptor, OwnedFd, op::Accept};

use crate::{
    accepting::{client, listener, name_of, next},
    support::{LONG, begin, drain, each_backend, is_inherited, poll_once, run, share, turn_until},
};

#[test]
fn s01_an_accept_dropped_before_a_connection_came_leaves_it_to_the_next_one() {
    for driver in each_backend() {
        for is_submitted in [false, true] {
            let (fd, address) = listener();
            let mut accept = driver.submit(Accept::new(fd.clone()));
            begin(&driver, &mut accept);
            if is_submitted {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            drop(accept);
            drain(&driver);
            let _client = client(address, 5);
            let (accepted, _) = run(&driver, driver.submit(Accept::new(fd))).unwrap();
            assert_eq!(name_of(accepted), 5);
        }
    }
}

#[test]
fn s01_the_connection_of_a_dropped_accept_goes_to_the_next_one() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut forgotten = acceptor.accept(&driver, &fd);
        assert!(poll_once(&driver, &mut forgotten).is_pending());
        let _client = client(address, 7);
        // The accept has completed, and is not polled.
        turn_until(&driver, || driver.in_flight() == 0);
        drop(forgotten);
        assert_eq!(next(&driver, &acceptor, &fd), 7, "{:?}", driver.backend());
    }
}

#[test]
fn s01_a_connection_between_the_drop_and_the_final_completion_is_not_lost() {
    for driver in each_backend() {
        for round in 0..50 {
            let (fd, address) = listener();
            let acceptor = Acceptor::new();
            let mut forgotten = acceptor.accept(&driver, &fd);
            assert!(poll_once(&driver, &mut forgotten).is_pending());
            driver.turn(Some(Duration::ZERO)).unwrap();
            // The drop and the connection come before the next turn, in either order.
            let _client;
            if round % 2 == 0 {
                _client = client(address, round);
                drop(forgotten);
            } else {
                drop(forgotten);
                _client = client(address, round);
            }
            drain(&driver);
            assert_eq!(next(&driver, &acceptor, &fd), round);
        }
    }
}

#[test]
fn s01_kept_connections_are_closed_with_the_acceptor() {
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

/// The listener is closed, too, with the connections in its backlog.
#[track_caller]
fn check_closed(clients: &mut [TcpStream]) {
    for client in clients {
        client.set_read_timeout(Some(LONG)).unwrap();
        let read = client.read(&mut [0; 1]);
        let kind = read.as_ref().map_err(|error| error.kind());
        let is_closed = matches!(kind, Ok(0) | Err(ErrorKind::ConnectionReset));
        assert!(is_closed, "{read:?}");
    }
}

#[test]
fn s02_a_dropped_accept_stream_closes_queued_connections() {
    for driver in each_backend() {
        // Accepted and reported; accepted by the kernel without a later turn; both.
        for turned in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let mut stream = driver.accept_stream(share(listener));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(stream.poll_next(&mut context).is_pending());
            driver.turn(Some(Duration::ZERO)).unwrap();
            let mut clients: Vec<_> = (0..4)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            if turned {
                driver.turn(Some(Duration::ZERO)).unwrap();
                clients.extend((0..4).map(|_| TcpStream::connect(address).unwrap()));
            }
            drop(stream);
            drain(&driver);
            check_closed(&mut clients);
        }
    }
}

#[test]
fn s02_a_dropped_accept_stream_closes_the_rest_of_its_connections() {
    for driver in each_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = driver.accept_stream(share(listener));
        let mut clients: Vec<_> = (0..4)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let first = std::future::poll_fn(|cx| stream.poll_next(cx));
        drop(run(&driver, first).unwrap());
        drop(stream);
        drain(&driver);
        check_closed(&mut clients);
    }
}

#[test]
fn s03_accepted_connections_are_not_inherited() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let mut clients = Vec::new();
        let mut connect = || clients.push(client(address, 0));

        connect();
        let (plain, _) = run(&driver, driver.submit(Accept::new(fd.clone()))).unwrap();
        connect();
        let (kept, _) = run(&driver, Acceptor::new().accept(&driver, &fd)).unwrap();
        let mut stream = driver.accept_stream(fd);
        connect();
        connect();
        let mut next = || -> OwnedFd {
            let next = std::future::poll_fn(|cx| stream.poll_next(cx));
            run(&driver, next).unwrap()
        };
        let streamed = [next(), next()];
        for accepted in [plain, kept].into_iter().chain(streamed) {
            assert!(!is_inherited(&accepted), "{:?}", driver.backend());
        }
    }
}

/// The same with a future that its own task drops.
#[test]
fn s01_an_accept_and_something_else_in_a_select_lose_no_connection() {
    for driver in each_backend() {
        let (fd, address) = listener();
        let acceptor = Acceptor::new();
        let mut names = Vec::new();
        let mut clients = Vec::new();
        for name in 0..40 {
            let mut accept = acceptor.accept(&driver, &fd);
            let mut first = poll_once(&driver, &mut accept);
            if name % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            clients.push(client(address, name));
            if name % 3 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            if first.is_pending() && name % 5 == 0 {
                first = poll_once(&driver, &mut accept);
            }
            if let Poll::Ready(accepted) = first {
                names.push(name_of(accepted.unwrap().0));
            }
        }
        while names.len() < clients.len() {
            names.push(next(&driver, &acceptor, &fd));
        }
        names.sort_unstable();
        assert!(names.into_iter().eq(0..40), "{:?}", driver.backend());
    }
}
