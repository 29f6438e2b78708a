//! `AsyncWriteExt`.

use std::io::ErrorKind;

use compio_io::{
    buf::{IntoInner, IoBuf},
    io::{AsyncWrite, AsyncWriteExt},
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter, vec_of};

#[test]
fn writing_nothing_costs_no_operation() {
    let mut sink = Scripted::sink(&[Step::Fail]);
    block_on(sink.write_all("")).0.unwrap();
    block_on(sink.write_vectored_all(["", ""])).0.unwrap();
    block_on(sink.write_vectored_all(Vec::<String>::new()))
        .0
        .unwrap();
    assert_eq!(sink.operations, 0);
}

#[test]
fn full_sink_is_an_error_and_hands_the_buffer_back() {
    let mut sink = Scripted::sink(&[Step::Move(1), Step::Move(0)]);
    let (result, buffer) = block_on(sink.write_all(b"abc".to_vec()));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!(error.to_string(), "failed to write whole buffer");
    assert_eq!(buffer, b"abc");
    let mut sink = Scripted::sink(&[Step::Move(1), Step::Move(0)]);
    let (result, buffers) = block_on(sink.write_vectored_all(["a", "bc"]));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WriteZero);
    assert_eq!(buffers, ["a", "bc"]);
}

#[test]
fn failing_sink_hands_the_buffer_back() {
    let mut sink = Scripted::sink(&[Step::Move(1), Step::Fail, Step::Fail]);
    let (result, buffer) = block_on(sink.write_all(b"abc".to_vec()));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffer, b"abc");
    let (result, buffers) = block_on(sink.write_vectored_all(["a", "bc"]));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(buffers, ["a", "bc"]);
    assert_eq!(sink.bytes, b"a");
}

#[test]
fn only_initialised_bytes_of_a_window_are_written() {
    let mut sink = Vec::new();
    let (result, window) = block_on(sink.write_all(vec_of(b"abcd", 16).slice(1..10)));
    result.unwrap();
    assert_eq!(sink, b"bcd");
    assert_eq!(window.into_inner(), b"abcd");
}

#[test]
fn dropped_write_leaves_the_writer_usable() {
    let mut sink = Scripted::sink(&[Step::Move(2), Step::Hang]);
    assert!(poll_once(sink.write_all("abcd")).is_none());
    block_on(sink.write_all("xy")).0.unwrap();
    assert_eq!(sink.bytes, b"abxy");
}

#[test]
fn pointers_to_writers_write() {
    async fn put<W: AsyncWrite>(mut writer: W) {
        writer.write("a").await.0.unwrap();
        writer.write_vectored(["b"]).await.0.unwrap();
        writer.flush().await.unwrap();
        writer.shutdown().await.unwrap();
    }
    let mut sink = Scripted::sink(&[]);
    block_on(put(&mut sink));
    block_on(put(Box::new(&mut sink)));
    assert_eq!(sink.bytes, b"abab");
    assert_eq!((sink.flushed, sink.shut_down), (2, 2));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn write_all_writes_all(content in bytes(200), steps in stutter()) {
        let mut sink = Scripted::sink(&steps);
        let (result, buffer) = block_on(sink.write_all(content.clone()));
        result.unwrap();
        prop_assert_eq!(&buffer, &content);
        prop_assert_eq!(&sink.bytes, &content);
    }

    #[test]
    fn write_vectored_all_writes_all(content in vec(bytes(30), 0..8), steps in stutter()) {
        let mut sink = Scripted::sink(&steps);
        let (result, buffers) = block_on(sink.write_vectored_all(content.clone()));
        result.unwrap();
        prop_assert_eq!(&buffers, &content);
        prop_assert_eq!(sink.bytes, content.concat());
    }
}
