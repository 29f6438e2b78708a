//! `PollReader` and `PollWriter`: no byte is lost or repeated, whenever a future
//! is dropped.

use std::{
    cell::Cell,
    future::poll_fn,
    io::ErrorKind,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
        BufReader, BufWriter, PollReader, PollWriter, duplex, empty, join, split,
    },
};
use compio_testkit::waker::Bell;
use pollster::block_on;
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::script::{
    Scripted, Step, bytes, config, hesitation, impatiently, poll_once, poll_times, vec_of,
};

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn dropped_read_goes_on() {
    let mut reader = PollReader::new(Scripted::new(b"abcdef", &[Step::Wait, Step::Move(4)]));
    assert!(poll_once(reader.read([0; 2])).is_none());
    assert!(reader.get_ref().is_none() && reader.get_mut().is_none());
    assert_eq!(reader.buffer(), b"");
    assert_eq!(poll_once(reader.read([0; 2])).unwrap().1, *b"ab");
    assert_eq!(
        (reader.buffer(), reader.get_ref().unwrap().operations),
        (&b"cd"[..], 1)
    );
}

#[test]
fn the_next_reader_continues_the_read() {
    let script = [Step::Wait, Step::Wait, Step::Wait, Step::Move(6)];
    let mut reader = PollReader::new(Scripted::new(b"ab\ncd\n", &script));
    assert!(poll_once(reader.fill_buf()).is_none());
    assert!(poll_once(reader.read_vectored([[0; 2]])).is_none());
    assert!(poll_once(reader.read_line(String::new())).is_none());
    let mut lines = reader.lines();
    assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), "ab");
    assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), "cd");
    assert_eq!(block_on(lines.next_line()).unwrap(), None);
}

#[test]
fn failures_are_passed_on_once_and_interrupts_are_not() {
    let script = [Step::Wait, Step::Interrupt, Step::Fail];
    let mut reader = PollReader::new(Scripted::new(b"abc", &script));
    assert!(poll_once(reader.fill_buf()).is_none());
    let (read, buffer) = block_on(reader.read(vec_of(b"old", 8)));
    assert_eq!(
        (read.unwrap_err().kind(), &buffer[..]),
        (ErrorKind::ConnectionReset, &b"old"[..])
    );
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
}

#[test]
fn reading_into_no_room_does_not_wait() {
    let mut reader = PollReader::with_capacity(0, Scripted::new(b"abc", &[Step::Hang]));
    assert_eq!(reader.capacity(), 1);
    assert_eq!(poll_once(reader.read([0; 0])).unwrap().0.unwrap(), 0);
    assert_eq!(
        poll_once(reader.read_vectored([[0; 0]]))
            .unwrap()
            .0
            .unwrap(),
        0
    );
}

#[test]
fn end_is_read_again() {
    let mut reader = PollReader::new(&b""[..]);
    for _ in 0..3 {
        assert_eq!(block_on(reader.fill_buf()).unwrap(), b"");
        assert_eq!(block_on(reader.read(b"old".to_vec())).1, b"");
    }
}

#[test]
fn parts_of_a_reader() {
    let mut reader = PollReader::new(Scripted::new(b"abcdef", &[Step::Move(3), Step::Wait]));
    assert_eq!(block_on(reader.read([0; 1])).1, *b"a");
    let (source, buffered) = reader.into_parts().unwrap();
    assert_eq!((source.unread(), &buffered[..]), (&b"def"[..], &b"bc"[..]));
    let mut reader = PollReader::with_capacity(16, source);
    assert!(poll_once(reader.fill_buf()).is_none());
    assert_eq!(
        format!("{reader:?}"),
        "PollReader { reader: None, buffered: 0, capacity: 16 }"
    );
    let mut reader = reader.into_parts().unwrap_err();
    assert_eq!(block_on(reader.read_to_end(Vec::new())).1, b"def");
}

#[test]
#[should_panic(expected = "4 of 3 buffered bytes consumed")]
fn consuming_more_than_there_is_panics() {
    let mut reader = PollReader::new(&b"abc"[..]);
    block_on(reader.fill_buf()).unwrap();
    AsyncBufRead::consume(&mut reader, 4);
}

#[test]
fn the_last_waker_is_woken() {
    let (mut client, server) = duplex(8);
    let mut reader = PollReader::new(server);
    let wakers = [0; 3].map(|_| Arc::<Bell>::default());
    for waker in &wakers {
        let waker = Waker::from(Arc::clone(waker));
        assert!(
            reader
                .poll_fill_buf(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    block_on(client.write_all("abc")).0.unwrap();
    assert_eq!(wakers[2].rings(), 1);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
}

#[test]
fn cancel_ends_a_read_that_never_completes() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Move(1), Step::Hang]));
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"a");
    AsyncBufRead::consume(&mut reader, 1);
    assert!(poll_once(reader.fill_buf()).is_none());
    assert!(reader.get_ref().is_none());
    block_on(reader.cancel()).unwrap();
    // Nothing is in flight any more.
    block_on(reader.cancel()).unwrap();
    let (source, bytes) = reader.into_parts().unwrap();
    assert_eq!((source.unread(), &bytes[..]), (&b"bc"[..], &b""[..]));
}

#[test]
fn cancel_keeps_buffered_bytes() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[]));
    block_on(reader.fill_buf()).unwrap();
    AsyncBufRead::consume(&mut reader, 1);
    block_on(reader.cancel()).unwrap();
    assert_eq!(reader.into_parts().unwrap().1, b"bc");
}

#[test]
fn cancel_takes_the_bytes_of_a_completed_read() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Wait]));
    assert!(poll_once(reader.fill_buf()).is_none());
    block_on(reader.cancel()).unwrap();
    assert_eq!(reader.buffer(), b"abc");
}

#[test]
fn cancel_returns_the_error_of_the_read() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Wait, Step::Fail]));
    assert!(poll_once(reader.fill_buf()).is_none());
    let error = block_on(reader.cancel()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
}

/// A reader whose first read hangs. Once it is dropped, the bytes are kept, and `settle` waits once.
#[derive(Debug)]
struct Keeping {
    kept: Vec<Result<&'static [u8], ErrorKind>>,
    is_begun: bool,
    /// The bytes of later reads.
    later: &'static [u8],
}

impl AsyncRead for Keeping {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        if !std::mem::replace(&mut self.is_begun, true) {
            std::future::pending::<()>().await;
        }
        match self.kept.pop() {
            Some(Ok(bytes)) => (Ok(buf.init_from(bytes)), buf),
            Some(Err(kind)) => (Err(kind.into()), buf),
            None => (Ok(buf.init_from(self.later)), buf),
        }
    }

    async fn settle(&mut self) -> bool {
        let mut is_over = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match std::mem::replace(&mut is_over, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        !self.kept.is_empty()
    }
}

#[test]
fn cancel_takes_kept_bytes_of_the_dropped_read() {
    let source = Keeping {
        kept: vec![Ok(b"def"), Ok(b"abc")],
        is_begun: false,
        later: b"",
    };
    // Through a forwarding type.
    let mut reader = PollReader::new(Box::new(source));
    assert!(poll_once(reader.fill_buf()).is_none());
    block_on(reader.cancel()).unwrap();
    assert_eq!(reader.into_parts().unwrap().1, b"abcdef");
}

/// A reader that keeps bytes if it is `true`.
struct Kept(bool);

impl AsyncRead for &Kept {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (Ok(0), buf)
    }

    async fn settle(&mut self) -> bool {
        self.0
    }
}

impl AsyncWrite for &Kept {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (Ok(0), buf)
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn settle_goes_through_wrappers() {
    for kept in [false, true] {
        let (source, none) = (&Kept(kept), &Kept(!kept));
        let mut by_value = source;
        assert_eq!(block_on(AsyncRead::settle(&mut &mut by_value)), kept);
        assert_eq!(block_on(AsyncRead::settle(&mut Box::new(source))), kept);
        assert_eq!(block_on(BufReader::new(source).settle()), kept);
        assert_eq!(block_on(BufWriter::new(source).settle()), kept);
        assert_eq!(block_on(join(source, none).settle()), kept);
        assert_eq!(block_on(split(Kept(kept)).0.settle()), kept);
        assert_eq!(block_on(source.take(1).settle()), kept);
        assert!(!block_on(source.take(0).settle()));
        let mut chain = source.chain(none);
        assert_eq!(block_on(chain.settle()), kept);
        // The first reader ends.
        block_on(chain.read([0; 1])).0.unwrap();
        assert_eq!(block_on(chain.settle()), !kept);
    }
}

#[test]
fn settle_of_buffered_readers_reports_their_bytes() {
    let mut reader = BufReader::new(&b"abc"[..]);
    assert!(!block_on(reader.settle()));
    block_on(reader.fill_buf()).unwrap();
    assert!(block_on(reader.settle()));
    AsyncBufRead::consume(&mut reader, 3);
    assert!(!block_on(reader.settle()));
    let mut reader = PollReader::new(&b"abc"[..]);
    assert!(!block_on(reader.settle()));
    block_on(reader.fill_buf()).unwrap();
    assert!(block_on(reader.settle()));
}

#[test]
fn cancel_returns_a_kept_error_behind_kept_bytes() {
    let source = Keeping {
        kept: vec![Err(ErrorKind::ConnectionReset), Ok(b"abc")],
        is_begun: false,
        later: b"",
    };
    let mut reader = PollReader::new(source);
    assert!(poll_once(reader.fill_buf()).is_none());
    let error = block_on(reader.cancel()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(reader.buffer(), b"abc");
}

#[test]
fn dropped_cancel_is_no_eof() {
    for kept in [vec![], vec![Ok(&b"kept"[..])]] {
        let expected = if kept.is_empty() {
            &b"later"[..]
        } else {
            b"kept"
        };
        let source = Keeping {
            kept,
            is_begun: false,
            later: b"later",
        };
        let mut reader = PollReader::new(source);
        assert!(poll_once(reader.fill_buf()).is_none());
        // The cancel waits in `settle`, and is dropped there.
        assert!(poll_once(reader.cancel()).is_none());
        assert_eq!(block_on(reader.fill_buf()).unwrap(), expected);
    }
}

#[test]
fn read_after_a_cancel_is_not_cancelled() {
    let mut reader = PollReader::new(Scripted::new(b"abc", &[Step::Hang, Step::Wait]));
    assert!(poll_once(reader.fill_buf()).is_none());
    block_on(reader.cancel()).unwrap();
    assert!(poll_once(reader.fill_buf()).is_none());
    assert_eq!(block_on(reader.fill_buf()).unwrap(), b"abc");
    assert_eq!(reader.get_ref().unwrap().operations, 2);
}

#[test]
fn joined_stream_returns_its_parts_after_the_last_operations() {
    let reader = PollReader::new(Scripted::new(b"abc", &[Step::Hang]));
    let writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Move(1)]));
    let mut stream = join(reader, writer);
    assert!(poll_once(stream.read([0; 1])).is_none());
    assert_eq!(poll_once(stream.write("def")).unwrap().0.unwrap(), 3);
    let (reader, writer, ahead) = block_on(stream.into_parts()).unwrap();
    assert_eq!(
        (reader.unread(), &writer.bytes[..]),
        (&b"abc"[..], &b"def"[..])
    );
    assert_eq!((writer.flushed, &ahead[..]), (1, &b""[..]));
}

#[test]
fn write_returns_before_it_has_been_done() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Move(2), Step::Wait]));
    assert_eq!(poll_once(writer.write("abcd")).unwrap().0.unwrap(), 4);
    assert!(writer.get_ref().is_none() && writer.get_mut().is_none());
    let mut writer = writer.into_inner().unwrap_err();
    // The next write waits for it. Dropped, it has accepted nothing.
    assert!(poll_once(writer.write("lost")).is_none());
    assert_eq!(
        block_on(writer.write_vectored(["ef", "", "g"])).0.unwrap(),
        3
    );
    block_on(writer.flush()).unwrap();
    assert_eq!(writer.into_inner().unwrap().bytes, b"abcdefg");
}

#[test]
fn a_write_takes_no_more_than_the_capacity() {
    let mut writer = PollWriter::with_capacity(3, Scripted::sink(&[]));
    assert_eq!(block_on(writer.write("abcd")).0.unwrap(), 3);
    assert_eq!(
        block_on(writer.write_vectored(["de", "fg", "h"]))
            .0
            .unwrap(),
        3
    );
    assert_eq!(PollWriter::with_capacity(0, Vec::new()).capacity(), 1);
    assert_eq!(writer.get_mut().unwrap().bytes, b"abcdef");
}

#[test]
fn writing_nothing_costs_no_operation() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Fail]));
    assert_eq!(block_on(writer.write("")).0.unwrap(), 0);
    assert_eq!(block_on(writer.write_vectored(["", ""])).0.unwrap(), 0);
    assert_eq!(writer.get_ref().unwrap().operations, 0);
}

#[test]
fn error_at_once_is_the_writes_own() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Fail]));
    let (written, buffer) = block_on(writer.write("abc"));
    assert_eq!(
        (written.unwrap_err().kind(), buffer),
        (ErrorKind::ConnectionReset, "abc")
    );
    block_on(writer.flush()).unwrap();
}

#[test]
fn later_error_is_returned_by_the_next_call() {
    for call in 0..3 {
        let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Fail]));
        assert!(poll_once(writer.write("abc")).unwrap().0.is_ok());
        let error = match call {
            0 => block_on(writer.write("x")).0.unwrap_err(),
            1 => block_on(writer.flush()).unwrap_err(),
            _ => block_on(writer.shutdown()).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // The error is returned only once.
        block_on(writer.flush()).unwrap();
    }
}

#[test]
fn full_sink_is_an_error() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Move(0)]));
    assert_eq!(
        block_on(writer.write("abc")).0.unwrap_err().kind(),
        ErrorKind::WriteZero
    );
}

#[test]
fn prefix_written_before_an_error_is_counted() {
    for (step, kind) in [
        (Step::Move(0), ErrorKind::WriteZero),
        (Step::Fail, ErrorKind::ConnectionReset),
    ] {
        let mut writer = PollWriter::new(Scripted::sink(&[Step::Move(10), step, step]));
        assert_eq!(block_on(writer.write("thirteen byte")).0.unwrap(), 10);
        let error = block_on(writer.write("yte")).0.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(writer.get_ref().unwrap().bytes, b"thirteen b");
    }
}

#[test]
fn error_after_a_prefix_is_returned_by_flush_and_shutdown() {
    for flushes in [true, false] {
        let mut writer = PollWriter::new(Scripted::sink(&[Step::Move(1), Step::Fail]));
        assert_eq!(block_on(writer.write("abc")).0.unwrap(), 1);
        let ended = if flushes {
            block_on(writer.flush())
        } else {
            block_on(writer.shutdown())
        };
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        block_on(writer.flush()).unwrap();
    }
}

/// A reader and writer that records the room of its reads and the capacity of its buffers.
#[derive(Default)]
struct Rooms {
    left: usize,
    rooms: Vec<usize>,
    buffers: Vec<usize>,
}

impl AsyncRead for Rooms {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        self.rooms.push(buf.buf_capacity());
        let len = self.left.min(buf.buf_capacity());
        self.left -= len;
        buf.init_from(&vec![0; len]);
        (Ok(len), buf)
    }
}

impl AsyncWrite for Rooms {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.buffers.push(buf.buf_capacity());
        (Ok(buf.buf_len()), buf)
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn room_of_a_reader_grows_and_shrinks() {
    let mut reader = PollReader::new(Rooms {
        left: 30_000,
        ..Rooms::default()
    });
    let (_, bytes) = block_on(reader.read_to_end(Vec::new()));
    assert_eq!(bytes.len(), 30_000);
    for _ in 0..4 {
        assert_eq!(block_on(reader.fill_buf()).unwrap(), b"");
    }
    let rooms = &reader.get_ref().unwrap().rooms;
    assert_eq!(rooms[..3], [1024, 4096, 8192]);
    assert_eq!(rooms.iter().max(), Some(&8192));
    assert_eq!(rooms.last(), Some(&1024), "{rooms:?}");
}

#[test]
fn flush_releases_a_large_buffer() {
    let mut writer = PollWriter::new(Rooms::default());
    let write = |writer: &mut PollWriter<Rooms>, len| {
        block_on(writer.write(vec![0; len])).0.unwrap();
        block_on(writer.flush()).unwrap();
    };
    write(&mut writer, 60_000);
    write(&mut writer, 10);
    write(&mut writer, 10);
    let buffers = &writer.get_ref().unwrap().buffers;
    assert!(buffers[0] >= 60_000 && buffers[1] <= 4096, "{buffers:?}");
    assert_eq!(buffers[1], buffers[2]);
}

#[test]
fn flush_and_shutdown_wait_for_all_and_happen_once() {
    let mut writer = PollWriter::new(Scripted::sink(&[Step::Wait, Step::Move(1), Step::Wait]));
    assert!(poll_once(writer.write("abc")).unwrap().0.is_ok());
    assert!(writer.poll_flush(&mut cx()).is_pending());
    assert!(matches!(writer.poll_flush(&mut cx()), Poll::Ready(Ok(()))));
    assert!(matches!(writer.poll_flush(&mut cx()), Poll::Ready(Ok(()))));
    block_on(writer.shutdown()).unwrap();
    block_on(writer.shutdown()).unwrap();
    assert_eq!(
        format!("{:?}", PollWriter::new(empty())),
        "PollWriter { writer: Some(Empty), capacity: 65536 }"
    );
    let sink = writer.into_inner().unwrap();
    assert_eq!(
        (&sink.bytes[..], sink.flushed, sink.shut_down),
        (&b"abc"[..], 1, 1)
    );
}

#[test]
fn dropped_at_every_poll_nothing_is_lost() {
    let script = [
        Step::Wait,
        Step::Move(2),
        Step::Wait,
        Step::Wait,
        Step::Move(3),
    ]
    .repeat(4);
    for polls in 0..20 {
        let mut reader = PollReader::with_capacity(4, Scripted::new(b"abcdefghijkl", &script));
        let mut first = Vec::new();
        poll_times(polls, async {
            loop {
                let (read, byte) = reader.read([0; 1]).await;
                if read.unwrap() == 0 {
                    break;
                }
                first.extend(byte);
            }
        });
        let (_, all) = block_on(reader.read_to_end(first));
        assert_eq!(all, b"abcdefghijkl");
    }
}

/// A sink, and how often it is aborted.
fn counted(steps: &[Step]) -> (PollWriter<Scripted>, Rc<Cell<usize>>) {
    let sink = Scripted::sink(steps);
    let aborts = Rc::clone(&sink.aborts);
    (PollWriter::new(sink), aborts)
}

/// No runner of detached operations is registered here: there is no runtime.
#[test]
fn s35_writer_with_acknowledged_bytes_is_aborted_if_dropped_without_runtime() {
    let (mut writer, aborts) = counted(&[Step::Hang]);
    assert_eq!(poll_once(writer.write("abc")).unwrap().0.unwrap(), 3);
    drop(writer);
    assert_eq!(aborts.get(), 1);

    let (mut writer, aborts) = counted(&[Step::Wait, Step::Move(1), Step::Hang]);
    assert_eq!(poll_once(writer.write("abc")).unwrap().0.unwrap(), 3);
    assert!(poll_once(writer.flush()).is_none());
    drop(writer);
    assert_eq!(aborts.get(), 1);
}

#[test]
fn s35_writer_is_aborted_if_acknowledged_bytes_fail_later() {
    let (mut writer, aborts) = counted(&[Step::Wait, Step::Fail]);
    assert!(poll_once(writer.write("abc")).unwrap().0.is_ok());
    block_on(writer.flush()).unwrap_err();
    assert_eq!(aborts.get(), 1);
}

#[test]
fn s35_writer_without_loss_is_not_aborted() {
    // The failure was returned instead of an acknowledgement.
    let (mut writer, aborts) = counted(&[Step::Fail]);
    block_on(writer.write("abc")).0.unwrap_err();
    drop(writer);
    assert_eq!(aborts.get(), 0);
    // All bytes are written.
    let (mut writer, aborts) = counted(&[Step::Wait, Step::Move(2)]);
    assert!(poll_once(writer.write("abc")).unwrap().0.is_ok());
    block_on(writer.flush()).unwrap();
    block_on(writer.shutdown()).unwrap();
    drop(writer.into_inner().unwrap());
    assert_eq!(aborts.get(), 0);
    let (writer, aborts) = counted(&[]);
    drop(writer);
    assert_eq!(aborts.get(), 0);
}

#[test]
fn s35_abort_goes_through_wrappers() {
    let sink = Scripted::sink(&[]);
    let aborts = Rc::clone(&sink.aborts);
    let mut wrapped = join(empty(), Box::new(BufWriter::new(PollWriter::new(sink))));
    wrapped.abort();
    AsyncWrite::abort(&mut &mut wrapped);
    assert_eq!(aborts.get(), 2);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn impatient_reads_lose_nothing(
        content in bytes(200),
        steps in hesitation(),
        capacity in 0usize..40,
        room in 1usize..40,
    ) {
        let mut reader = PollReader::with_capacity(capacity, Scripted::new(&content, &steps));
        let mut seen = Vec::new();
        loop {
            let (read, buffer) = impatiently(async || reader.read(vec_of(b"", room)).await);
            prop_assert_eq!(read.unwrap(), buffer.len());
            if buffer.is_empty() {
                break;
            }
            seen.extend(buffer);
        }
        prop_assert_eq!(seen, content);
    }

    #[test]
    fn impatient_writes_lose_and_repeat_nothing(
        content in bytes(200),
        steps in hesitation(),
        capacity in 0usize..40,
        sizes in vec(1usize..30, 1..20),
    ) {
        let mut writer = PollWriter::with_capacity(capacity, Scripted::sink(&steps));
        let (mut begin, mut sizes) = (0, sizes.iter().cycle());
        while begin < content.len() {
            let end = content.len().min(begin + sizes.next().unwrap());
            let part = &content[begin..end];
            let written = impatiently(async || writer.write(part.to_vec()).await.0);
            begin += written.unwrap();
        }
        impatiently(async || writer.flush().await).unwrap();
        impatiently(async || writer.shutdown().await).unwrap();
        let sink = writer.into_inner().unwrap();
        prop_assert_eq!((sink.bytes, sink.shut_down), (content, 1));
    }
}
