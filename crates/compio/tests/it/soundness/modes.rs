//! File status flags: `from_std`, `into_std` and the operations between them leave `O_NONBLOCK` as
//! other users of the open file description have set it (row 39).

use std::{
    io::{self, Read, Write},
    net,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net as unix_net,
    },
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{
        SocketAncillary, TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener,
        UnixStream,
    },
    pipe::{PipeReader, PipeWriter},
    runtime::{BufferPool, Runtime, backend},
    task::spawn,
    time::timeout,
};

#[cfg(all(target_os = "linux", not(compio_portable)))]
use crate::support::bounded;
use crate::support::{begin, pattern, run, tcp_pair};

fn is_nonblocking(fd: &impl AsRawFd) -> bool {
    // SAFETY: no pointers are passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

fn set_nonblocking(fd: &impl AsRawFd, nonblocking: bool) {
    let mode = if nonblocking { libc::O_NONBLOCK } else { 0 };
    // SAFETY: no pointers are passed.
    let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, mode) };
    assert_eq!(set, 0);
}

/// Whether accept(2) of this backend sets the flag of its listener.
fn accept_sets_nonblocking() -> bool {
    backend().to_string().starts_with("poll")
}

/// Adopts a duplicate in either mode, and checks that the mode stays.
fn check_adoption<S, C>(foreign: S, adopt: impl Fn(OwnedFd) -> C)
where
    S: AsFd,
    OwnedFd: From<S>,
{
    let foreign = OwnedFd::from(foreign);
    for mode in [true, false] {
        set_nonblocking(&foreign, mode);
        let ours = adopt(foreign.try_clone().unwrap());
        assert_eq!(is_nonblocking(&foreign), mode);
        drop(ours);
        assert_eq!(is_nonblocking(&foreign), mode);
    }
}

#[test]
fn s39_adoption_of_shared_description_keeps_its_mode() {
    run(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        check_adoption(stream, |fd| TcpStream::try_from(fd).unwrap());
        check_adoption(listener, |fd| TcpListener::try_from(fd).unwrap());
        let udp = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        check_adoption(udp, |fd| UdpSocket::try_from(fd).unwrap());
        let (one, other) = unix_net::UnixStream::pair().unwrap();
        check_adoption(one, |fd| UnixStream::try_from(fd).unwrap());
        check_adoption(other, |fd| TcpSocket::try_from(fd).unwrap());
        let (one, _) = unix_net::UnixDatagram::pair().unwrap();
        check_adoption(one, |fd| UnixDatagram::try_from(fd).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let listener = unix_net::UnixListener::bind(folder.path().join("socket")).unwrap();
        check_adoption(listener, |fd| UnixListener::try_from(fd).unwrap());
        let (reader, writer) = io::pipe().unwrap();
        check_adoption(reader, |fd| PipeReader::from_std(fd.into()));
        check_adoption(writer, |fd| PipeWriter::from_std(fd.into()));
    });
}

/// The loop's O_NONBLOCK protects the accept from a wait inside of accept4(2).
#[test]
fn s39_adoption_of_listener_under_accept_of_another_runtime_keeps_its_mode() {
    run(async {
        let shared = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let first = TcpListener::from_std(shared.try_clone().unwrap()).unwrap();
        let mut accept = Box::pin(first.accept());
        begin(&mut accept).await;
        let mode = is_nonblocking(&shared);
        assert_eq!(mode, accept_sets_nonblocking());
        let second = TcpListener::from_std(shared.try_clone().unwrap()).unwrap();
        assert_eq!(is_nonblocking(&shared), mode);
        drop((accept, second));
    });
}

/// Two threads accept from one description, and only one of them gets each connection.
#[test]
fn s39_runtimes_that_share_listener_wait_outside_of_accept() {
    const ROUNDS: usize = 200;
    let shared = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = shared.local_addr().unwrap();
    let start = Arc::new(Barrier::new(3));
    let server = |shared: net::TcpListener, start: Arc<Barrier>| {
        thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let mut accepted = 0;
            for _ in 0..ROUNDS {
                start.wait();
                let listener = runtime
                    .enter(|| TcpListener::from_std(shared.try_clone().unwrap()))
                    .unwrap();
                runtime.block_on(async {
                    // A thread that blocks in accept4(2) never runs its timer.
                    let patience = Duration::from_millis(3);
                    while let Ok(connection) = timeout(patience, listener.accept()).await {
                        drop(connection.unwrap());
                        accepted += 1;
                    }
                });
                start.wait();
            }
            accepted
        })
    };
    let servers = [(); 2].map(|()| server(shared.try_clone().unwrap(), Arc::clone(&start)));
    for _ in 0..ROUNDS {
        start.wait();
        let client = net::TcpStream::connect(address).unwrap();
        start.wait();
        drop(client);
    }
    let accepted: usize = servers.map(|server| server.join().unwrap()).iter().sum();
    assert!(accepted <= ROUNDS);
}

/// All reads and writes of a stream whose description another event loop has made non-blocking.
async fn check_nonblocking_stream<S>(mut ours: S, mut theirs: impl Read + Write + Send + 'static)
where
    S: AsyncRead + AsyncWrite + AsRawFd + 'static,
{
    assert!(is_nonblocking(&ours));
    let there = thread::spawn(move || {
        let mut bytes = vec![0; 3_000_000];
        theirs.read_exact(&mut bytes).unwrap();
        assert!(bytes == pattern(3_000_000));
        theirs.write_all(b"answer").unwrap();
        // The next bytes arrive for a read that waits.
        theirs.read_exact(&mut [0; 1]).unwrap();
        theirs.write_all(b"again").unwrap();
        theirs
    });
    let bytes = pattern(3_000_000);
    let (head, tail) = bytes.split_at(1_000_000);
    ours.write_all(head.to_vec()).await.0.unwrap();
    let vectored = [tail[..500_000].to_vec(), tail[500_000..].to_vec()];
    ours.write_vectored_all(vectored).await.0.unwrap();
    let (read, buffer) = ours.read_exact([0; 6]).await;
    read.unwrap();
    assert_eq!(&buffer, b"answer");
    ours.write_all("x").await.0.unwrap();
    let (read, buffers) = ours.read_vectored([[0; 2], [0; 2]]).await;
    assert_eq!((read.unwrap(), buffers), (4, [*b"ag", *b"ai"]));
    assert_eq!(ours.read(vec![0; 8]).await.1, b"n");
    assert!(is_nonblocking(&ours));
    drop(there.join().unwrap());
    assert_eq!(ours.read(vec![0; 8]).await.0.unwrap(), 0);
    assert!(is_nonblocking(&ours));
}

#[test]
fn s39_nonblocking_streams_wait_and_stay_nonblocking() {
    run(async {
        let (ours, theirs) = unix_net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        check_nonblocking_stream(UnixStream::from_std(ours).unwrap(), theirs).await;
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        check_nonblocking_stream(TcpStream::from_std(ours).unwrap(), theirs).await;
    });
}

#[test]
fn s39_nonblocking_listeners_wait_and_stay_nonblocking() {
    run(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let mut accept = Box::pin(listener.accept());
        begin(&mut accept).await;
        let client = TcpStream::connect(address).await.unwrap();
        let (server, peer) = accept.await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(!is_nonblocking(&server) && is_nonblocking(&listener));
        let mut incoming = listener.incoming();
        let mut next = Box::pin(incoming.next());
        begin(&mut next).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let server = next.await.unwrap().unwrap();
        assert!(!is_nonblocking(&server) && is_nonblocking(&listener));
    });
}

#[test]
fn s39_nonblocking_datagram_sockets_wait_and_stay_nonblocking() {
    run(async {
        let (ours, theirs) = unix_net::UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = UnixDatagram::from_std(ours).unwrap();
        let mut receive = Box::pin(ours.recv(vec![0; 8]));
        begin(&mut receive).await;
        theirs.send(b"one").unwrap();
        assert_eq!(receive.await.1, b"one");
        let mut receive = Box::pin(ours.recv_msg([vec![0; 8]], SocketAncillary::new()));
        begin(&mut receive).await;
        theirs.send(b"two").unwrap();
        assert_eq!(receive.await.1.0[0], b"two");
        // The receiver's queue is full after some, and the next send waits for it.
        let ours = std::rc::Rc::new(ours);
        let sender = std::rc::Rc::clone(&ours);
        let sends = spawn(async move {
            for _ in 0..1000 {
                sender.send("x").await.0.unwrap();
            }
        });
        compio::task::yield_now().await;
        let there = thread::spawn(move || {
            for _ in 0..1000 {
                assert_eq!(theirs.recv(&mut [0; 8]).unwrap(), 1);
            }
        });
        sends.await.unwrap();
        there.join().unwrap();
        assert!(is_nonblocking(&*ours));
    });
}

#[test]
fn s39_nonblocking_stream_is_received_into_pooled_buffers() {
    run(async {
        let (ours, mut theirs) = unix_net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = UnixStream::from_std(ours).unwrap();
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = ours.recv_stream(&pool);
        let mut next = Box::pin(stream.next());
        begin(&mut next).await;
        theirs.write_all(b"hello").unwrap();
        assert_eq!(&*next.await.unwrap().unwrap(), b"hello");
        assert!(is_nonblocking(&ours));
    });
}

#[test]
fn s39_connect_leaves_mode_of_socket() {
    run(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for mode in [true, false] {
            let socket = TcpSocket::new_v4().unwrap();
            set_nonblocking(&socket, mode);
            let stream = socket.connect(address).await.unwrap();
            assert_eq!(is_nonblocking(&stream), mode);
        }
        drop(listener);
    });
}

/// The modes that the documentation of each `into_std` states.
#[test]
fn s39_std_gets_documented_mode_of_each_type() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.write_all("hello").await.0.unwrap();
        assert_eq!(server.read(vec![0; 8]).await.1, b"hello");
        assert!(!is_nonblocking(&client.into_std().unwrap()));
        assert!(!is_nonblocking(&server.into_std().unwrap()));

        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all("hello").await.0.unwrap();
        assert_eq!(other.read(vec![0; 8]).await.1, b"hello");
        assert!(!is_nonblocking(&one.into_std().unwrap()));
        assert!(!is_nonblocking(&other.into_std().unwrap()));

        let (one, other) = UnixDatagram::pair().unwrap();
        one.send("hello").await.0.unwrap();
        assert_eq!(other.recv(vec![0; 8]).await.1, b"hello");
        assert!(!is_nonblocking(&one.into_std().unwrap()));
        assert!(!is_nonblocking(&other.into_std().unwrap()));

        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        udp.send_to("hello", address).await.0.unwrap();
        assert_eq!(udp.recv(vec![0; 8]).await.1, b"hello");
        assert!(!is_nonblocking(&udp.into_std().unwrap()));

        let (mut reader, mut writer) = compio::pipe::pipe().unwrap();
        writer.write_all("hello").await.0.unwrap();
        assert_eq!(reader.read(vec![0; 8]).await.1, b"hello");
        assert!(!is_nonblocking(&reader.into_std().unwrap()));
        assert!(!is_nonblocking(&writer.into_std().unwrap()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_nonblocking(&listener));
        let _client = TcpStream::connect(address).await.unwrap();
        listener.accept().await.unwrap();
        let std = listener.into_std().unwrap();
        assert_eq!(is_nonblocking(&std), accept_sets_nonblocking());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!is_nonblocking(&listener));
        let _client = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
        let std = listener.into_std().unwrap();
        assert_eq!(is_nonblocking(&std), accept_sets_nonblocking());
    });
}

#[cfg(all(target_os = "linux", not(compio_portable)))]
#[test]
fn s39_splice_leaves_mode_of_sockets_and_pipes() {
    use compio::{
        op::Position::Cursor,
        pipe::{pipe, splice},
    };

    run(async {
        for mode in [false, true] {
            let (source, mut far) = unix_net::UnixStream::pair().unwrap();
            let (sink, mut end) = unix_net::UnixStream::pair().unwrap();
            let (reader, writer) = pipe().unwrap();
            for fd in [source.as_raw_fd(), sink.as_raw_fd()] {
                set_nonblocking(&fd, mode);
            }
            let source = UnixStream::from_std(source).unwrap();
            let sink = UnixStream::from_std(sink).unwrap();
            // The first splice waits for bytes.
            let mut first = Box::pin(splice(&source, Cursor, &writer, Cursor, 100));
            begin(&mut first).await;
            far.write_all(b"hello").unwrap();
            assert_eq!(bounded(first).await.unwrap(), 5);
            let moved = splice(&reader, Cursor, &sink, Cursor, 100);
            assert_eq!(bounded(moved).await.unwrap(), 5);
            let mut bytes = [0; 5];
            end.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
            assert_eq!(is_nonblocking(&source), mode);
            assert_eq!(is_nonblocking(&sink), mode);
            assert!(!is_nonblocking(&reader) && !is_nonblocking(&writer));
        }
    });
}
