//! Descriptors of Linux alone: eventfd counters and inotify.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read, Write},
    net,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    pin::pin,
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use compio::{
    runtime::AsyncFd,
    task::{spawn, yield_now},
    time::sleep,
};

use compio_testkit::LONG;

use crate::support::{begin, run};

fn own(fd: i32) -> File {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the descriptor is new, and owned by this function alone.
    File::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn eventfd(value: u32) -> AsyncFd<File> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::eventfd(value, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    AsyncFd::new(own(fd)).unwrap()
}

fn take(mut event: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    event.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn add(mut event: &File, number: u64) -> io::Result<()> {
    event.write_all(&number.to_ne_bytes())
}

#[test]
fn a_counter() {
    run(async {
        let event = eventfd(0);
        event.writable().await.unwrap();
        let mut taken = pin!(event.read_with(take));
        begin(taken.as_mut()).await;
        add(event.get_ref(), 3).unwrap();
        assert_eq!(taken.await.unwrap(), 3);
        begin(pin!(event.readable())).await;
    });
}

#[test]
fn a_counter_that_is_full() {
    run(async {
        let event = eventfd(0);
        add(event.get_ref(), u64::MAX - 1).unwrap();
        let mut added = pin!(event.write_with(|event| add(event, 1)));
        begin(added.as_mut()).await;
        take(event.get_ref()).unwrap();
        added.await.unwrap();
    });
}

#[test]
fn several_tasks_read_a_counter_while_another_thread_adds() {
    run(async {
        const TOTAL: u64 = 10_000;
        let event = Rc::new(eventfd(0));
        let adder = event.get_ref().try_clone().unwrap();
        let thread = thread::spawn(move || {
            for _ in 0..TOTAL {
                add(&adder, 1).unwrap();
            }
        });
        let total = Rc::new(std::cell::Cell::new(0));
        let takers: Vec<_> = (0..5)
            .map(|_| {
                let (event, total) = (Rc::clone(&event), Rc::clone(&total));
                spawn(async move {
                    while total.get() < TOTAL {
                        let taken = event.read_with(take).await.unwrap();
                        total.set(total.get() + taken);
                    }
                    // For the other tasks.
                    add(event.get_ref(), 1).unwrap();
                })
            })
            .collect();
        for taker in takers {
            taker.await.unwrap();
        }
        assert!(total.get() >= TOTAL);
        thread.join().unwrap();
    });
}

fn inotify(watched: &Path) -> AsyncFd<File> {
    let path = CString::new(watched.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a C string.
    let fd = unsafe {
        let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
        assert!(libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_CREATE) >= 0);
        fd
    };
    AsyncFd::new(own(fd)).unwrap()
}

#[test]
fn inotify_events_of_a_directory() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let news = inotify(dir.path());
        for round in 0..20 {
            let mut read = pin!(news.read_with(|mut news| {
                let mut buffer = [0; 4096];
                let len = news.read(&mut buffer)?;
                Ok(buffer[..len].to_vec())
            }));
            begin(read.as_mut()).await;
            yield_now().await;
            let name = format!("file{round}");
            fs::write(dir.path().join(&name), "").unwrap();
            let event = read.await.unwrap();
            assert!(
                event
                    .windows(name.len())
                    .any(|part| part == name.as_bytes())
            );
        }
    });
}

/// A time stamp of a sent segment waits in the error queue of the socket. As long as nothing takes it, poll(2)
/// reports an error, however full the send buffer is.
#[test]
fn write_that_waits_beside_an_error_queue_lets_other_tasks_run() {
    use std::os::fd::AsRawFd;
    let (done, is_done) = mpsc::channel();
    // A task that does not yield would hold up any timeout of its thread.
    thread::spawn(move || {
        run(async {
            let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut theirs, _) = listener.accept().unwrap();
            socket2::SockRef::from(&ours)
                .set_send_buffer_size(4096)
                .unwrap();
            socket2::SockRef::from(&theirs)
                .set_recv_buffer_size(4096)
                .unwrap();
            let stamps = libc::SOF_TIMESTAMPING_TX_SOFTWARE
                | libc::SOF_TIMESTAMPING_SOFTWARE
                | libc::SOF_TIMESTAMPING_OPT_TSONLY;
            // SAFETY: the option is a number, and the call only reads it.
            let set = unsafe {
                libc::setsockopt(
                    ours.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_TIMESTAMPING,
                    (&raw const stamps).cast(),
                    size_of_val(&stamps) as libc::socklen_t,
                )
            };
            assert_eq!(set, 0);
            ours.set_nonblocking(true).unwrap();
            ours.write_all(b"stamped").unwrap();
            let mut sent = 7;
            // The peer's part of the bytes arrives later.
            for _ in 0..100 {
                while let Ok(len) = ours.write(&[b'x'; 64 * 1024]) {
                    sent += len;
                }
                sleep(Duration::from_millis(1)).await;
            }
            let ours = AsyncFd::new(ours).unwrap();
            let writes = spawn(async move {
                ours.write_with(|mut ours| ours.write(b"end"))
                    .await
                    .unwrap()
            });
            sleep(Duration::from_millis(1)).await;
            let drain = thread::spawn(move || theirs.read_to_end(&mut Vec::new()).unwrap());
            sent += writes.await.unwrap();
            done.send((sent, drain.join().unwrap())).unwrap();
        });
    });
    let (sent, got) = is_done
        .recv_timeout(LONG)
        .expect("the write does not yield");
    assert_eq!(got, sent);
}
