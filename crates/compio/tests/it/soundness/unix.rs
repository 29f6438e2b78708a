//! Scenarios 1, 8 and 9 on unix alone: sockets with a path, the other end of a FIFO, a listener with a
//! full queue.

use std::{path::PathBuf, time::Duration};

use compio::{
    driver::BackendKind,
    fs::File,
    io::AsyncReadExt,
    net::{TcpStream, UnixListener},
    runtime::Runtime,
    time::sleep,
};

use crate::support::{Canary, Deaths, First, begin, run, select};

fn make_fifo(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("fifo");
    let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a string that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    path
}

/// The two ends of a FIFO.
fn fifo(dir: &tempfile::TempDir) -> (File, std::fs::File) {
    let path = make_fifo(dir);
    // An open for both directions does not wait.
    let both = std::fs::File::options().read(true).write(true).open(&path);
    let reader = File::open(&path).unwrap();
    let writer = std::fs::File::options().write(true).open(&path).unwrap();
    drop(both);
    (reader, writer)
}

#[test]
fn s08_dropping_the_opening_of_a_fifo_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = make_fifo(&dir);
    run(async {
        // The open waits for a reader.
        let mut open = Box::pin(File::create_async(&path));
        begin(&mut open).await;
        sleep(Duration::from_millis(1)).await;
        drop(open);
        // The open may still be blocked here. This second open unblocks it.
        drop(std::fs::File::options().read(true).write(true).open(&path));
    });
}

#[test]
fn s09_a_runtime_is_dropped_with_reads_of_a_fifo_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, mut writer) = fifo(&dir);
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    for _ in 0..10 {
        let (reader, buffer) = (reader.clone(), Canary::new(&deaths));
        drop(runtime.spawn(async move { reader.read_at(buffer, 0).await }));
    }
    drop(reader);
    runtime.block_on(sleep(Duration::from_millis(1)));
    assert_eq!(deaths.count(), 0);
    drop(runtime);
    assert_eq!(deaths.count(), 10);
    let error = std::io::Write::write(&mut writer, b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn s01_accepts_of_a_unix_listener_in_a_select_lose_no_connection() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let clients: Vec<_> = (0..60_u8)
            .map(|name| {
                let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
                std::io::Write::write_all(&mut client, &[name]).unwrap();
                client
            })
            .collect();
        let mut names = Vec::new();
        let mut patience = 0;
        while names.len() < clients.len() {
            patience = (patience + 1) % 4;
            let timer = sleep(Duration::from_micros(20 * patience));
            if let First::Left(accepted) = select(listener.accept(), timer).await {
                let (mut server, _) = accepted.unwrap();
                names.extend(server.read_exact([0]).await.1);
            }
        }
        names.sort_unstable();
        assert!(names.into_iter().eq(0..60));
    });
}

#[test]
fn s09_a_runtime_is_dropped_with_the_opening_of_a_fifo_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let path = make_fifo(&dir);
    let runtime = Runtime::new().unwrap();
    // A pool thread that waits for a reader cannot be cancelled; io_uring can cancel the open.
    if runtime.backend().kind() != BackendKind::IoUring
        || std::env::var_os("COMPIO_URING_WITHOUT").is_some()
    {
        return;
    }
    let open = runtime.spawn(File::create_async(path));
    runtime.block_on(sleep(Duration::from_millis(5)));
    assert!(!open.is_finished());
    drop(runtime);
    assert!(open.is_finished());
}

#[test]
fn s09_a_runtime_is_dropped_with_a_connect_in_flight() {
    // The queue has room for one connection, which no task accepts: the next one waits.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&loopback.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();

    let runtime = Runtime::new().unwrap();
    let connect = runtime.spawn(TcpStream::connect(address));
    runtime.block_on(sleep(Duration::from_millis(2)));
    assert!(!connect.is_finished());
    drop(runtime);
    assert!(connect.is_finished());
}

/// Counts the ticks of a timer on the same runtime while the operation waits for a while.
#[cfg(all(target_os = "linux", not(compio_portable)))]
async fn ticks_beside<F: Future>(operation: F) -> usize {
    use std::{cell::Cell, rc::Rc};
    let ticks = Rc::new(Cell::new(0));
    let counts = Rc::clone(&ticks);
    let timer = compio::task::spawn(async move {
        loop {
            sleep(Duration::from_millis(5)).await;
            counts.set(counts.get() + 1);
        }
    });
    let waited = compio::time::timeout(Duration::from_millis(200), operation).await;
    assert!(waited.is_err(), "it should wait");
    timer.abort();
    ticks.get()
}

#[cfg(all(target_os = "linux", not(compio_portable)))]
#[test]
fn s37_pipe_of_timed_out_splice_is_dropped_without_blocking() {
    use compio::pipe::{PipeReader, PipeWriter, pipe, splice};
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..2 {
            let idle = TcpStream::connect(address).await.unwrap();
            let _peer = listener.accept().unwrap();
            let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
            let cursor = compio::op::Position::Cursor;
            let ticks = ticks_beside(splice(&idle, cursor, &writer, cursor, 100)).await;
            assert!(ticks > 0);
            drop((reader, writer));
        }
    });
}

#[cfg(all(target_os = "linux", not(compio_portable)))]
#[test]
fn s38_timer_ticks_while_write_to_terminal_waits() {
    use std::os::fd::{FromRawFd, OwnedFd};

    use compio::io::AsyncWriteAtExt;

    let (mut outside, mut inside) = (0, 0);
    let (name, modes, size) = (
        std::ptr::null_mut(),
        std::ptr::null::<libc::termios>(),
        std::ptr::null::<libc::winsize>(),
    );
    // SAFETY: both integers outlive the call; the other pointers are null. The descriptors are new.
    let (_outside, inside) = unsafe {
        let opened = libc::openpty(&raw mut outside, &raw mut inside, name, modes, size);
        assert_eq!(opened, 0);
        (OwnedFd::from_raw_fd(outside), OwnedFd::from_raw_fd(inside))
    };
    run(async {
        let file = File::from(std::fs::File::from(inside));
        let bytes = vec![b'x'; 1 << 20];
        let writes = file.write_all_at(bytes, 0);
        let ticks = ticks_beside(writes).await;
        assert!(ticks > 0);
    });
}
