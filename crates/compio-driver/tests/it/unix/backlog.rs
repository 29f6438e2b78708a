//! Connects to a Unix listener whose backlog is full. They wait on an io-wq worker, and a cancel
//! does not find them before they have reached it.

use std::{thread, time::Duration};

use compio_driver::{Driver, SockAddr, Submit, op::Connect};
use socket2::{Domain, Socket, Type};

use crate::support::{begin, drain, each_backend, run, share};

/// A listener with a full backlog, and the sockets that fill it.
fn full() -> (tempfile::TempDir, Vec<Socket>, SockAddr) {
    let dir = tempfile::tempdir().unwrap();
    let address = SockAddr::unix(dir.path().join("socket")).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let mut sockets = vec![listener];
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.connect(&address).is_err() {
            return (dir, sockets, address);
        }
        sockets.push(socket);
    }
}

fn connect(driver: &Driver, address: &SockAddr) -> Submit<Connect> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let mut connect = driver.submit(Connect::new(share(socket), address.clone()));
    begin(driver, &mut connect);
    connect
}

#[test]
fn connects_cancelled_during_submission_end() {
    for driver in each_backend() {
        let (_dir, _sockets, address) = full();
        for pause in [0, 1, 5, 20] {
            let (one, other) = (connect(&driver, &address), connect(&driver, &address));
            driver.turn(Some(Duration::ZERO)).unwrap();
            // Not to win a race: the cancel finds the connects in another state each time, and must
            // work in all.
            thread::sleep(Duration::from_millis(pause));
            one.cancel();
            run(&driver, one).unwrap_err();
            drop(other);
            drain(&driver);
        }
    }
}
