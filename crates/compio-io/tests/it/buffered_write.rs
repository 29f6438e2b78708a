//! `BufWriter`.

use std::io::ErrorKind;

use compio_io::{
    buf::IntoInner,
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter,
        duplex,
    },
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter};

/// A writer of four bytes' capacity over a scripted sink, holding `abc`.
fn holding_abc(steps: &[Step]) -> BufWriter<Scripted> {
    let mut writer = BufWriter::with_capacity(4, Scripted::sink(steps));
    block_on(writer.write_all("abc")).0.unwrap();
    assert_eq!(
        (writer.buffer(), writer.get_ref().operations),
        (&b"abc"[..], 0)
    );
    writer
}

#[test]
fn small_writes_share_one_operation() {
    let mut writer = BufWriter::new(Scripted::sink(&[]));
    for word in ["ab", "", "cd"] {
        assert_eq!(block_on(writer.write(word)).0.unwrap(), word.len());
    }
    assert_eq!(block_on(writer.write_vectored(["ef", "gh"])).0.unwrap(), 4);
    block_on(writer.flush()).unwrap();
    let sink = writer.into_inner();
    assert_eq!(
        (&sink.bytes[..], sink.operations, sink.flushed),
        (&b"abcdefgh"[..], 1, 1)
    );
}

#[test]
fn write_that_does_not_fit_flushes_first() {
    let mut writer = holding_abc(&[]);
    assert_eq!(block_on(writer.write("de")).0.unwrap(), 2);
    assert_eq!(
        (&writer.get_ref().bytes[..], writer.buffer()),
        (&b"abc"[..], &b"de"[..])
    );
}

#[test]
fn large_write_bypasses_the_empty_buffer() {
    let mut writer = holding_abc(&[]);
    assert_eq!(block_on(writer.write("defg")).0.unwrap(), 4);
    assert_eq!(
        (&writer.get_ref().bytes[..], writer.buffer()),
        (&b"abcdefg"[..], &b""[..])
    );
    block_on(writer.write_vectored_all(["hi", "jkl"]))
        .0
        .unwrap();
    // The sink takes one buffer at a time; the rest is small.
    assert_eq!(writer.get_ref().bytes, b"abcdefghi");
    assert_eq!(writer.buffer(), b"jkl");
}

#[test]
fn capacity_zero_buffers_nothing() {
    let mut writer = BufWriter::with_capacity(0, Scripted::sink(&[]));
    assert_eq!(writer.capacity(), 0);
    assert_eq!(block_on(writer.write("")).0.unwrap(), 0);
    assert_eq!(block_on(writer.write("a")).0.unwrap(), 1);
    assert_eq!(writer.get_ref().bytes, b"a");
}

#[test]
fn shutdown_flushes_first() {
    let mut writer = holding_abc(&[]);
    block_on(writer.shutdown()).unwrap();
    assert_eq!(
        (&writer.get_ref().bytes[..], writer.get_ref().shut_down),
        (&b"abc"[..], 1)
    );
}

#[test]
fn failed_flush_keeps_the_unwritten_bytes() {
    let mut writer = holding_abc(&[Step::Move(1), Step::Interrupt, Step::Fail, Step::Fail]);
    assert_eq!(
        block_on(writer.flush()).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(writer.buffer(), b"bc");
    // A write that has to flush fails as a whole, and hands its buffer back.
    let (written, buffer) = block_on(writer.write("de"));
    assert_eq!(
        (written.unwrap_err().kind(), buffer),
        (ErrorKind::ConnectionReset, "de")
    );
    assert_eq!(writer.buffer(), b"bc");
    block_on(writer.write_all("de")).0.unwrap();
    block_on(writer.flush()).unwrap();
    assert_eq!(writer.get_ref().bytes, b"abcde");
}

#[test]
fn failed_vectored_write_hands_the_buffers_back() {
    let mut writer = holding_abc(&[Step::Fail]);
    let (written, buffers) = block_on(writer.write_vectored(["d", "e"]));
    assert!(written.is_err());
    assert_eq!((buffers, writer.buffer()), (["d", "e"], &b"abc"[..]));
}

#[test]
fn full_sink_is_an_error_and_keeps_the_bytes() {
    let mut writer = holding_abc(&[Step::Move(1), Step::Move(0)]);
    assert_eq!(
        block_on(writer.flush()).unwrap_err().kind(),
        ErrorKind::WriteZero
    );
    let (sink, unwritten) = writer.into_parts();
    assert_eq!((&sink.bytes[..], &unwritten[..]), (&b"a"[..], &b"bc"[..]));
}

#[test]
fn dropped_flush_loses_the_buffer_and_leaves_the_writer_usable() {
    let mut writer = holding_abc(&[Step::Move(1), Step::Hang]);
    assert!(poll_once(writer.flush()).is_none());
    assert_eq!(
        (&writer.get_ref().bytes[..], writer.buffer()),
        (&b"a"[..], &b""[..])
    );
    block_on(writer.write_all("xy")).0.unwrap();
    assert_eq!(writer.buffer(), b"xy");
    block_on(writer.flush()).unwrap();
    assert_eq!(writer.get_ref().bytes, b"axy");
}

#[test]
fn dropped_write_after_a_failed_flush_leaves_the_writer_usable() {
    let mut writer = holding_abc(&[Step::Move(1), Step::Fail, Step::Hang]);
    assert!(block_on(writer.flush()).is_err());
    assert!(poll_once(writer.write("defgh")).is_none());
    assert_eq!(writer.buffer(), b"");
    block_on(writer.write_all("xy")).0.unwrap();
    assert_eq!(writer.into_parts().1, b"xy");
}

#[test]
fn parts_and_debug() {
    let mut writer = BufWriter::with_capacity(4, Vec::new());
    block_on(writer.write_all("abc")).0.unwrap();
    assert_eq!(
        format!("{writer:?}"),
        "BufWriter { writer: [], buffered: 3, capacity: 4 }"
    );
    writer.get_mut().push(b'x');
    assert_eq!(IntoInner::into_inner(writer), b"x");
}

#[test]
fn stream_that_buffers_both_directions_reads_and_writes() {
    block_on(async {
        let (mut peer, stream) = duplex(64);
        peer.write_all("one\ntwo\n").await.0.unwrap();
        let mut stream = BufWriter::new(BufReader::new(stream));
        assert_eq!(stream.read_line(String::new()).await.1, "one\n");
        stream.write_all("answer").await.0.unwrap();
        assert_eq!(stream.buffer(), b"answer");
        // The two directions do not share bytes.
        assert_eq!(stream.fill_buf().await.unwrap(), b"two\n");
        assert_eq!(stream.read([0; 2]).await.1, *b"tw");
        assert_eq!(stream.read_vectored([[0; 1]; 4]).await.0.unwrap(), 2);
        stream.flush().await.unwrap();
        assert_eq!(peer.read(Vec::with_capacity(16)).await.1, b"answer");
    });
}

#[test]
fn buffered_reader_writes_past_its_buffer() {
    block_on(async {
        let (mut peer, stream) = duplex(64);
        peer.write_all("ahead").await.0.unwrap();
        let mut stream = BufReader::new(stream);
        assert_eq!(stream.read([0; 1]).await.1, *b"a");
        assert_eq!(stream.write_vectored(("b", "c")).await.0.unwrap(), 2);
        stream.write_all("d").await.0.unwrap();
        stream.flush().await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.buffer(), b"head");
        assert_eq!(peer.read(Vec::with_capacity(16)).await.1, b"bcd");
        assert_eq!(peer.read(Vec::with_capacity(16)).await.0.unwrap(), 0);
    });
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_buffered_stream_is_the_stream(
        writes in vec(bytes(30), 0..20),
        steps in stutter(),
        capacity in 0usize..40,
    ) {
        let mut writer = BufWriter::with_capacity(capacity, Scripted::sink(&steps));
        for write in &writes {
            block_on(writer.write_all(write.clone())).0.unwrap();
            prop_assert!(writer.buffer().len() <= capacity);
        }
        block_on(writer.flush()).unwrap();
        prop_assert!(writer.buffer().is_empty());
        prop_assert_eq!(writer.into_inner().bytes, writes.concat());
    }
}
