//! Streams that are polled with borrowed buffers.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{PollReadHalf, PollStream, PollWriteHalf, StreamSocket, TcpStream},
    runtime::{CancelToken, Runtime, is_cancelled},
    task::{spawn, yield_now},
    time::sleep,
};
use compio_testkit::waker::Bell;

use compio_testkit::process::is_skipped_on_wine;

use crate::support::{check_kind, pattern, run, tcp_pair};

/// A polled stream, and its other end with small buffers.
fn connection() -> (PollStream<TcpStream>, net::TcpStream) {
    connection_with(4096)
}

/// The same, with buffers of this size.
fn connection_with(size: usize) -> (PollStream<TcpStream>, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    socket2::SockRef::from(&ours)
        .set_send_buffer_size(size)
        .unwrap();
    socket2::SockRef::from(&theirs)
        .set_recv_buffer_size(size)
        .unwrap();
    let ours = TcpStream::from_std(ours).unwrap();
    (PollStream::new(ours).unwrap(), theirs)
}

/// The two directions, of a stream or of its halves.
trait Reads {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>>;
}

trait Writes {
    fn poll(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
}

macro_rules! directions {
    ($trait:ident, $method:ident, $slice:ty, $($type:ident)*) => {$(
        impl<S: StreamSocket> $trait for $type<S> {
            fn poll(&mut self, cx: &mut Context<'_>, slice: $slice) -> Poll<io::Result<usize>> {
                self.$method(cx, slice)
            }
        }
    )*};
}

directions!(Reads, poll_read, &mut [MaybeUninit<u8>], PollStream PollReadHalf);
directions!(Writes, poll_write, &[u8], PollStream PollWriteHalf);

/// Polls a read of at most `len` bytes.
fn poll_read(
    stream: &mut impl Reads,
    cx: &mut Context<'_>,
    len: usize,
) -> Poll<io::Result<Vec<u8>>> {
    let mut room = Vec::with_capacity(len);
    stream
        .poll(cx, &mut room.spare_capacity_mut()[..len])
        .map_ok(|len| {
            // SAFETY: the read has initialised that many bytes.
            unsafe { room.set_len(len) };
            room
        })
}

async fn read(stream: &mut impl Reads, len: usize) -> io::Result<Vec<u8>> {
    poll_fn(|cx| poll_read(stream, cx, len)).await
}

async fn write(stream: &mut impl Writes, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll(cx, bytes)).await
}

async fn write_all(stream: &mut impl Writes, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write(stream, bytes).await?;
        assert!(written > 0);
        bytes = &bytes[written..];
    }
    Ok(())
}

async fn read_to_end(stream: &mut impl Reads, step: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let more = read(stream, step).await?;
        if more.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(more);
    }
}

/// Polls once, and returns whether it is pending.
async fn is_pending<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> bool {
    poll_fn(|cx| Poll::Ready(poll(cx).is_pending())).await
}

/// Waits until a waker has been woken.
async fn until_rung(bell: &Bell) {
    while bell.rings() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Writes until a write has to wait, and returns the number of bytes that were taken.
async fn fill(stream: &mut impl Writes, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while let Poll::Ready(written) = poll_fn(|cx| {
        let end = bytes.len().min(sent + 64 * 1024);
        Poll::Ready(stream.poll(cx, &bytes[sent..end]))
    })
    .await
    {
        sent += written.unwrap();
        assert!(sent < bytes.len(), "the peer does not read");
        // For a new budget.
        yield_now().await;
    }
    sent
}

/// All bytes up to EOF, read by another thread.
async fn drained(mut peer: impl Read + Send + 'static) -> Vec<u8> {
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    while !reader.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    reader.join().unwrap()
}

#[test]
fn waiting_read_returns_bytes_that_arrive_later() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        let mut client = PollStream::new(client).unwrap();
        for len in [1, 13, 100, 4096, 5000, 100_000] {
            let bytes = pattern(len);
            assert!(is_pending(|cx| poll_read(&mut server, cx, 16)).await);
            write_all(&mut client, &bytes).await.unwrap();
            let mut got = Vec::new();
            while got.len() < len {
                got.extend(read(&mut server, 7_000).await.unwrap());
            }
            assert!(got == bytes);
        }
        client.shutdown().unwrap();
        assert!(read(&mut server, 16).await.unwrap().is_empty());
        assert!(read(&mut server, 16).await.unwrap().is_empty(), "EOF stays");
    });
}

#[test]
fn pooled_bytes_are_handed_out_in_pieces() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        assert!(is_pending(|cx| poll_read(&mut server, cx, 3)).await);
        client.write_all(pattern(1000)).await.0.unwrap();
        let mut got = Vec::new();
        while got.len() < 1000 {
            let more = read(&mut server, 3).await.unwrap();
            assert!((1..=3).contains(&more.len()));
            got.extend(more);
        }
        assert!(got == pattern(1000));
        // An empty slice is no EOF.
        assert!(read(&mut server, 0).await.unwrap().is_empty());
        assert!(is_pending(|cx| poll_read(&mut server, cx, 3)).await);
    });
}

#[test]
fn vectored_reads_fill_their_slices_in_order() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        for has_waited in [true, false] {
            let (mut first, mut second) = ([0; 3], [0; 10]);
            if has_waited {
                let rooms = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
                assert!(is_pending(|cx| server.poll_read_vectored(cx, rooms)).await);
            }
            client.write_all("hello world").await.0.unwrap();
            let mut got = 0;
            while got < 11 {
                let skipped = got.min(3);
                let rooms = &mut [
                    IoSliceMut::new(&mut first[skipped..]),
                    IoSliceMut::new(&mut second[got - skipped..]),
                ];
                got += poll_fn(|cx| server.poll_read_vectored(cx, rooms))
                    .await
                    .unwrap();
            }
            assert_eq!((&first, &second[..8]), (b"hel", &b"lo world"[..]));
        }
    });
}

/// More than the kernel takes in one call.
const EMPTY_SLICES: usize = 1500;

#[test]
fn empty_slices_before_others_are_no_end_of_file() {
    run(async {
        let (mut ours, mut theirs) = connection();
        theirs.write_all(b"abc").unwrap();
        let mut room = [0; 2];
        for expected in [2, 1] {
            let got = poll_fn(|cx| {
                let mut rooms: Vec<_> = (0..EMPTY_SLICES)
                    .map(|_| IoSliceMut::new(&mut []))
                    .collect();
                rooms.push(IoSliceMut::new(&mut room));
                ours.poll_read_vectored(cx, &mut rooms)
            });
            assert_eq!(got.await.unwrap(), expected);
        }
        assert_eq!(room[0], b'c');
    });
}

#[test]
fn empty_slices_before_others_are_written_over() {
    run(async {
        let (mut ours, mut theirs) = connection();
        let mut slices = vec![IoSlice::new(&[]); EMPTY_SLICES];
        slices.push(IoSlice::new(b"xyz"));
        let written = poll_fn(|cx| ours.poll_write_vectored(cx, &slices)).await;
        assert_eq!(written.unwrap(), 3);
        let mut got = [0; 3];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"xyz");
    });
}

#[test]
fn vectored_writes_arrive_in_order() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let mut client = PollStream::new(client).unwrap();
        // More slices than a kernel takes at once.
        let parts: Vec<Vec<u8>> = (0..3000)
            .map(|index| vec![index as u8; index % 7])
            .collect();
        let expected = parts.concat();
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut slices = &slices[..];
        while !slices.is_empty() {
            let written = poll_fn(|cx| client.poll_write_vectored(cx, slices))
                .await
                .unwrap();
            let mut left = written;
            while let Some(first) = slices.first()
                && first.len() <= left
            {
                left -= first.len();
                slices = &slices[1..];
            }
            assert_eq!(left, 0, "this small write is not split");
        }
        client.shutdown().unwrap();
        let (read, got) = server.read_to_end(Vec::new()).await;
        read.unwrap();
        assert!(got == expected);
    });
}

#[test]
fn pending_write_takes_other_bytes_at_its_next_poll() {
    run(async {
        let (mut ours, mut theirs) = connection();
        let bytes = vec![b'a'; 16 << 20];
        let sent = fill(&mut ours, &bytes).await;
        assert!(is_pending(|cx| ours.poll_write(cx, b"never sent")).await);
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        write_all(&mut ours, b"bcd").await.unwrap();
        drop(ours);
        let got = reader.join().unwrap();
        assert_eq!(got.len(), sent + 3);
        assert!(got[..sent].iter().all(|byte| *byte == b'a'));
        assert_eq!(&got[sent..], b"bcd");
    });
}

#[test]
fn dropped_write_future_has_sent_nothing() {
    run(async {
        let (mut ours, theirs) = connection();
        let bytes = pattern(16 << 20);
        let sent = fill(&mut ours, &bytes).await;
        {
            let mut future = Box::pin(write(&mut ours, b"dropped"));
            let poll = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
        }
        drop(ours.into_inner());
        let got = drained(theirs).await;
        assert!(got == bytes[..sent]);
    });
}

#[test]
fn stream_of_pending_read_unwraps_without_loss() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        // A wait that is cancelled before data, one with data on its way, and a buffer that is partly taken.
        assert!(is_pending(|cx| poll_read(&mut server, cx, 4)).await);
        let server = server.into_inner();
        let mut server = PollStream::new(server).unwrap();
        assert!(is_pending(|cx| poll_read(&mut server, cx, 4)).await);
        client
            .write_all(pattern(20)[..10].to_vec())
            .await
            .0
            .unwrap();
        let server = server.into_inner();
        let mut server = PollStream::new(server).unwrap();
        let mut got = read(&mut server, 4).await.unwrap();
        let mut server = server.into_inner();
        client
            .write_all(pattern(20)[10..].to_vec())
            .await
            .0
            .unwrap();
        client.shutdown().await.unwrap();
        let (read, rest) = server.read_to_end(Vec::new()).await;
        read.unwrap();
        got.extend(rest);
        assert_eq!(got, pattern(20));
        assert!(!server.settle().await);
        drop(server.into_std().expect("nothing is in flight"));
    });
}

#[test]
fn unread_data_of_native_read_comes_first() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        {
            let mut read = Box::pin(server.read_exact([0; 64]));
            assert!(
                poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx)))
                    .await
                    .is_pending()
            );
            client.write_all("first").await.0.unwrap();
        }
        let mut server = PollStream::new(server).unwrap();
        let mut got = read(&mut server, 2).await.unwrap();
        client.write_all(" second").await.0.unwrap();
        client.shutdown().await.unwrap();
        got.extend(read_to_end(&mut server, 3).await.unwrap());
        assert_eq!(got, b"first second");
    });
}

/// Time stamps of sent segments wait in the error queue of the socket. As long as nothing takes them, poll(2) reports
/// an error, however full the send buffer is.
#[cfg(target_os = "linux")]
#[test]
fn write_that_waits_beside_an_error_queue_lets_other_tasks_run() {
    use std::{os::fd::AsRawFd, sync::mpsc};

    use crate::support::LONG;
    fn request_time_stamps(socket: &impl AsRawFd) {
        let stamps = libc::SOF_TIMESTAMPING_TX_SOFTWARE
            | libc::SOF_TIMESTAMPING_SOFTWARE
            | libc::SOF_TIMESTAMPING_OPT_TSONLY;
        // SAFETY: the option is a number, and the call only reads it.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPING,
                (&raw const stamps).cast(),
                size_of_val(&stamps) as libc::socklen_t,
            )
        };
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
    }
    let (done, is_done) = mpsc::channel();
    // A poll that does not return would hold up any timeout of its thread.
    thread::spawn(move || {
        run(async {
            let (mut ours, theirs) = connection();
            request_time_stamps(&ours);
            // A segment of its own.
            write_all(&mut ours, b"stamped").await.unwrap();
            let bytes = pattern(16 << 20);
            let sent = fill(&mut ours, &bytes).await;
            let writes = spawn(async move { write_all(&mut ours, b"end").await });
            sleep(Duration::from_millis(1)).await;
            let got = drained(theirs).await;
            writes.await.unwrap().unwrap();
            done.send((sent, got.len())).unwrap();
        });
    });
    let (sent, got) = is_done.recv_timeout(LONG).expect("a poll does not return");
    assert_eq!(got, 7 + sent + 3);
}

#[test]
fn both_halves_wait_with_wakers_of_their_own() {
    run(async {
        let (mut ours, mut theirs) = connection();
        let bytes = pattern(16 << 20);
        let sent = fill(&mut ours, &bytes).await;
        let (mut reader, mut writer) = ours.into_split();
        let (for_read, read_waker) = Bell::new();
        let (for_write, write_waker) = Bell::new();
        let read_cx = &mut Context::from_waker(&read_waker);
        let write_cx = &mut Context::from_waker(&write_waker);
        assert!(poll_read(&mut reader, read_cx, 16).is_pending());
        assert!(writer.poll_write(write_cx, b"more").is_pending());
        theirs.write_all(b"ping").unwrap();
        until_rung(&for_read).await;
        assert_eq!(for_write.rings(), 0, "there is no room yet");
        assert!(
            matches!(poll_read(&mut reader, read_cx, 16), Poll::Ready(Ok(got)) if got == b"ping")
        );
        let drain = thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        until_rung(&for_write).await;
        write_all(&mut writer, b"more").await.unwrap();
        // Shuts down.
        drop(writer);
        let got = drain.join().unwrap();
        assert_eq!(got.len(), sent + 4);
        assert!(got.ends_with(b"more"));
        assert!(read(&mut reader, 16).await.unwrap().is_empty());
    });
}

#[test]
fn reunited_halves_still_write() {
    run(async {
        let (ours, mut theirs) = connection();
        let (reader, writer) = ours.into_split();
        let mut ours = reader.reunite(writer).unwrap();
        write_all(&mut ours, b"after").await.unwrap();
        let mut got = [0; 5];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"after");
    });
}

#[test]
fn forgotten_half_leaves_its_direction_open() {
    run(async {
        let (client, server) = tcp_pair().await;
        let (reader, writer) = PollStream::new(client).unwrap().into_split();
        writer.forget();
        let mut server = PollStream::new(server).unwrap();
        assert!(is_pending(|cx| poll_read(&mut server, cx, 8)).await);
        yield_now().await;
        assert!(is_pending(|cx| poll_read(&mut server, cx, 8)).await);
        // EOF, now that the socket is closed.
        drop(reader);
        assert!(read(&mut server, 8).await.unwrap().is_empty());
    });
}

#[test]
fn last_waker_of_direction_is_woken() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        let (old, old_waker) = Bell::new();
        let (new, new_waker) = Bell::new();
        assert!(poll_read(&mut server, &mut Context::from_waker(&old_waker), 8).is_pending());
        yield_now().await;
        assert!(poll_read(&mut server, &mut Context::from_waker(&new_waker), 8).is_pending());
        client.write_all("x").await.0.unwrap();
        until_rung(&new).await;
        assert_eq!(old.rings(), 0);
        assert_eq!(read(&mut server, 8).await.unwrap(), b"x");

        // The old waker is released.
        drop(old_waker);
        assert_eq!(Arc::strong_count(&old), 1);
    });
}

#[test]
fn half_close_leaves_the_other_direction() {
    run(async {
        let (client, server) = tcp_pair().await;
        let (mut client, mut server) = (
            PollStream::new(client).unwrap(),
            PollStream::new(server).unwrap(),
        );
        assert!(is_pending(|cx| poll_read(&mut server, cx, 8)).await);
        write_all(&mut client, b"request").await.unwrap();
        client.shutdown().unwrap();
        assert_eq!(read_to_end(&mut server, 8).await.unwrap(), b"request");
        write_all(&mut server, &pattern(100_000)).await.unwrap();
        drop(server);
        assert!(read_to_end(&mut client, 3000).await.unwrap() == pattern(100_000));
        // A second shutdown, after the peer has closed, is no error.
        client.shutdown().unwrap();
        // Broken pipe, or its equivalent.
        write(&mut client, b"late").await.unwrap_err();
    });
}

#[test]
fn reset_ends_waiting_read_and_later_write() {
    run(async {
        let (mut ours, theirs) = connection();
        assert!(is_pending(|cx| poll_read(&mut ours, cx, 8)).await);
        socket2::SockRef::from(&theirs)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(theirs);
        match read(&mut ours, 8).await {
            Ok(bytes)
                if bytes.is_empty()
                    && is_skipped_on_wine("a waiting read loses the error of a reset") => {}
            end => check_kind(end, io::ErrorKind::ConnectionReset),
        }
        let error = write(&mut ours, b"late").await.unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
        ));
        ours.shutdown().unwrap();
    });
}

#[test]
fn reset_ends_waiting_write() {
    run(async {
        let (mut ours, theirs) = connection();
        let bytes = pattern(16 << 20);
        fill(&mut ours, &bytes).await;
        socket2::SockRef::from(&theirs)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        let resets = spawn(async move { drop(theirs) });
        let error = write_all(&mut ours, &bytes).await.unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
        ));
        resets.await.unwrap();
    });
}

/// Sends and receives at once; the other end is of std.
async fn exchange<S, T>(ours: PollStream<S>, theirs: T, other: T)
where
    S: StreamSocket,
    T: Read + Write + Send + 'static,
{
    const LEN: usize = 5 << 20;
    let (mut sends, mut reads) = (theirs, other);
    let receiver = thread::spawn(move || {
        let mut got = vec![0; LEN];
        reads.read_exact(&mut got).unwrap();
        got
    });
    let sender = thread::spawn(move || sends.write_all(&pattern(LEN)).unwrap());
    let (mut reader, mut writer) = ours.into_split();
    let writes = spawn(async move {
        write_all(&mut writer, &pattern(LEN)).await.unwrap();
        writer
    });
    let mut got = Vec::new();
    while got.len() < LEN {
        got.extend(read(&mut reader, 10_000).await.unwrap());
    }
    assert!(got == pattern(LEN));
    let writer = writes.await.unwrap();
    while !receiver.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(receiver.join().unwrap() == pattern(LEN));
    sender.join().unwrap();
    let stream = reader.reunite(writer).expect("halves of a stream");
    stream.shutdown().unwrap();
}

#[test]
fn megabytes_go_both_ways_through_small_tcp_buffers() {
    run(async {
        let (ours, theirs) = connection_with(16 * 1024);
        socket2::SockRef::from(ours.get_ref())
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
        let other = theirs.try_clone().unwrap();
        exchange(ours, theirs, other).await;
    });
}

#[cfg(unix)]
#[test]
fn megabytes_go_both_ways_through_tiny_unix_buffers() {
    use std::os::unix::net;
    run(async {
        let (ours, theirs) = net::UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            let end = socket2::SockRef::from(end);
            end.set_send_buffer_size(4096).unwrap();
            end.set_recv_buffer_size(4096).unwrap();
        }
        let other = theirs.try_clone().unwrap();
        let ours = compio::net::UnixStream::from_std(ours).unwrap();
        exchange(PollStream::new(ours).unwrap(), theirs, other).await;
    });
}
#[test]
fn more_streams_than_pooled_buffers_hold_bytes() {
    run(async {
        let mut pairs = Vec::new();
        for _ in 0..200 {
            let (client, server) = tcp_pair().await;
            let mut client = PollStream::new(client).unwrap();
            let mut server = PollStream::new(server).unwrap();
            assert!(is_pending(|cx| poll_read(&mut server, cx, 1)).await);
            write_all(&mut client, b"abc").await.unwrap();
            // The rest stays in its buffer.
            assert_eq!(read(&mut server, 1).await.unwrap(), b"a");
            pairs.push((client, server));
        }
        for (client, server) in &mut pairs {
            write_all(client, b"def").await.unwrap();
            client.shutdown().unwrap();
            assert_eq!(read_to_end(server, 2).await.unwrap(), b"bcdef");
        }
    });
}

#[test]
fn ready_stream_does_not_starve_other_tasks() {
    run(async {
        let (mut ours, mut theirs) = connection_with(1 << 20);
        theirs.write_all(&[b'x'; 10_000]).unwrap();
        // Reads of a byte, which fill their slices: each is ready at once.
        let mut count = 0;
        while count < 10_000 {
            let in_one_poll = poll_fn(|cx| {
                for count in 0.. {
                    if poll_read(&mut ours, cx, 1).is_pending() {
                        return Poll::Ready(count);
                    }
                }
                unreachable!()
            });
            let read = in_one_poll.await;
            assert!(read < 1000, "{read} reads in one poll");
            count += read;
            yield_now().await;
        }
        let writes = poll_fn(|cx| {
            for count in 0.. {
                if ours.poll_write(cx, b"x").is_pending() {
                    return Poll::Ready(count);
                }
            }
            unreachable!()
        });
        let written = writes.await;
        assert!((1..1000).contains(&written), "{written} writes in one poll");
        drop(ours);
        assert_eq!(drained(theirs).await.len(), written);
    });
}

/// The first read of a pooled buffer was waited for. The further ones are ready.
#[test]
fn pooled_bytes_take_budget_as_others() {
    run(async {
        let (mut ours, mut theirs) = connection();
        assert!(is_pending(|cx| poll_read(&mut ours, cx, 1)).await);
        theirs.write_all(&[b'x'; 3000]).unwrap();
        read(&mut ours, 1).await.unwrap();
        yield_now().await;
        let in_one_poll = poll_fn(|cx| {
            let count = (0..2000).take_while(|_| poll_read(&mut ours, cx, 1).is_ready());
            Poll::Ready(count.count())
        });
        let count = in_one_poll.await;
        assert!(count < 1000, "{count} reads in one poll");
    });
}

#[test]
fn two_runtimes_poll_a_stream_alternately() {
    let [first, second] = [Runtime::new().unwrap(), Runtime::new().unwrap()];
    let (mut ours, mut theirs) = connection();
    for round in 0..6 {
        let runtime = if round % 2 == 0 { &first } else { &second };
        runtime.block_on(async {
            theirs.write_all(&[round]).unwrap();
            assert_eq!(read(&mut ours, 4).await.unwrap(), [round]);
            // The wait stays in this runtime.
            assert!(is_pending(|cx| poll_read(&mut ours, cx, 4)).await);
        });
        theirs.write_all(&[100 + round]).unwrap();
        runtime.block_on(async {
            assert_eq!(read(&mut ours, 4).await.unwrap(), [100 + round]);
        });
    }
}

#[test]
fn wait_of_idle_runtime_panics_with_advice_in_another() {
    let [first, second] = [Runtime::new().unwrap(), Runtime::new().unwrap()];
    let (mut ours, mut theirs) = connection();
    first.block_on(async {
        assert!(is_pending(|cx| poll_read(&mut ours, cx, 4)).await);
    });
    second.block_on(async {
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = AssertUnwindSafe(|| poll_read(&mut ours, cx, 4));
        let message = catch_unwind(polled).unwrap_err();
        let message = message.downcast_ref::<&str>().expect("a plain message");
        assert!(message.contains("drive that runtime"), "{message}");

        let mut ours = PollStream::new(ours.into_inner()).unwrap();
        theirs.write_all(b"kept").unwrap();
        assert_eq!(read(&mut ours, 4).await.unwrap(), b"kept");
    });
}

#[test]
fn wait_of_ended_runtime_is_repeated_in_the_next() {
    let first = Runtime::new().unwrap();
    let (mut ours, mut theirs) = connection();
    let bytes = pattern(16 << 20);
    let sent = first.block_on(async {
        assert!(is_pending(|cx| poll_read(&mut ours, cx, 4)).await);
        fill(&mut ours, &bytes).await
    });
    drop(first);
    Runtime::new().unwrap().block_on(async {
        theirs.write_all(b"late").unwrap();
        assert_eq!(read(&mut ours, 4).await.unwrap(), b"late");
        let drain = spawn(drained(theirs));
        write_all(&mut ours, b"end").await.unwrap();
        drop(ours);
        assert_eq!(drain.await.unwrap().len(), sent + 3);
    });
}

#[test]
fn cancelled_read_reports_it_and_loses_nothing() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let mut server = PollStream::new(server).unwrap();
        let token = CancelToken::new();
        let cancelled = token.clone();
        let cancels = spawn(async move { cancelled.cancel() });
        let error = token.run(read(&mut server, 8)).await.unwrap_err();
        assert!(is_cancelled(&error));
        cancels.await.unwrap();
        client.write_all("kept").await.0.unwrap();
        assert_eq!(read(&mut server, 8).await.unwrap(), b"kept");
    });
}

#[test]
fn ready_write_needs_no_runtime() {
    let (mut ours, _theirs) = connection();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(ours.poll_write(cx, b"x"), Poll::Ready(Ok(1))));
}

#[test]
fn read_that_must_wait_without_runtime_panics_with_advice() {
    let (mut ours, _theirs) = connection();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        poll_read(&mut ours, cx, 8).is_pending()
    }));
    let payload = panic.expect_err("no loop drives the wait");
    let message = payload.downcast_ref::<String>().cloned();
    let message = message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into()));
    assert!(message.expect("a text").contains("block_on"));
}

#[cfg(unix)]
#[test]
fn unix_stream_is_polled_as_well() {
    use compio::net::UnixStream;
    run(async {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let one = UnixStream::from_std(one).unwrap();
        let other = UnixStream::from_std(other).unwrap();
        let mut one = PollStream::new(one).unwrap();
        let mut other = PollStream::new(other).unwrap();
        assert!(one.peer_addr().unwrap().is_unnamed());
        assert!(is_pending(|cx| poll_read(&mut other, cx, 8)).await);
        let sender = spawn(async move {
            write_all(&mut one, &pattern(1 << 20)).await.unwrap();
        });
        assert!(read_to_end(&mut other, 5000).await.unwrap() == pattern(1 << 20));
        sender.await.unwrap();
    });
}

#[test]
fn dropped_pending_stream_closes_its_connection() {
    run(async {
        let (mut ours, theirs) = connection();
        assert!(is_pending(|cx| poll_read(&mut ours, cx, 8)).await);
        drop(ours);
        assert!(drained(theirs).await.is_empty());
    });
}

#[cfg(all(feature = "tokio", feature = "futures-io", feature = "hyper"))]
mod traits {
    //! The traits of other ecosystems, by their own helpers.

    use std::pin::Pin;

    use compio::runtime::SendWrapper;
    use hyper::rt::{Read as _, ReadBuf, Write as _};

    use super::*;

    /// Both ends, in wrappers that can be sent.
    async fn pair() -> [SendWrapper<PollStream<TcpStream>>; 2] {
        let (client, server) = tcp_pair().await;
        [client, server].map(|end| SendWrapper::new(PollStream::new(end).unwrap()))
    }

    fn must_be_send<T: Send + Sync>(value: T) -> T {
        value
    }

    #[test]
    fn tokio_helpers_copy_all_bytes() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        run(async {
            let [mut client, server] = must_be_send(pair().await);
            let writes = spawn(async move {
                client.write_all(&pattern(1 << 20)).await.unwrap();
                client.flush().await.unwrap();
                client.shutdown().await.unwrap();
                client
            });
            let (mut reader, mut writer) = tokio::io::split(server);
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            assert!(got == pattern(1 << 20));
            writer.write_all(b"bye").await.unwrap();
            drop((reader, writer));
            got.clear();
            writes.await.unwrap().read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"bye");
        });
    }

    #[test]
    fn tokio_buffer_keeps_its_filled_part() {
        use tokio::io::AsyncRead;
        run(async {
            let [mut client, mut server] = pair().await;
            write_all(&mut *client, b"world").await.unwrap();
            let mut room = [MaybeUninit::uninit(); 8];
            let mut room = tokio::io::ReadBuf::uninit(&mut room);
            room.put_slice(b"hi ");
            poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut server), cx, &mut room))
                .await
                .unwrap();
            assert_eq!(room.filled(), b"hi world");
            // A full buffer is no EOF, and takes nothing.
            poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut server), cx, &mut room))
                .await
                .unwrap();
            assert_eq!(room.filled(), b"hi world");
        });
    }

    #[test]
    fn futures_io_helpers_copy_all_bytes() {
        use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
        run(async {
            let [mut client, mut server] = pair().await;
            let writes = spawn(async move {
                client.write_all(&pattern(1 << 20)).await.unwrap();
                client.flush().await.unwrap();
                client.close().await.unwrap();
            });
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            assert!(got == pattern(1 << 20));
            writes.await.unwrap();
        });
    }

    #[test]
    fn hyper_traits_read_and_write() {
        run(async {
            let [mut client, mut server] = pair().await;
            assert!(client.is_write_vectored());
            let slices = [IoSlice::new(b"hello "), IoSlice::new(b"world")];
            let written = poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &slices));
            assert_eq!(written.await.unwrap(), 11);
            poll_fn(|cx| Pin::new(&mut client).poll_flush(cx))
                .await
                .unwrap();
            poll_fn(|cx| Pin::new(&mut client).poll_shutdown(cx))
                .await
                .unwrap();
            let mut room = [MaybeUninit::uninit(); 64];
            let mut room = ReadBuf::uninit(&mut room);
            loop {
                let before = room.filled().len();
                poll_fn(|cx| Pin::new(&mut server).poll_read(cx, room.unfilled()))
                    .await
                    .unwrap();
                if room.filled().len() == before {
                    break;
                }
            }
            assert_eq!(room.filled(), b"hello world");
        });
    }
}
