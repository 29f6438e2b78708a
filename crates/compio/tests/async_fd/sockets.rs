//! Sockets of std, on every system.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
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

#[test]
fn polls_wait_for_readiness_and_check_it_again() {
    run(async {
        let (fd, mut other) = pair();
        poll_fn(|cx| fd.poll_write_ready(cx)).await.unwrap();
        poll_fn(|cx| {
            assert!(fd.poll_read_ready(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        other.write_all(b"x").unwrap();
        poll_fn(|cx| fd.poll_read_ready(cx)).await.unwrap();
        // Still readable, since nothing was read.
        poll_fn(|cx| fd.poll_read_ready(cx)).await.unwrap();
        let mut byte = [0];
        let read = poll_fn(|cx| fd.poll_read_with(cx, |mut socket| socket.read(&mut byte)));
        assert_eq!(read.await.unwrap(), 1);
        poll_fn(|cx| {
            assert!(fd.poll_read_ready(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    });
}

#[test]
fn poll_wakes_its_last_task_when_bytes_arrive() {
    run(async {
        let (fd, mut other) = pair();
        let fd = Rc::new(fd);
        let reader = spawn({
            let fd = Rc::clone(&fd);
            async move {
                let mut bytes = [0; 16];
                let read =
                    poll_fn(|cx| fd.poll_read_with(cx, |mut socket| socket.read(&mut bytes)));
                (read.await.unwrap(), bytes)
            }
        });
        yield_now().await;
        // Polled by this task as well, which then takes no more interest.
        poll_fn(|cx| {
            assert!(fd.poll_write_ready(cx).is_ready() || cfg!(windows));
            Poll::Ready(())
        })
        .await;
        other.write_all(b"hello").unwrap();
        let (len, bytes) = reader.await.unwrap();
        assert_eq!(&bytes[..len], b"hello");
    });
}

#[test]
fn into_inner_cancels_the_polled_waits() {
    run(async {
        let (mut fd, _other) = pair();
        poll_fn(|cx| {
            assert!(fd.poll_read_ready(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        loop {
            match fd.into_inner() {
                Ok(_) => break,
                Err(again) => fd = again,
            }
            yield_now().await;
        }
    });
}

/// The waker's clone polls the same descriptor.
#[test]
fn poll_inside_a_waker_is_no_conflict() {
    use std::{cell::RefCell, mem::ManuallyDrop};

    thread_local! {
        static FD: RefCell<Option<Rc<AsyncFd<TcpStream>>>> = const { RefCell::new(None) };
    }

    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            let fd = FD.with_borrow(Clone::clone);
            if let Some(fd) = fd {
                let _ = fd.poll_read_ready(&mut Context::from_waker(Waker::noop()));
            }
            RawWaker::new(data, &VTABLE)
        },
        |_| {},
        |_| {},
        |_| {},
    );

    run(async {
        let (fd, mut other) = pair();
        let fd = Rc::new(fd);
        FD.set(Some(Rc::clone(&fd)));
        // SAFETY: the functions use no data.
        let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
        let waker = ManuallyDrop::new(waker);
        assert!(
            fd.poll_read_ready(&mut Context::from_waker(&waker))
                .is_pending()
        );
        FD.set(None);
        other.write_all(b"x").unwrap();
        poll_fn(|cx| fd.poll_read_ready(cx)).await.unwrap();
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn traits_of_futures_io_move_all_bytes_through_a_small_window() {
    use futures_util::{AsyncReadExt, AsyncWriteExt};

    run(async {
        let (mut fd, other) = pair();
        let echo = thread::spawn(move || {
            let mut other = other;
            let mut bytes = vec![0; 3_000_000];
            other.read_exact(&mut bytes).unwrap();
            other.write_all(&bytes).unwrap();
            other.shutdown(Shutdown::Write).unwrap();
        });
        let sent: Vec<u8> = (0..3_000_000).map(|index| (index % 251) as u8).collect();
        fd.write_all(&sent).await.unwrap();
        fd.flush().await.unwrap();
        let mut received = Vec::new();
        // Through a reference, too.
        (&fd).read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        fd.close().await.unwrap();
        echo.join().unwrap();
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn copy_of_futures_io_reads_and_writes_one_descriptor() {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt, copy};

    run(async {
        let (fd, mut other) = pair();
        let sender = thread::spawn(move || {
            other.write_all(&[5; 100_000]).unwrap();
            other.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            other.read_to_end(&mut back).unwrap();
            back
        });
        let (reader, mut writer) = (&fd, &fd);
        assert_eq!(copy(reader, &mut writer).await.unwrap(), 100_000);
        writer.close().await.unwrap();
        fd.get_ref().shutdown(Shutdown::Write).unwrap();
        assert!(sender.join().unwrap() == [5; 100_000]);
        // EOF again.
        assert_eq!((&fd).read(&mut [0; 8]).await.unwrap(), 0);
    });
}
