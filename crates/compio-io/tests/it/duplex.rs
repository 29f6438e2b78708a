//! `duplex`.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    ptr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
};

use compio_io::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use compio_testkit::future::both;
use pollster::block_on;
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

use crate::script::{bytes, config, poll_once, poll_times, vec_of};

#[test]
fn full_pipe_takes_a_part_and_then_waits_for_the_reader() {
    let (mut left, mut right) = duplex(4);
    assert_eq!(block_on(left.write("abcdef")).0.unwrap(), 4);
    assert!(poll_once(left.write("ef")).is_none());
    assert_eq!(block_on(right.read([0; 3])).1, *b"abc");
    assert_eq!(
        block_on(left.write_vectored(["", "e", "fghi"])).0.unwrap(),
        3
    );
    assert_eq!(block_on(right.read(vec_of(b"", 8))).1, b"defg");
}

#[test]
fn empty_pipe_waits_for_the_writer() {
    let (mut left, mut right) = duplex(4);
    assert!(poll_once(right.read([0; 3])).is_none());
    let (_, (read, buffer)) = block_on(both(left.write("ab"), right.read([0; 3])));
    assert_eq!((read.unwrap(), &buffer), (2, b"ab\0"));
}

#[test]
fn directions_do_not_wait_for_each_other() {
    let (left, right) = duplex(4);
    let mut waiting = pin!(async { (&left).read([0; 2]).await });
    assert!(poll_once(waiting.as_mut()).is_none());
    block_on((&left).write_all("ab")).0.unwrap();
    block_on((&right).write_all("cd")).0.unwrap();
    assert_eq!(block_on(waiting).1, *b"cd");
    assert_eq!(block_on((&right).read([0; 2])).1, *b"ab");
}

#[test]
fn eof_comes_after_the_unread_bytes() {
    let (mut left, mut right) = duplex(8);
    block_on(left.write_all("abc")).0.unwrap();
    drop(left);
    assert_eq!(block_on(right.read([0; 2])).1, *b"ab");
    let (read, buffer) = block_on(right.read_to_end(vec_of(b"> ", 8)));
    assert_eq!((read.unwrap(), &buffer[..]), (1, &b"> c"[..]));
    assert_eq!(block_on(right.read(b"old".to_vec())).1, b"");
    let (read, buffers) = block_on(right.read_vectored([b"old".to_vec()]));
    assert_eq!((read.unwrap(), &buffers[0][..]), (0, &b""[..]));
}

#[test]
fn shutdown_ends_one_direction() {
    let (mut left, mut right) = duplex(8);
    block_on(left.shutdown()).unwrap();
    assert_eq!(block_on(right.read([0; 2])).0.unwrap(), 0);
    assert_eq!(
        block_on(left.write("a")).0.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    block_on(right.write_all("abc")).0.unwrap();
    block_on(right.flush()).unwrap();
    assert_eq!(block_on(left.read_vectored([[0; 2]; 2])).0.unwrap(), 3);
}

#[test]
fn dropped_reader_breaks_the_pipe_and_wakes_the_writer() {
    let (mut left, right) = duplex(2);
    block_on(left.write_all("ab")).0.unwrap();
    let mut write = pin!(left.write("c"));
    assert!(poll_once(write.as_mut()).is_none());
    let ((written, buffer), ()) = block_on(both(write, async { drop(right) }));
    assert_eq!(
        (written.unwrap_err().kind(), buffer),
        (ErrorKind::BrokenPipe, "c")
    );
}

#[test]
fn empty_buffers_do_not_wait() {
    let (mut left, mut right) = duplex(0);
    assert_eq!(poll_once(right.read([0; 0])).unwrap().0.unwrap(), 0);
    assert_eq!(
        poll_once(right.read_vectored([[0; 0]])).unwrap().0.unwrap(),
        0
    );
    assert_eq!(block_on(left.write("a")).0.unwrap(), 1);
    assert_eq!(poll_once(left.write("")).unwrap().0.unwrap(), 0);
    assert_eq!(poll_once(left.write_vectored([""])).unwrap().0.unwrap(), 0);
    assert!(poll_once(left.write("b")).is_none());
    assert_eq!(format!("{right:?}"), "DuplexStream { readable: 1, .. }");
}

#[test]
fn dropped_operations_move_nothing() {
    let (mut left, mut right) = duplex(2);
    for polls in 0..4 {
        assert!(poll_times(polls, right.read([0; 1])).is_none());
    }
    block_on(left.write_all("ab")).0.unwrap();
    for polls in 0..4 {
        assert!(poll_times(polls, left.write("x")).is_none());
    }
    drop(left);
    assert_eq!(block_on(right.read_to_end(Vec::new())).1, b"ab");
}

/// Counts its wakes; panics at a wake if configured to.
struct Counter {
    wakes: AtomicUsize,
    panics: bool,
}

impl Counter {
    fn new(panics: bool) -> Arc<Self> {
        Arc::new(Self {
            wakes: AtomicUsize::new(0),
            panics,
        })
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Relaxed);
        assert!(!self.panics, "a waker that panics");
    }
}

#[test]
fn dropped_read_releases_its_waker() {
    let (left, right) = duplex(1);
    let counter = Counter::new(false);
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    {
        let mut reader = &right;
        let mut read = pin!(reader.read([0; 1]));
        // Two polls by one task list its waker once.
        assert!(read.as_mut().poll(&mut cx).is_pending());
        assert!(read.as_mut().poll(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&counter), 3);
    }
    assert_eq!(Arc::strong_count(&counter), 2);
    block_on((&left).write_all("x")).0.unwrap();
    assert_eq!(counter.wakes.load(Relaxed), 0);
}

#[test]
fn read_that_waits_again_beside_other_read_of_its_task_is_woken() {
    let (left, right) = duplex(1);
    let counter = Counter::new(false);
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    let read = || async { (&right).read([0; 1]).await };
    let mut first = pin!(read());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    // Another read takes the byte for which the first was woken.
    block_on((&left).write_all("x")).0.unwrap();
    assert_eq!(block_on(read()).1, *b"x");
    let mut second = Box::pin(read());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    drop(second);
    let before = counter.wakes.load(Relaxed);
    block_on((&left).write_all("y")).0.unwrap();
    assert_eq!(counter.wakes.load(Relaxed) - before, 1);
    assert!(matches!(first.poll(&mut cx), Poll::Ready((Ok(1), [b'y']))));
}

/// A waker that [`Waker::will_wake`] tells from each of its clones. The documentation permits that; a waker
/// whose vtable the compiler has duplicated is one.
fn waker_unlike_its_clones() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, drop_data, drop_data, drop_data);

    fn clone(data: *const ()) -> RawWaker {
        RawWaker::new(data.wrapping_byte_add(1), &VTABLE)
    }

    fn drop_data(_data: *const ()) {}

    // SAFETY: no function of the table uses the pointer.
    unsafe { Waker::from_raw(clone(ptr::null())) }
}

#[test]
fn waker_unlike_its_clones_is_registered_once_a_poll() {
    let (left, right) = duplex(1);
    let waker = waker_unlike_its_clones();
    assert!(!waker.will_wake(&waker.clone()));
    let cx = &mut Context::from_waker(&waker);
    let (mut reader, mut writer) = (&right, &left);
    let mut read = pin!(reader.read([0; 1]));
    assert!(read.as_mut().poll(cx).is_pending());
    block_on((&left).write_all("x")).0.unwrap();
    let mut write = pin!(writer.write_all("y"));
    assert!(write.as_mut().poll(cx).is_pending());
    assert!(matches!(
        read.as_mut().poll(cx),
        Poll::Ready((Ok(1), [b'x']))
    ));
    assert!(write.as_mut().poll(cx).is_ready());
}

#[test]
fn panicking_waker_keeps_no_other_reader_asleep() {
    let (left, right) = duplex(1);
    let counters = [true, false, true, false].map(Counter::new);
    let mut reads: Vec<_> = counters
        .iter()
        .map(|counter| {
            let reader = &right;
            let mut read = Box::pin(async move { { reader }.read([0; 1]).await });
            let waker = Waker::from(Arc::clone(counter));
            assert!(
                read.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            read
        })
        .collect();
    let write = catch_unwind(AssertUnwindSafe(|| block_on((&left).write("x"))));
    write.expect_err("the waker's panic goes on");
    for counter in &counters {
        assert_eq!(counter.wakes.load(Relaxed), 1);
    }
    // The byte was put before the wakers ran.
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(
        reads[1].as_mut().poll(cx),
        Poll::Ready((Ok(1), [b'x']))
    ));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everything_arrives_in_order(
        writes in vec(bytes(30), 0..12),
        capacity in 0usize..20,
        room in 1usize..20,
    ) {
        let (left, mut right) = duplex(capacity);
        let send = async |mut stream: DuplexStream| {
            for write in &writes {
                stream.write_all(write.clone()).await.0.unwrap();
            }
        };
        let receive = async {
            let mut seen = Vec::new();
            loop {
                let (read, buffer) = right.read(Vec::with_capacity(room)).await;
                assert_eq!(read.unwrap(), buffer.len());
                if buffer.is_empty() {
                    return seen;
                }
                seen.extend(buffer);
            }
        };
        let ((), seen) = block_on(both(send(left), receive));
        prop_assert!(seen.len() == writes.iter().map(Vec::len).sum::<usize>());
        prop_assert_eq!(seen, writes.concat());
    }
}

#[test]
fn shared_pointer_to_a_stream_is_a_stream() {
    block_on(async {
        let (stream, mut other) = duplex(16);
        let mut writer = Rc::new(stream);
        let mut reader = Rc::clone(&writer);
        writer.write_all("question").await.0.unwrap();
        other.write_all("answer").await.0.unwrap();
        assert_eq!(reader.read_exact([0; 6]).await.1, *b"answer");
        writer.shutdown().await.unwrap();
        let (read, question) = other.read_to_end(Vec::new()).await;
        read.unwrap();
        assert_eq!(question, b"question");
    });
}
