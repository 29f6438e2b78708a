//! An operation in the steady state makes no heap allocation.

use std::{
    io::Write,
    net::UdpSocket,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use compio_driver::{
    AsRawFd, Driver, DriverBuilder, Owned, OwnedFd, Poller, SharedFd, SockAddr, ThreadPool,
    op::{
        Blocking, Nop, PollOnce, ReadAt, Readiness, Recv, RecvFrom, RecvMsg, Send, SendMsg, SendTo,
        Stat, WriteAt, WriteVectoredAt,
    },
    request::NativePath,
};
use compio_testkit::{
    allocator::{Counting, OfThread},
    socket::tcp,
};

#[global_allocator]
static ALLOCATOR: Counting<OfThread> = Counting(OfThread);

/// Runs `once` until all caches have been allocated, and then counts the allocations of more runs.
#[track_caller]
fn check(mut once: impl FnMut()) {
    for _ in 0..100 {
        once();
    }
    let before = OfThread::allocations();
    for _ in 0..1000 {
        once();
    }
    assert_eq!(
        OfThread::allocations() - before,
        0,
        "allocations in 1000 rounds"
    );
}

fn run<O: Owned>(driver: &Driver, operation: O) -> O::Output {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut submit = pin!(driver.submit(operation));
    loop {
        if let Poll::Ready(output) = submit.as_mut().poll(&mut context) {
            return output;
        }
        driver.turn(None).unwrap();
    }
}

/// A driver whose thread pool has one thread: a larger pool may start a thread at any time.
fn driver_with_a_thread() -> Driver {
    DriverBuilder::new()
        .pool(ThreadPool::new(1))
        .build()
        .unwrap()
}

fn sockets() -> (SharedFd, SharedFd) {
    let (one, other) = tcp();
    (share(one), share(other))
}

fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

/// Runs an operation with the values that the previous one returned.
fn reuse<T>(slot: &mut Option<T>, once: impl FnOnce(T) -> T) {
    *slot = Some(once(slot.take().unwrap()));
}

#[test]
fn the_counter_counts() {
    let before = OfThread::allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(OfThread::allocations() - before, 1);
}

#[test]
fn dropped_driver_frees_its_memory() {
    let once = || run(&driver_with_a_thread(), Nop::new()).unwrap();
    once();
    let before = OfThread::live_bytes();
    once();
    assert_eq!(OfThread::live_bytes() - before, 0);
}

#[test]
fn doing_nothing() {
    let driver = Driver::new().unwrap();
    check(|| assert_eq!(run(&driver, Nop::new()).unwrap(), 0));
}

#[test]
fn reading_and_writing_a_file() {
    let driver = driver_with_a_thread();
    let fd = share(tempfile::tempfile().unwrap());
    let mut buffer = Some(vec![7_u8; 64]);
    check(|| {
        reuse(&mut buffer, |buffer| {
            let (len, buffer) = run(&driver, WriteAt::new(fd.clone(), 0, buffer));
            assert_eq!(len.unwrap(), 64);
            let (len, buffer) = run(&driver, ReadAt::new(fd.clone(), 0, buffer));
            assert_eq!(len.unwrap(), 64);
            buffer
        });
    });
}

#[test]
fn writing_a_few_buffers_at_once() {
    let driver = driver_with_a_thread();
    let fd = share(tempfile::tempfile().unwrap());
    check(|| {
        let write = WriteVectoredAt::new(fd.clone(), 0, ["a", "b", "c", "d"]);
        // Not every system writes more than the first buffer.
        assert!(run(&driver, write).0.unwrap() > 0);
    });
}

#[test]
fn sending_and_receiving() {
    let driver = Driver::new().unwrap();
    let (one, other) = sockets();
    let mut buffer = Some(vec![7_u8; 64]);
    check(|| {
        reuse(&mut buffer, |buffer| {
            let (len, buffer) = run(&driver, Send::new(one.clone(), buffer, 0));
            assert_eq!(len.unwrap(), 64);
            let (len, buffer) = run(&driver, Recv::new(other.clone(), buffer, 0));
            assert_eq!(len.unwrap(), 64);
            buffer
        });
    });
}

#[test]
fn sending_and_receiving_datagrams_with_addresses() {
    let driver = Driver::new().unwrap();
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let address = SockAddr::from(other.local_addr().unwrap());
    let (one, other) = (share(one), share(other));
    let mut buffer = Some(vec![7_u8; 64]);
    check(|| {
        reuse(&mut buffer, |buffer| {
            let send = SendTo::new(one.clone(), buffer, address.clone(), 0);
            let (_, buffer) = run(&driver, send);
            let (received, buffer) = run(&driver, RecvFrom::new(other.clone(), buffer, 0));
            assert_eq!(received.unwrap().0, 64);
            let address = Some(address.clone());
            let send = SendMsg::new(one.clone(), [buffer], [], address, 0);
            let (_, (buffers, _)) = run(&driver, send);
            let recv = RecvMsg::new(other.clone(), buffers, [0; 0], 0);
            let (received, ([buffer], _)) = run(&driver, recv);
            assert_eq!(received.unwrap().len, 64);
            buffer
        });
    });
}

#[test]
fn dropped_polls() {
    let driver = Driver::new().unwrap();
    let (reader, _writer) = sockets();
    let waker = driver.waker();
    check(|| {
        let mut poll = driver.submit(PollOnce::new(reader.clone(), Readiness::READABLE));
        let poll_pinned = std::pin::Pin::new(&mut poll);
        assert!(
            poll_pinned
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(poll);
        while driver.in_flight() > 0 {
            driver.turn(None).unwrap();
        }
    });
}

#[test]
fn blocking_work() {
    // One thread: starting another one allocates.
    let builder = DriverBuilder::new().pool(ThreadPool::new(1));
    let driver = builder.build().unwrap();
    check(|| assert_eq!(run(&driver, Blocking::new(|| 7)).unwrap().unwrap(), 7));
}

#[test]
fn pushed_reads() {
    let driver = Driver::new().unwrap();
    let (near, mut far) = tcp();
    driver.attach(near.as_raw_fd()).unwrap();
    let mut entries = Vec::with_capacity(8);
    let mut buffers = Some([(); 8].map(|()| vec![0; 1]));
    check(|| {
        far.write_all(b"contents").unwrap();
        reuse(&mut buffers, |buffers| {
            let mut ops = buffers.map(|buffer| Recv::new(near.as_raw_fd(), buffer, 0));
            for (number, op) in ops.iter_mut().enumerate() {
                // SAFETY: the operations stay here until all entries have come.
                unsafe { driver.push(op, number) }.unwrap();
            }
            entries.clear();
            while entries.len() < ops.len() {
                driver
                    .poll(Some(Duration::from_secs(20)), &mut entries)
                    .unwrap();
            }
            // SAFETY: each read has received one byte.
            ops.map(|op| unsafe { compio_io::buf::IntoInner::into_inner(op).assume_len(1) })
        });
    });
}

/// The path is the caller's one allocation; the operation adds none.
#[test]
fn attributes_by_name() {
    let driver = driver_with_a_thread();
    check(|| {
        let path = OfThread::uncounted(|| NativePath::new("/").unwrap());
        run(&driver, Stat::new(path, true)).unwrap();
    });
}
