//! Sockets of std, on every system.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    pin::pin,
    rc::Rc,
    thread,
    time::Duration,
};

use compio::{
    op::Readiness,
    runtime::{AsyncFd, Runtime},
    task::{spawn, yield_now},
    time::timeout,
};

use crate::support::{begin, run};

/// Two connected sockets. The first one is non-blocking.
fn pair() -> (AsyncFd<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (one, _) = listener.accept().unwrap();
    one.set_nonblocking(true).unwrap();
    (AsyncFd::new(one).unwrap(), other)
}

/// Writes until there is no room, and returns the number of bytes.
fn fill(fd: &AsyncFd<TcpStream>) -> usize {
    let mut total = 0;
    loop {
        match fd.get_ref().write(&[7; 1 << 16]) {
            Ok(len) => total += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn ready_at_once() {
    run(async {
        let (fd, mut other) = pair();
        fd.writable().await.unwrap();
        other.write_all(b"x").unwrap();
        fd.readable().await.unwrap();
        // Still readable, since nothing was read.
        fd.readable().await.unwrap();
        let both = Readiness::READABLE | Readiness::WRITABLE;
        let ready = fd.ready(both).await.unwrap();
        assert!(ready.contains(both));
    });
}

#[test]
fn readable_when_something_comes() {
    run(async {
        let (fd, mut other) = pair();
        let mut readable = pin!(fd.readable());
        begin(readable.as_mut()).await;
        other.write_all(b"hello").unwrap();
        readable.await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(fd.get_ref().read(&mut buffer).unwrap(), 5);
        begin(pin!(fd.readable())).await;
    });
}

#[test]
fn writable_when_there_is_room() {
    run(async {
        let (fd, mut other) = pair();
        let len = fill(&fd);
        let mut writable = pin!(fd.writable());
        begin(writable.as_mut()).await;
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; len];
            other.read_exact(&mut buffer).unwrap();
            other
        });
        writable.await.unwrap();
        fd.write_with(|mut stream| stream.write(b"more"))
            .await
            .unwrap();
        drop(reader.join().unwrap());
    });
}

#[test]
fn s24_several_wait_for_each_direction() {
    run(async {
        let (fd, mut other) = pair();
        let len = fill(&fd);
        let fd = Rc::new(fd);
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let fd = Rc::clone(&fd);
                spawn(async move {
                    if number % 2 == 0 {
                        fd.readable().await.unwrap();
                    } else {
                        fd.writable().await.unwrap();
                    }
                    number
                })
            })
            .collect();
        yield_now().await;
        assert!(tasks.iter().all(|task| !task.is_finished()));
        let peer = thread::spawn(move || {
            other.write_all(b"x").unwrap();
            other.read_exact(&mut vec![0; len]).unwrap();
            other
        });
        for task in tasks {
            task.await.unwrap();
        }
        drop(peer.join().unwrap());
    });
}

#[test]
fn tasks_woken_too_late_wait_again() {
    run(async {
        let (fd, mut other) = pair();
        let fd = Rc::new(fd);
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let fd = Rc::clone(&fd);
                spawn(async move {
                    let mut byte = [0];
                    fd.read_with(|mut stream| stream.read(&mut byte))
                        .await
                        .unwrap();
                    byte[0]
                })
            })
            .collect();
        yield_now().await;
        let mut sent: Vec<u8> = (1..=10).collect();
        for byte in &sent {
            other.write_all(&[*byte]).unwrap();
            yield_now().await;
        }
        let mut received = Vec::new();
        for reader in readers {
            received.push(reader.await.unwrap());
        }
        received.sort_unstable();
        sent.sort_unstable();
        assert_eq!(received, sent);
    });
}

#[test]
fn cancelled_wait_is_repeated() {
    run(async {
        let (fd, mut other) = pair();
        for _ in 0..200 {
            assert!(timeout(Duration::ZERO, fd.readable()).await.is_err());
        }
        let mut kept = pin!(fd.readable());
        begin(kept.as_mut()).await;
        begin(pin!(fd.readable())).await;
        other.write_all(b"x").unwrap();
        kept.await.unwrap();
        fd.readable().await.unwrap();
    });
}

#[test]
fn eof_makes_readable() {
    run(async {
        let (fd, other) = pair();
        let mut readable = pin!(fd.readable());
        begin(readable.as_mut()).await;
        other.shutdown(Shutdown::Write).unwrap();
        readable.await.unwrap();
        assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn errors_of_the_code_end_the_loop() {
    run(async {
        let (fd, _other) = pair();
        let mut calls = 0;
        let error = fd
            .write_with(|_| {
                calls += 1;
                Err::<(), _>(match calls {
                    3 => io::Error::other("on purpose"),
                    _ => ErrorKind::WouldBlock.into(),
                })
            })
            .await
            .unwrap_err();
        assert_eq!((calls, error.to_string()), (3, "on purpose".into()));
    });
}

#[test]
fn into_inner_returns_the_descriptor() {
    run(async {
        let (fd, mut other) = pair();
        fd.writable().await.unwrap();
        let mut stream = fd.into_inner().unwrap();
        other.write_all(b"x").unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.read_exact(&mut [0]).unwrap();

        let fd = AsyncFd::new(stream).unwrap();
        begin(pin!(fd.readable())).await;
        // Unless the system has cancelled the wait at once.
        let mut fd = fd.into_inner();
        while let Err(waits) = fd {
            yield_now().await;
            fd = waits.into_inner();
        }
    });
}

#[test]
fn the_runtime_ends_before() {
    let (fd, mut other) = pair();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async { begin(pin!(fd.readable())).await });
    drop(runtime);
    other.write_all(b"x").unwrap();
    run(async { fd.readable().await.unwrap() });
}
