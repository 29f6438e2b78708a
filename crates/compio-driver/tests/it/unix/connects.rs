//! Connects that wait for a listener with a full backlog, which Windows refuses, and connects that
//! are repeated with the same socket, which Windows may refuse.

use std::time::Duration;

use compio_driver::op::Connect;

use crate::{
    blocking_mode::socket,
    support::{
        begin, check_code, code, deserted, drain, each_backend, poll_once, readiness, run,
        unblocked,
    },
};

/// The second connect is attempted although another one waits for the same direction.
#[test]
fn a_connect_beside_others_connects() {
    unblocked(|| {
        for driver in each_backend() {
            // The backlog is full, so the next connect waits.
            let listener =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap();
            let others: Vec<_> = (0..4).map(|_| socket(socket2::Domain::IPV4)).collect();
            let mut slow = Vec::new();
            for other in &others {
                let mut connect = driver.submit(Connect::new(other.clone(), address.clone()));
                if poll_once(&driver, &mut connect).is_ready() {
                    continue;
                }
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                if poll_once(&driver, &mut connect).is_pending() {
                    slow.push((other.clone(), connect));
                }
            }
            let (fd, connect) = slow.pop().expect("one of them has to wait");
            let again = driver.submit(Connect::new(fd, address.clone()));
            check_code(run(&driver, again), libc::EALREADY);
            drop((connect, slow));
            drain(&driver);
        }
    });
}

#[test]
fn a_unix_listener_without_room_is_waited_for() {
    unblocked(|| {
        let driver = readiness();
        let folder = tempfile::tempdir().unwrap();
        let address = socket2::SockAddr::unix(folder.path().join("socket")).unwrap();
        let listener =
            socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let connect =
            || driver.submit(Connect::new(socket(socket2::Domain::UNIX), address.clone()));
        run(&driver, connect()).unwrap();

        let mut given_up = connect();
        begin(&driver, &mut given_up);
        let mut waits = connect();
        begin(&driver, &mut waits);
        driver.turn(Some(Duration::from_millis(5))).unwrap();
        begin(&driver, &mut waits);
        given_up.cancel();
        assert_eq!(
            run(&driver, given_up).unwrap_err().raw_os_error(),
            Some(code::CANCELLED)
        );
        drop(listener.accept().unwrap());
        run(&driver, waits).unwrap();
    });
}

#[test]
fn a_socket_that_was_refused_may_try_again() {
    for driver in each_backend() {
        let address = socket2::SockAddr::from(deserted());
        let fd = socket(socket2::Domain::IPV4);
        for _ in 0..2 {
            let connect = Connect::new(fd.clone(), address.clone());
            check_code(run(&driver, driver.submit(connect)), code::REFUSED);
        }
    }
}
