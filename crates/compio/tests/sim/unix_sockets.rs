//! Unix sockets of a host. Most bodies also run on the real system.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind},
    mem::MaybeUninit,
    net::Shutdown,
    os::linux::net::SocketAddrExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use compio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{
        PollStream, SocketAncillary, TcpListener, TcpStream, UnixDatagram, UnixListener,
        UnixSocket, UnixStream,
    },
    pipe::pipe,
    runtime::BufferPool,
    sim::{self, DiskFaults, Simulation, Unsynced},
    task, time,
};
use compio_testkit::{
    buffer::pattern,
    check::{check_code, check_kind},
    random::Dice,
};

use super::{
    Log,
    both::{check_waits, run_both, settle, unless_waits},
    run_one, run_pair,
};

/// A connected pair by a path.
async fn connect(path: &PathBuf) -> io::Result<(UnixStream, UnixStream)> {
    let listener = UnixListener::bind(path)?;
    let client = UnixStream::connect(path).await?;
    let (server, _) = listener.accept().await?;
    Ok((client, server))
}

/// Reads to the end, and returns the bytes before an error with it.
async fn read_all(mut stream: &UnixStream) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    loop {
        match stream.read(Vec::with_capacity(1000)).await {
            (Ok(0), _) => return (all, Ok(())),
            (Ok(_), bytes) => all.extend(bytes),
            (Err(error), _) => return (all, Err(error)),
        }
    }
}

#[test]
fn path_is_bound_connected_to_renamed_and_removed() {
    run_both(|dir| async move {
        let (path, moved) = (dir.join("socket"), dir.join("moved"));
        let missing = UnixStream::connect(&path).await;
        check_kind(missing, ErrorKind::NotFound);
        let listener = UnixListener::bind(&path)?;
        check_kind(UnixListener::bind(&path), ErrorKind::AddrInUse);
        check_kind(UnixDatagram::bind(&path), ErrorKind::AddrInUse);
        let metadata = fs::metadata(&path).await?;
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.len(), 0);
        check_code(fs::read(&path).await, libc::ENXIO);

        let mut client = UnixStream::connect(&path).await?;
        let (mut server, address) = listener.accept().await?;
        assert!(address.is_unnamed());
        assert!(client.local_addr()?.is_unnamed());
        assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
        assert_eq!(server.local_addr()?.as_pathname(), Some(&*path));
        client.write_all("hello").await.0?;
        assert_eq!(&server.read_exact([0; 5]).await.1, b"hello");

        fs::rename(&path, &moved).await?;
        UnixStream::connect(&moved).await?;
        check_kind(UnixStream::connect(&path).await, ErrorKind::NotFound);
        drop(listener);
        check_kind(
            UnixStream::connect(&moved).await,
            ErrorKind::ConnectionRefused,
        );
        check_kind(UnixListener::bind(&moved), ErrorKind::AddrInUse);
        fs::remove_file(&moved).await?;
        UnixListener::bind(&moved)?;
        // The connection has no need of the listener.
        server.write_all("bye").await.0?;
        assert_eq!(&client.read_exact([0; 3]).await.1, b"bye");
        Ok(())
    });
}

#[test]
fn wrong_targets_are_refused() {
    run_both(|dir| async move {
        let file = dir.join("file");
        fs::write(&file, "").await.0?;
        check_kind(
            UnixStream::connect(&file).await,
            ErrorKind::ConnectionRefused,
        );
        check_kind(UnixListener::bind(dir.join("a/b")), ErrorKind::NotFound);
        check_kind(UnixListener::bind(file.join("b")), ErrorKind::NotADirectory);
        let datagram = dir.join("datagram");
        let _socket = UnixDatagram::bind(&datagram)?;
        check_code(UnixStream::connect(&datagram).await, libc::EPROTOTYPE);
        let stream = dir.join("stream");
        let bound = UnixSocket::new_stream()?;
        bound.bind(&stream)?;
        check_kind(bound.bind(dir.join("other")), ErrorKind::InvalidInput);
        // It does not listen yet.
        check_kind(
            UnixStream::connect(&stream).await,
            ErrorKind::ConnectionRefused,
        );
        let unbound = UnixSocket::new_stream()?;
        check_kind(unbound.listen(1), ErrorKind::InvalidInput);
        let link = dir.join("link");
        fs::symlink("stream", &link).await?;
        let listener = bound.listen(1)?;
        UnixStream::connect(&link).await?;
        drop(listener);
        Ok(())
    });
}

#[test]
fn abstract_names_end_with_their_sockets() {
    run_both(|_| async move {
        let name = format!("\0compio {}", std::process::id());
        let listener = UnixListener::bind(&name)?;
        let address = listener.local_addr()?;
        check_kind(UnixListener::bind_addr(&address), ErrorKind::AddrInUse);
        // Datagrams have names of their own.
        let datagram = UnixDatagram::bind(&name)?;
        let client = UnixStream::connect_addr(&address).await?;
        assert_eq!(
            client.peer_addr()?.as_abstract_name(),
            Some(&name.as_bytes()[1..])
        );
        drop((listener, datagram));
        check_kind(
            UnixStream::connect(&name).await,
            ErrorKind::ConnectionRefused,
        );
        UnixListener::bind(&name)?;
        let chosen = UnixDatagram::bind("")?.local_addr()?;
        assert_eq!(chosen.as_abstract_name().map(<[u8]>::len), Some(5));
        Ok(())
    });
}

#[test]
fn bytes_arrive_in_order_with_backpressure() {
    run_both(|dir| async move {
        let (client, server) = connect(&dir.join("socket")).await?;
        let sent = pattern(2_000_000);
        let expected = sent.clone();
        let writes = task::spawn(async move {
            let mut client = client;
            client.write_all(sent).await.0?;
            client.shutdown().await
        });
        settle().await;
        assert!(!writes.is_finished(), "the buffers are smaller");
        let (received, end) = read_all(&server).await;
        end?;
        assert!(received == expected);
        writes.await.unwrap()
    });
}

#[test]
fn each_direction_ends_by_itself() {
    run_both(|_| async move {
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all("last").await.0?;
        one.shutdown().await?;
        check_kind(one.write("x").await.0, ErrorKind::BrokenPipe);
        let (received, end) = read_all(&other).await;
        end?;
        assert_eq!(received, b"last");
        other.write_all("answer").await.0?;
        assert_eq!(&one.read_exact([0; 6]).await.1, b"answer");
        check_waits(one.read([0; 1])).await;
        drop(other);
        assert_eq!(one.read([0; 1]).await.0?, 0);
        Ok(())
    });
}

#[test]
fn waiting_read_ends_with_a_close_of_the_peer() {
    run_both(|_| async move {
        let (mut one, other) = UnixStream::pair()?;
        let reads = task::spawn(async move { one.read([0; 1]).await.0 });
        settle().await;
        drop(other);
        assert_eq!(reads.await.unwrap()?, 0);
        Ok(())
    });
}

#[test]
fn close_keeps_the_bytes_that_were_sent() {
    run_both(|_| async move {
        let (mut one, other) = UnixStream::pair()?;
        one.write_all("sent").await.0?;
        drop(one);
        let mut writer = &other;
        check_kind(writer.write("x").await.0, ErrorKind::BrokenPipe);
        assert!(other.take_error()?.is_none());
        let (received, end) = read_all(&other).await;
        end?;
        assert_eq!(received, b"sent");
        assert!(other.peer_addr()?.is_unnamed());
        Ok(())
    });
}

#[test]
fn close_with_unread_bytes_is_a_reset() {
    run_both(|_| async move {
        let (mut one, other) = UnixStream::pair()?;
        let mut writer = &other;
        writer.write_all("unread").await.0?;
        one.write_all("sent").await.0?;
        drop(one);
        check_kind(writer.write("x").await.0, ErrorKind::BrokenPipe);
        let (received, end) = read_all(&other).await;
        check_kind(end, ErrorKind::ConnectionReset);
        assert_eq!(received, b"sent");
        // Once.
        let (received, end) = read_all(&other).await;
        end?;
        assert!(received.is_empty());
        Ok(())
    });
}

#[test]
fn listener_that_ends_resets_its_connections() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let listener = UnixListener::bind(&path)?;
        let client = UnixStream::connect(&path).await?;
        drop(listener);
        check_kind(read_all(&client).await.1, ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn connection_of_a_client_that_has_ended_is_accepted() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let listener = UnixListener::bind(&path)?;
        let mut client = UnixStream::connect(&path).await?;
        client.write_all("gone").await.0?;
        drop(client);
        let (server, _) = listener.accept().await?;
        let (received, end) = read_all(&server).await;
        end?;
        assert_eq!(received, b"gone");
        Ok(())
    });
}

#[test]
fn connect_waits_for_a_place_in_the_queue() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path)?;
        let listener = socket.listen(1)?;
        let _queued = [
            UnixStream::connect(&path).await?,
            UnixStream::connect(&path).await?,
        ];
        let waits = task::spawn({
            let path = path.clone();
            async move { UnixStream::connect(&path).await }
        });
        settle().await;
        assert!(!waits.is_finished());
        listener.accept().await?;
        let mut client = waits.await.unwrap()?;
        for _ in 0..2 {
            let (mut server, _) = listener.accept().await?;
            server.write_all("hello").await.0?;
        }
        assert_eq!(&client.read_exact([0; 5]).await.1, b"hello");
        Ok(())
    });
}

#[test]
fn connect_that_waits_is_refused_when_the_listener_ends() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path)?;
        let listener = socket.listen(0)?;
        let _queued = UnixStream::connect(&path).await?;
        let waits = task::spawn(async move { UnixStream::connect(&path).await });
        settle().await;
        drop(listener);
        check_kind(waits.await.unwrap(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn streams_have_all_ways_of_transfer() {
    run_both(|_| async move {
        let (mut one, mut other) = UnixStream::pair()?;
        assert_eq!(one.write_vectored(["he", "llo"]).await.0?, 5);
        assert_eq!(other.peek(Vec::with_capacity(100)).await.1, b"hello");
        let (read, (first, second)) = other.read_vectored(([0; 2], [0; 9])).await;
        assert_eq!((read?, &first, &second[..3]), (5, b"he", &b"llo"[..]));
        let (sent, loan) = one.send_zero_copy("copied").await;
        assert_eq!(sent?, 6);
        loan.await;
        let clone = other.try_clone()?;
        drop(other);
        let pool = BufferPool::new(2, 4)?;
        let mut stream = clone.recv_stream(&pool);
        drop(one);
        let mut received = Vec::new();
        while let Some(buffer) = stream.next().await {
            received.extend_from_slice(&buffer?);
        }
        assert_eq!(received, b"copied");
        Ok(())
    });
}

#[test]
fn polled_stream_waits_for_bytes_and_for_room() {
    run_both(|_| async move {
        let (one, mut other) = UnixStream::pair()?;
        let mut polled = PollStream::new(one)?;
        let mut room = [MaybeUninit::uninit(); 10];
        let reads = poll_fn(|cx| polled.poll_read(cx, &mut room));
        assert!(unless_waits(reads).await.is_none());
        other.write_all("hello").await.0?;
        assert_eq!(poll_fn(|cx| polled.poll_read(cx, &mut room)).await?, 5);
        let mut sent = 0;
        while let Some(len) = unless_waits(poll_fn(|cx| polled.poll_write(cx, &[7; 9000]))).await {
            sent += len?;
        }
        let reads = task::spawn(async move { other.read_exact(vec![0; sent + 1]).await.0 });
        assert!(poll_fn(|cx| polled.poll_write(cx, &[7; 9000])).await? > 0);
        reads.await.unwrap()
    });
}

#[test]
fn incoming_connections_are_served_concurrently() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let listener = UnixListener::bind(&path)?;
        let server = task::spawn(async move {
            let mut incoming = listener.incoming();
            while let Some(stream) = incoming.next().await {
                let mut stream = stream?;
                task::spawn(async move {
                    let (read, bytes) = stream.read_to_end(Vec::new()).await;
                    read?;
                    stream.write_all(bytes).await.0
                })
                .detach();
            }
            io::Result::Ok(())
        });
        let clients = (0..20).map(|number| {
            let path = path.clone();
            task::spawn(async move {
                let mut client = UnixStream::connect(&path).await?;
                client.write_all(pattern(number * 10_000)).await.0?;
                client.shutdown().await?;
                let (read, bytes) = client.read_to_end(Vec::new()).await;
                read?;
                assert!(bytes == pattern(number * 10_000));
                io::Result::Ok(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap()?;
        }
        server.abort();
        Ok(())
    });
}

#[test]
fn datagrams_keep_their_bounds_and_name_their_sender() {
    run_both(|dir| async move {
        let (here, there) = (dir.join("one"), dir.join("other"));
        let one = UnixDatagram::bind(&here)?;
        let other = UnixDatagram::bind(&there)?;
        for text in ["first", "", "third"] {
            assert_eq!(one.send_to(text, &there).await.0?, text.len());
        }
        let (seen, bytes) = other.peek_from([0; 3]).await;
        assert_eq!((seen?.0, &bytes), (3, b"fir"));
        for text in ["first", "", "third"] {
            let (received, bytes) = other.recv_from(Vec::with_capacity(100)).await;
            let (len, from) = received?;
            assert_eq!((len, from.as_pathname()), (text.len(), Some(&*here)));
            assert_eq!(bytes, text.as_bytes());
        }
        let nameless = UnixDatagram::unbound()?;
        nameless.connect(&there)?;
        assert_eq!(nameless.peer_addr()?.as_pathname(), Some(&*there));
        nameless.send_vectored(["long ", "datagram"]).await.0?;
        nameless.send("next").await.0?;
        let room = SocketAncillary::new();
        let (received, _) = other.recv_msg([[0; 4]], room).await;
        let received = received?;
        assert!(received.truncated && received.address.is_unnamed());
        assert_eq!(other.recv(Vec::with_capacity(100)).await.1, b"next");
        Ok(())
    });
}

#[test]
fn datagram_waits_while_the_queue_is_full() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let receiver = UnixDatagram::bind(&path)?;
        let other = UnixDatagram::bind(dir.join("other"))?;
        let sender = Rc::new(UnixDatagram::unbound()?);
        let mut sent = 0_u32;
        let (sends, target) = (Rc::clone(&sender), path.clone());
        let mut waiting = task::spawn(async move {
            for number in 0..100_u32 {
                sends.send_to(number.to_ne_bytes(), &target).await.0?;
            }
            io::Result::Ok(())
        });
        assert!(
            time::timeout(Duration::from_millis(5), &mut waiting)
                .await
                .is_err()
        );
        // Another receiver has room.
        sender.send_to("free", dir.join("other")).await.0?;
        other.recv([0; 4]).await.0?;
        while sent < 100 {
            let (received, bytes) = receiver.recv([0; 4]).await;
            assert_eq!((received?, u32::from_ne_bytes(bytes)), (4, sent));
            sent += 1;
        }
        waiting.await.unwrap()
    });
}

#[test]
fn datagrams_of_a_pair_wait_for_the_send_buffer() {
    run_both(|_| async move {
        let (one, other) = UnixDatagram::pair()?;
        let sends = task::spawn(async move {
            for number in 0..1000_u32 {
                one.send(number.to_ne_bytes()).await.0?;
            }
            io::Result::Ok(())
        });
        settle().await;
        assert!(!sends.is_finished());
        for number in 0..1000_u32 {
            let (received, bytes) = other.recv([0; 4]).await;
            assert_eq!((received?, u32::from_ne_bytes(bytes)), (4, number));
        }
        sends.await.unwrap()
    });
}

#[test]
fn datagram_to_its_sender_that_has_waited_is_received() {
    run_both(|dir| async move {
        let (own, other) = (dir.join("own"), dir.join("other"));
        let socket = Rc::new(UnixDatagram::bind(&own)?);
        let receiver = UnixDatagram::bind(&other)?;
        let into = Rc::clone(&socket);
        let receive = task::spawn(async move { into.recv([0; 9]).await });
        settle().await;
        // The send buffer is full.
        while let Some(sent) = unless_waits(socket.send_to(vec![0; 30_000], &other)).await {
            sent.0?;
        }
        let from = Rc::clone(&socket);
        let send = task::spawn(async move { from.send_to("to itself", &own).await.0 });
        settle().await;
        assert!(!send.is_finished());
        while let Some(received) = unless_waits(receiver.recv(vec![0; 30_000])).await {
            received.0?;
        }
        send.await??;
        let (received, bytes) = receive.await?;
        assert_eq!((received?, &bytes), (9, b"to itself"));
        Ok(())
    });
}

#[test]
fn datagram_that_waits_is_refused_when_the_receiver_ends() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let receiver = UnixDatagram::bind(&path)?;
        let sender = UnixDatagram::unbound()?;
        sender.connect(&path)?;
        let sends = task::spawn(async move {
            loop {
                let sent = sender.send("x").await.0;
                if sent.is_err() {
                    return (sender, sent);
                }
            }
        });
        settle().await;
        drop(receiver);
        let (sender, sent) = sends.await.unwrap();
        check_kind(sent, ErrorKind::ConnectionRefused);
        check_kind(sender.send("x").await.0, ErrorKind::NotConnected);
        check_kind(sender.peer_addr(), ErrorKind::NotConnected);
        Ok(())
    });
}

#[test]
fn datagram_socket_with_a_peer_takes_no_other_sender() {
    run_both(|dir| async move {
        let path = dir.join("socket");
        let (server, peer) = (UnixDatagram::bind(&path)?, dir.join("peer"));
        let friend = UnixDatagram::bind(&peer)?;
        server.connect(&peer)?;
        friend.send_to("hello", &path).await.0?;
        let other = UnixDatagram::unbound()?;
        check_kind(
            other.send_to("x", &path).await.0,
            ErrorKind::PermissionDenied,
        );
        check_kind(other.connect(&path), ErrorKind::PermissionDenied);
        assert_eq!(server.recv([0; 5]).await.0?, 5);
        Ok(())
    });
}

#[test]
fn end_of_a_datagram_peer_loses_its_datagrams_at_the_next_send() {
    run_both(|_| async move {
        let (one, other) = UnixDatagram::pair()?;
        one.send("lost").await.0?;
        drop(one);
        check_kind(other.send("x").await.0, ErrorKind::ConnectionRefused);
        check_waits(other.recv([0; 4])).await;
        check_kind(other.send("x").await.0, ErrorKind::NotConnected);
        Ok(())
    });
}

#[test]
fn datagram_that_is_too_long_is_refused() {
    run_both(|_| async move {
        let (one, other) = UnixDatagram::pair()?;
        let size = one.send_buffer_size()? as usize;
        check_code(one.send(vec![0; size]).await.0, libc::EMSGSIZE);
        one.send(pattern(100_000)).await.0?;
        let (received, bytes) = other.recv(Vec::with_capacity(200_000)).await;
        assert_eq!(received?, 100_000);
        assert!(bytes == pattern(100_000));
        Ok(())
    });
}

#[test]
fn direction_of_datagrams_that_is_shut_down_sends_nothing() {
    run_both(|_| async move {
        let (one, other) = UnixDatagram::pair()?;
        one.send("last").await.0?;
        other.shutdown(Shutdown::Read)?;
        check_kind(one.send("x").await.0, ErrorKind::BrokenPipe);
        assert_eq!(other.recv([0; 4]).await.0?, 4);
        assert_eq!(other.recv([0; 4]).await.0?, 0);
        one.shutdown(Shutdown::Write)?;
        check_kind(one.send("x").await.0, ErrorKind::BrokenPipe);
        other.send("back").await.0?;
        assert_eq!(one.recv([0; 4]).await.0?, 4);
        Ok(())
    });
}

/// A random program on two connected streams. Returns the results of its calls.
async fn stream_program(dice: &mut Dice) -> io::Result<Vec<String>> {
    let (one, other) = UnixStream::pair()?;
    let mut ends = [Some(one), Some(other)];
    let mut results = Vec::new();
    for _ in 0..20 {
        let side = dice.roll(2);
        let Some(end) = &ends[side] else { continue };
        let (mut writer, mut reader) = (end, end);
        let result = match dice.roll(12) {
            0..3 => format!(
                "write {:?}",
                kind(writer.write(vec![7; dice.roll(50)]).await.0)
            ),
            3..6 => {
                let read = reader.read(Vec::with_capacity(1 + dice.roll(60)));
                format!("read {:?}", unless_waits(read).await.map(kind_and_bytes))
            }
            6 => {
                let peek = end.peek(Vec::with_capacity(1 + dice.roll(60)));
                format!("peek {:?}", unless_waits(peek).await.map(kind_and_bytes))
            }
            7 => format!("shut down {:?}", kind(writer.shutdown().await)),
            8 => format!("error {:?}", end.take_error()?.map(|error| error.kind())),
            9 => format!("peer {:?}", kind(end.peer_addr())),
            _ if dice.roll(4) > 0 => continue,
            _ => {
                // Operations of dropped futures keep it open until they end.
                settle().await;
                ends[side] = None;
                "close".to_owned()
            }
        };
        results.push(format!("{side}: {result}"));
    }
    Ok(results)
}

/// A random program on three datagram sockets, of which two have names.
async fn datagram_program(dir: &Path, dice: &mut Dice) -> io::Result<Vec<String>> {
    let paths = [dir.join("a"), dir.join("b"), dir.join("none")];
    let mut sockets = [
        Some(UnixDatagram::bind(&paths[0])?),
        Some(UnixDatagram::bind(&paths[1])?),
        Some(UnixDatagram::unbound()?),
    ];
    let mut results = Vec::new();
    for _ in 0..30 {
        let (side, target) = (dice.roll(3), &paths[dice.roll(3)]);
        let Some(socket) = &sockets[side] else {
            continue;
        };
        let result = match dice.roll(14) {
            0..3 => {
                let sent = socket.send_to(vec![7; dice.roll(50)], target);
                let sent = unless_waits(sent).await;
                format!(
                    "send to {:?} {:?}",
                    target.file_name(),
                    sent.map(|(sent, _)| kind(sent))
                )
            }
            3..6 => {
                let sent = unless_waits(socket.send(vec![7; dice.roll(50)])).await;
                format!("send {:?}", sent.map(|(sent, _)| kind(sent)))
            }
            6..9 => {
                let received = socket.recv(Vec::with_capacity(1 + dice.roll(60)));
                let received = unless_waits(received).await;
                format!("receive {:?}", received.map(kind_and_bytes))
            }
            9 => format!("error {:?}", socket.take_error()?.map(|error| error.kind())),
            10 => {
                let peer = socket.peer_addr().map(|peer| {
                    let path = peer.as_pathname()?;
                    path.file_name().map(ToOwned::to_owned)
                });
                format!("peer {:?}", kind(peer))
            }
            11 => format!(
                "connect to {:?} {:?}",
                target.file_name(),
                kind(socket.connect(target))
            ),
            12 if dice.roll(6) == 0 => {
                format!("shut down {:?}", kind(socket.shutdown(Shutdown::Write)))
            }
            13 if dice.roll(4) == 0 => {
                settle().await;
                sockets[side] = None;
                "close".to_owned()
            }
            _ => continue,
        };
        results.push(format!("{side}: {result}"));
    }
    Ok(results)
}

fn kind<T>(result: io::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

fn kind_and_bytes((result, bytes): (io::Result<usize>, Vec<u8>)) -> Result<Vec<u8>, ErrorKind> {
    kind(result).map(|_| bytes)
}

#[test]
fn random_programs_have_the_results_of_the_real_system() {
    for seed in 1..60 {
        let courses = Rc::new(RefCell::new(Vec::new()));
        run_both(|dir| {
            let courses = Rc::clone(&courses);
            async move {
                let mut dice = Dice(seed << 20);
                let streams = stream_program(&mut dice).await?;
                let datagrams = datagram_program(&dir, &mut dice).await?;
                courses.borrow_mut().push((streams, datagrams));
                Ok(())
            }
        });
        let courses = courses.take();
        assert_eq!(courses[0], courses[1], "seed {seed}");
    }
}

#[test]
fn sockets_of_another_host_are_not_found() {
    run_pair(
        || async {
            let _listener = UnixListener::bind("/tmp/socket")?;
            let _other = UnixListener::bind("\0name")?;
            std::future::pending().await
        },
        async {
            time::sleep(Duration::from_secs(1)).await;
            let error = UnixStream::connect("/tmp/socket").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let error = UnixStream::connect("\0name").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        },
    );
}

#[test]
fn peers_are_the_process_of_the_host() {
    run_one(async {
        let (one, other) = UnixStream::pair()?;
        for end in [one, other] {
            let peer = end.peer_cred()?;
            assert_eq!((peer.pid(), peer.uid(), peer.gid()), (Some(1), 0, 0));
        }
        Ok(())
    });
}

#[test]
fn descriptors_in_messages_are_unsupported() {
    run_one(async {
        let (one, _other) = UnixStream::pair()?;
        let mut ancillary = SocketAncillary::new();
        ancillary.add_descriptors([std::io::pipe()?.0.into()])?;
        let (sent, _) = one.send_msg(["x"], ancillary).await;
        check_kind(sent, ErrorKind::Unsupported);
        assert_eq!(one.send_msg(["x"], SocketAncillary::new()).await.0?, 1);
        Ok(())
    });
}

/// Serves at a path, which a former process of the host may have left. The first byte is the number of files that it found.
async fn server() -> io::Result<()> {
    let found = match fs::remove_file("/run/socket").await {
        Ok(()) => 1,
        Err(_) => {
            fs::create_dir_all("/run").await?;
            0
        }
    };
    let listener = UnixListener::bind("/run/socket")?;
    assert_eq!(
        UnixListener::bind("/run/socket").unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    let client = UnixStream::connect("/run/socket").await?;
    let _accepted = listener.accept().await?;
    let public = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = public.accept().await?;
        stream.write_all([found]).await.0?;
        assert!(client.take_error()?.is_none());
    }
}

async fn found() -> io::Result<u8> {
    let mut stream = TcpStream::connect("server:80").await?;
    stream.read_u8().await
}

#[test]
fn socket_file_survives_a_crash_and_is_lost_without_power() {
    run_pair(server, async {
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(found().await?, 0);
        sim::restart("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(found().await?, 1);
        sim::disk("server").unwrap().set(DiskFaults {
            unsynced: Unsynced::Lost,
            ..DiskFaults::default()
        });
        sim::power_loss("server").unwrap();
        sim::restart("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(found().await?, 0);
        Ok(())
    });
}

/// The course of programs with streams, datagrams and pipes of several tasks.
fn course(seed: u64) -> (u64, Vec<String>) {
    let log = Log::default();
    let seen = log.clone();
    let builder = Simulation::builder().seed(seed);
    let mut simulation = builder.on_line(move |line| log.add(line)).build();
    simulation.client("client", async {
        let listener = UnixListener::bind("/tmp/stream")?;
        let receiver = UnixDatagram::bind("/tmp/datagram")?;
        let (mut reader, writer) = pipe()?;
        for number in 0..5 {
            let mut writer = writer.try_clone()?;
            task::spawn(async move {
                time::sleep(Duration::from_micros(sim::rng().below(100))).await;
                let mut stream = UnixStream::connect("/tmp/stream").await?;
                stream.write_all(vec![number; 300_000]).await.0?;
                let socket = UnixDatagram::unbound()?;
                for _ in 0..20 {
                    socket.send_to([number], "/tmp/datagram").await.0?;
                }
                writer.write_all(vec![number; 30_000]).await.0
            })
            .detach();
        }
        for _ in 0..5 {
            let (stream, _) = listener.accept().await?;
            task::spawn(async move { read_all(&stream).await.1 }).detach();
        }
        for _ in 0..100 {
            receiver.recv([0; 1]).await.0?;
        }
        reader.read_exact(vec![0; 100_000]).await.0
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    (report.trace_hash(), seen.entries())
}

#[test]
fn same_seed_takes_the_same_course() {
    for seed in 0..20 {
        assert_eq!(course(seed), course(seed), "seed {seed}");
    }
    let (hash, lines) = course(1);
    assert_ne!(hash, course(2).0);
    for name in [
        "unix /tmp/stream",
        "unix datagram /tmp/datagram",
        "pipe reader",
    ] {
        let line = format!("wake-up of client {name}");
        assert!(
            lines.iter().any(|all| all.ends_with(&line)),
            "{name}: {lines:#?}"
        );
    }
}
