//! Operations, sockets and drivers that are dropped outside of a turn: in a thread local's
//! destructor, and during unwinding (scenario 16).

use std::{
    cell::{Cell, RefCell},
    io::{ErrorKind, Read},
    net::{TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    thread,
};

use compio_driver::{
    AcceptStream, Acceptor, BufferPool, Driver, RecvStream, SharedFd, Submit,
    op::{PollOnce, ReadAt, Readiness, Recv, WriteAt},
};

use crate::support::{
    Canary, LONG, begin, drain, driver, each_backend, pipe, poll_once, run, share, tcp,
    waiting_read,
};

#[test]
fn s16_an_operation_is_dropped_during_unwinding() {
    let driver = driver();
    let (reader, writer) = pipe();
    let deaths = Rc::default();
    let mut kept = driver.submit(ReadAt::at_cursor(reader, Vec::with_capacity(8)));
    begin(&driver, &mut kept);
    catch_unwind(AssertUnwindSafe(|| {
        let (other, _end) = pipe();
        let _dropped_while_unwinding = waiting_read(&driver, &other, &deaths);
        panic!("elsewhere");
    }))
    .unwrap_err();
    let write = driver.submit(WriteAt::at_cursor(writer, "new"));
    run(&driver, write).0.unwrap();
    assert_eq!(run(&driver, kept).1, b"new");
    drain(&driver);
    assert_eq!(deaths.get(), 1);
}

#[test]
fn s16_a_driver_is_dropped_during_unwinding() {
    let deaths = Rc::<Cell<usize>>::default();
    let counted = Rc::clone(&deaths);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let (reader, _writer) = pipe();
        let driver = driver();
        let _reads = [(); 3].map(|()| waiting_read(&driver, &reader, &counted));
        panic!("elsewhere");
    }))
    .unwrap_err();
    assert_eq!(deaths.get(), 3);
}

#[test]
fn s16_an_operation_is_dropped_in_a_thread_locals_destructor() {
    thread_local! {
        static LATE: RefCell<Option<(Submit<ReadAt<Canary>>, Driver)>> =
            const { RefCell::new(None) };
    }
    thread::spawn(|| {
        let driver = driver();
        let (reader, _writer) = pipe();
        let read = waiting_read(&driver, &reader, &Rc::default());
        LATE.set(Some((read, driver)));
    })
    .join()
    .unwrap();
}

#[test]
fn s16_a_driver_is_dropped_before_its_operations_in_a_thread_locals_destructor() {
    thread_local! {
        static LATE: RefCell<Option<(Driver, Submit<ReadAt<Canary>>)>> =
            const { RefCell::new(None) };
    }
    thread::spawn(|| {
        let driver = driver();
        let (reader, _writer) = pipe();
        let read = waiting_read(&driver, &reader, &Rc::default());
        LATE.set(Some((driver, read)));
    })
    .join()
    .unwrap();
}

/// One of each type that a driver makes, pending, with its peer.
struct Everything {
    _recv: Submit<Recv<Canary>>,
    _poll: Submit<PollOnce>,
    _connections: AcceptStream,
    _bytes: RecvStream,
    _pool: BufferPool,
    _send: Box<dyn Future<Output = ()>>,
    _sockets: [SharedFd; 2],
}

fn everything(driver: &Driver, deaths: &Rc<Cell<usize>>) -> (Everything, [TcpStream; 3]) {
    let [
        (recv, recv_peer),
        (poll, poll_peer),
        (bytes, bytes_peer),
        (send, send_peer),
    ] = [(); 4].map(|()| {
        let (peer, socket) = tcp();
        (share(socket), peer)
    });
    let listener = share(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut connections = driver.accept_stream(listener.clone());
    let mut begin_multi = |context: &mut std::task::Context<'_>| {
        assert!(connections.poll_next(context).is_pending());
        std::task::Poll::Ready(())
    };
    run(driver, std::future::poll_fn(&mut begin_multi));
    let pool = BufferPool::new(driver, 4, 64).unwrap();
    let mut stream = driver.recv_stream(bytes, &pool, 0);
    run(
        driver,
        std::future::poll_fn(|cx| {
            assert!(stream.poll_next(cx).is_pending());
            std::task::Poll::Ready(())
        }),
    );
    let socket = recv.clone();
    let mut recv = driver.submit(Recv::new(recv, Canary::new(deaths), 0));
    begin(driver, &mut recv);
    let mut poll = driver.submit(PollOnce::new(poll, Readiness::READABLE));
    begin(driver, &mut poll);
    let zero_copy = driver.send_zero_copy(send, vec![7; 10_000_000], 0);
    let mut send = Box::pin(async move {
        let (sent, loan) = zero_copy.await;
        sent.unwrap();
        drop(loan.await);
    });
    let _ = poll_once(driver, &mut send);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    // While the peer may read the data, the kernel may hold it in our buffer only.
    drop(send_peer);
    let everything = Everything {
        _recv: recv,
        _poll: poll,
        _connections: connections,
        _bytes: stream,
        _pool: pool,
        _send: Box::new(send),
        _sockets: [socket, listener],
    };
    (everything, [recv_peer, poll_peer, bytes_peer])
}

/// All sockets on our side are closed: every peer reads EOF.
#[track_caller]
fn check_closed(peers: impl IntoIterator<Item = TcpStream>) {
    for mut peer in peers {
        peer.set_read_timeout(Some(LONG)).unwrap();
        let read = peer.read_to_end(&mut Vec::new());
        let kind = read.as_ref().map_err(std::io::Error::kind);
        assert!(
            matches!(kind, Ok(_) | Err(ErrorKind::ConnectionReset)),
            "{read:?}"
        );
    }
}

#[test]
fn s16_everything_is_dropped_in_a_thread_locals_destructor_on_either_side_of_its_driver() {
    thread_local! {
        static LEFT: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
        static RIGHT: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
    }
    for driver_first in [false, true] {
        let peers = thread::spawn(move || {
            let mut all_peers = Vec::new();
            for driver in each_backend() {
                let (everything, peers) = everything(&driver, &Rc::default());
                all_peers.extend(peers);
                // The destructors run in the order of first use, or in reverse.
                let (left, right): (Box<dyn std::any::Any>, Box<dyn std::any::Any>) =
                    if driver_first {
                        (Box::new(driver), Box::new(everything))
                    } else {
                        (Box::new(everything), Box::new(driver))
                    };
                LEFT.with_borrow_mut(|all| all.push(left));
                RIGHT.with_borrow_mut(|all| all.push(right));
            }
            all_peers
        })
        .join()
        .unwrap();
        check_closed(peers);
    }
}

#[test]
fn s16_everything_is_dropped_during_unwinding_and_the_driver_goes_on() {
    for driver in each_backend() {
        let deaths = Rc::<Cell<usize>>::default();
        let mut all_peers = Vec::new();
        catch_unwind(AssertUnwindSafe(|| {
            let (_everything, peers) = everything(&driver, &deaths);
            all_peers.extend(peers);
            panic!("elsewhere");
        }))
        .unwrap_err();
        drain(&driver);
        assert_eq!(deaths.get(), 1);
        check_closed(all_peers);
    }
}

/// Outside of any turn, after the driver is dropped.
#[test]
fn s16_everything_outlives_its_driver() {
    for driver in each_backend() {
        let deaths = Rc::<Cell<usize>>::default();
        let (everything, peers) = everything(&driver, &deaths);
        drop(driver);
        assert_eq!(deaths.get(), 0, "its future is still there");
        drop(everything);
        assert_eq!(deaths.get(), 1);
        check_closed(peers);
    }
}

/// Connections that an acceptor keeps are dropped with it, in any place.
#[test]
fn s16_an_acceptor_is_dropped_in_a_thread_locals_destructor() {
    thread_local! {
        static LATE: RefCell<Vec<(Driver, Acceptor)>> = const { RefCell::new(Vec::new()) };
    }
    let clients = thread::spawn(|| {
        let mut clients = Vec::new();
        for driver in each_backend() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (fd, acceptor) = (share(listener), Acceptor::new());
            let mut accept = acceptor.accept(&driver, &fd);
            begin(&driver, &mut accept);
            clients.push(TcpStream::connect(address).unwrap());
            drain(&driver);
            drop(accept);
            LATE.with_borrow_mut(|all| all.push((driver, acceptor)));
        }
        clients
    })
    .join()
    .unwrap();
    check_closed(clients);
}
