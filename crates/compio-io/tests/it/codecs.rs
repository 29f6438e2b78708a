//! The codecs: frames are independent of the boundaries of reads.

use std::io::{self, ErrorKind};

use bytes::BytesMut;
use compio_io::framed::{
    AnyDelimiterCodec, BytesCodec, CodecError, Decoder, Encoder, FramedRead, FramedWrite,
    LengthDelimitedCodec, LinesCodec,
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

use crate::script::{Scripted, bytes, config, stutter};

/// All results of a codec, errors included. The codec must continue after each error.
fn decoded<D: Decoder>(codec: D, source: Scripted) -> Vec<Result<D::Item, D::Error>> {
    let mut frames = FramedRead::new(source, codec);
    let mut seen = Vec::new();
    let mut failed = false;
    loop {
        match block_on(frames.next()) {
            Some(frame) => {
                assert!(seen.len() < 1000, "it finds the same again and again");
                failed = frame.is_err();
                seen.push(frame);
            }
            None if failed => failed = false,
            None => return seen,
        }
    }
}

/// The bytes of encoded frames.
fn encoded<E: Encoder<I>, I>(codec: E, frames: impl IntoIterator<Item = I>) -> Vec<u8>
where
    E::Error: std::fmt::Debug,
{
    let mut writer = FramedWrite::new(Vec::new(), codec);
    for frame in frames {
        block_on(writer.feed(frame)).unwrap();
    }
    block_on(writer.close()).unwrap();
    writer.into_parts().ok().unwrap().0
}

fn whole(content: &[u8]) -> Scripted {
    Scripted::new(content, &[])
}

#[track_caller]
fn check_frames<D: Decoder<Error = CodecError>>(codec: D, content: &[u8], expected: &[&[u8]])
where
    D::Item: AsRef<[u8]>,
{
    let frames: Vec<_> = decoded(codec, whole(content))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let frames: Vec<_> = frames.iter().map(AsRef::as_ref).collect();
    assert_eq!(frames, expected);
}

#[test]
fn nothing_has_no_frames() {
    check_frames(LinesCodec::default(), b"", &[]);
    check_frames(AnyDelimiterCodec::new(b";", b";"), b"", &[]);
    check_frames(LengthDelimitedCodec::default(), b"", &[]);
    assert!(decoded(BytesCodec, whole(b"")).is_empty());
}

#[test]
fn lines_end_with_or_without_a_return() {
    check_frames(
        LinesCodec::new(),
        b"a\r\n\r\n\nb\rc\nd",
        &[b"a", b"", b"", b"b\rc", b"d"],
    );
    check_frames(LinesCodec::new(), b"a\r", &[b"a\r"]);
}

#[test]
fn longest_line_passes_and_a_longer_one_is_skipped() {
    let lines = decoded(
        LinesCodec::new_with_max_length(3),
        whole(b"abc\nabcd\nab\nabcdef"),
    );
    let [
        Ok(first),
        Err(CodecError::TooLong),
        Ok(third),
        Err(CodecError::TooLong),
    ] = &lines[..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!((&first[..], &third[..]), ("abc", "ab"));
    assert_eq!(LinesCodec::new_with_max_length(3).max_length(), 3);
}

#[test]
fn endless_line_takes_no_memory() {
    let endless = compio_io::io::AsyncReadExt::take(compio_io::io::repeat(b'x'), 1 << 20);
    let mut lines = FramedRead::new(endless, LinesCodec::new_with_max_length(100));
    let error = block_on(lines.next()).unwrap().unwrap_err();
    assert!(matches!(error, CodecError::TooLong));
    assert!(block_on(lines.next()).is_none());
    assert!(block_on(lines.next()).is_none());
    assert!(lines.read_buffer().unwrap().capacity() < 64 * 1024);
}

#[test]
fn line_that_is_not_utf8_is_skipped() {
    let lines = decoded(LinesCodec::new(), whole(b"a\n\xff\nb\n\xff"));
    assert!(matches!(
        &lines[..],
        [Ok(_), Err(CodecError::Utf8), Ok(_), Err(CodecError::Utf8)]
    ));
}

#[test]
fn too_long_frames_are_not_sent() {
    let mut sent = BytesMut::from("x");
    let error = LinesCodec::new_with_max_length(2)
        .encode("abc", &mut sent)
        .unwrap_err();
    assert!(matches!(error, CodecError::TooLong));
    let mut codec = AnyDelimiterCodec::new_with_max_length(b";", b";", 2);
    assert!(matches!(
        codec.encode("abc", &mut sent),
        Err(CodecError::TooLong)
    ));
    let mut codec = LengthDelimitedCodec::new().max_frame_length(2);
    assert!(matches!(
        codec.encode("abc", &mut sent),
        Err(CodecError::TooLong)
    ));
    let mut codec = LengthDelimitedCodec::new().length_field_length(1);
    codec.encode([7; 255], &mut sent).unwrap();
    assert!(matches!(
        codec.encode([7; 256], &mut sent),
        Err(CodecError::TooLong)
    ));
    assert_eq!(sent.len(), 1 + 256);
}

#[test]
fn any_of_the_delimiters_ends_a_frame() {
    let codec = AnyDelimiterCodec::new(b",;".to_vec(), Vec::new());
    check_frames(codec.clone(), b",a;;b", &[b"", b"a", b"", b"b"]);
    assert_eq!(encoded(codec, ["a", "b"]), b"ab");
    let codec = AnyDelimiterCodec::new_with_max_length(b";", b";", 1);
    let parts = decoded(codec, whole(b"abc;d"));
    assert!(matches!(&parts[..], [Err(CodecError::TooLong), Ok(_)]));
}

#[test]
fn length_counts_the_frame() {
    check_frames(
        LengthDelimitedCodec::new(),
        b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c",
        &[b"ab", b"", b"c"],
    );
    let codec = LengthDelimitedCodec::new()
        .length_field_length(3)
        .little_endian();
    check_frames(codec.clone(), b"\x02\0\0ab", &[b"ab"]);
    assert_eq!(encoded(codec.big_endian(), ["ab"]), b"\0\0\x02ab");
}

#[test]
fn header_can_be_kept() {
    let codec = LengthDelimitedCodec::new()
        .length_field_length(2)
        .length_adjustment(2)
        .num_skip(0);
    check_frames(codec.clone(), b"\0\x0bHello world", &[b"\0\x0bHello world"]);
    assert_eq!(encoded(codec, ["Hello world"]), b"\0\x0bHello world");
}

#[test]
fn length_can_count_its_header() {
    let codec = LengthDelimitedCodec::new()
        .length_field_length(2)
        .length_adjustment(-2);
    check_frames(codec.clone(), b"\0\x05abc", &[b"abc"]);
    assert_eq!(encoded(codec, ["abc"]), b"\0\x05abc");
}

#[test]
fn length_can_stand_within_a_header() {
    let codec = LengthDelimitedCodec::new()
        .length_field_offset(1)
        .length_field_length(2)
        .length_adjustment(1)
        .num_skip(3);
    check_frames(codec.clone(), b"\xca\0\x03\xfeabc", &[b"\xfeabc"]);
    check_frames(
        codec.clone().length_adjustment(0).num_skip(4),
        b"\xca\0\x03\xfeabc",
        &[b"abc"],
    );
    let error = BytesMut::new();
    let mut sent = error;
    assert!(matches!(
        codec.clone().encode("abc", &mut sent),
        Err(CodecError::Length)
    ));
    let mut codec = LengthDelimitedCodec::new().num_skip(5);
    assert!(matches!(
        codec.encode("abc", &mut sent),
        Err(CodecError::Length)
    ));
    let mut codec = LengthDelimitedCodec::new().length_adjustment(5);
    assert!(matches!(
        codec.encode("abc", &mut sent),
        Err(CodecError::Length)
    ));
    assert!(sent.is_empty());
}

#[test]
fn length_over_the_limit_is_an_error_before_there_is_memory() {
    for (codec, header) in [
        (LengthDelimitedCodec::new(), &b"\xff\xff\xff\xff"[..]),
        (
            LengthDelimitedCodec::new().length_field_length(8),
            &[0xff; 8],
        ),
        // Above 32 bits, where a cast would leave 1.
        (
            LengthDelimitedCodec::new().length_field_length(8),
            b"\0\0\0\x01\0\0\0\x01",
        ),
        (
            LengthDelimitedCodec::new()
                .length_field_length(8)
                .length_adjustment(isize::MAX),
            &[0xff; 8],
        ),
        (
            LengthDelimitedCodec::new().max_frame_length(2),
            b"\0\0\0\x03",
        ),
    ] {
        let mut frames = FramedRead::new(whole(&[header, b"rest"].concat()), codec);
        let error = block_on(frames.next()).unwrap().unwrap_err();
        assert!(matches!(error, CodecError::TooLong), "{error:?}");
        assert!(block_on(frames.next()).is_none());
        assert!(frames.read_buffer().unwrap().capacity() < 64 * 1024);
        // The start of the next frame is unknown.
        assert!(block_on(frames.next()).unwrap().is_err());
    }
}

#[test]
fn largest_length_is_no_trouble_without_a_limit() {
    let codec = LengthDelimitedCodec::new()
        .length_field_length(8)
        .max_frame_length(usize::MAX);
    let mut sent = BytesMut::new();
    codec.clone().encode("abc", &mut sent).unwrap();
    check_frames(codec, &sent, &[b"abc"]);
}

#[test]
fn length_below_zero_is_an_error() {
    let codec = LengthDelimitedCodec::new().length_adjustment(-3);
    let mut frames = FramedRead::new(whole(b"\0\0\0\x02"), codec);
    let error = block_on(frames.next()).unwrap().unwrap_err();
    assert!(matches!(error, CodecError::Length));
}

#[test]
fn frame_that_ends_within_its_header_is_an_error() {
    // The length counts the header, which is kept. With length zero, empty frames would never end.
    let codec = LengthDelimitedCodec::new()
        .length_field_length(2)
        .num_skip(0);
    check_frames(codec.clone(), b"\0\x02\0\x03a", &[b"\0\x02", b"\0\x03a"]);
    for header in [b"\0\0", b"\0\x01"] {
        let mut frames = FramedRead::new(whole(header), codec.clone());
        let error = block_on(frames.next()).unwrap().unwrap_err();
        assert!(matches!(error, CodecError::Length));
    }
}

#[test]
fn longest_frame_that_is_sent_with_its_header_can_be_read() {
    let codec = LengthDelimitedCodec::new()
        .length_field_length(2)
        .length_adjustment(2)
        .num_skip(0)
        .max_frame_length(5);
    let sent = encoded(codec.clone(), ["abc"]);
    check_frames(codec.clone(), &sent, &[b"\0\x03abc"]);
    assert!(matches!(
        codec.clone().encode("abcd", &mut BytesMut::new()),
        Err(CodecError::TooLong)
    ));
}

#[test]
fn end_within_a_frame_is_an_error() {
    for content in [&b"\0\0"[..], b"\0\0\0\x02", b"\0\0\0\x02a"] {
        let mut frames = FramedRead::new(whole(content), LengthDelimitedCodec::new());
        let error = io::Error::from(block_on(frames.next()).unwrap().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
#[should_panic(expected = "a length field of 9 bytes, not 1 to 8")]
fn length_field_has_eight_bytes_at_most() {
    let _ = LengthDelimitedCodec::new().length_field_length(9);
}

#[test]
fn errors_name_their_cause_and_become_io_errors() {
    for (error, text) in [
        (CodecError::TooLong, "the frame is too long"),
        (CodecError::Length, "the length of the frame is invalid"),
        (CodecError::Utf8, "the line is not UTF-8"),
    ] {
        assert_eq!(error.to_string(), text);
        let error = io::Error::from(error);
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::InvalidData, text.into())
        );
    }
    let error = CodecError::from(io::Error::other("x"));
    assert!(std::error::Error::source(&error).is_none());
    assert_eq!(
        (error.to_string(), io::Error::from(error).kind()),
        ("x".into(), ErrorKind::Other)
    );
}

#[cfg(feature = "serde_json")]
mod json {
    use std::io;

    use compio_io::framed::{CodecError, JsonCodec, JsonError, LengthDelimitedCodec, LinesCodec};
    use proptest::{collection::vec, prop_assert_eq, proptest};

    use super::{decoded, encoded, whole};
    use crate::script::{Scripted, config, stutter};

    type Value = (u32, Vec<Option<String>>);

    #[test]
    fn other_json_and_no_json_are_errors_and_skipped() {
        let codec = JsonCodec::<_, u32>::new(LinesCodec::new_with_max_length(8));
        let values = decoded(codec, whole(b"1\n\"x\"\n{\n2\n1234567890\n3"));
        let [
            Ok(1),
            Err(JsonError::Json(e)),
            Err(JsonError::Json(_)),
            Ok(2),
            Err(JsonError::Codec(CodecError::TooLong)),
            Ok(3),
        ] = &values[..]
        else {
            panic!("{values:?}");
        };
        assert!(e.to_string().contains("invalid type"));
    }

    #[test]
    fn error_of_the_reader_is_the_codecs() {
        let error = JsonError::<CodecError>::from(io::Error::other("x"));
        assert_eq!(error.to_string(), "x");
        assert!(matches!(error, JsonError::Codec(CodecError::Io(_))));
        assert!(std::error::Error::source(&error).is_none());
        let codec = JsonCodec::<_, u32>::new(LinesCodec::new_with_max_length(8));
        assert_eq!(
            codec.get_ref().max_length(),
            codec.clone().into_inner().max_length()
        );
        assert!(format!("{codec:?}").starts_with("JsonCodec(LinesCodec"));
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn values_arrive(
            values in vec((0u32..9, vec(proptest::option::of("[ab\n\"]{0,5}"), 0..4)), 0..6),
            steps in stutter(),
        ) {
            let expected: Vec<Value> = values;
            let lines = JsonCodec::<_, Value>::new(LinesCodec::new());
            let sent = encoded(lines.clone(), &expected);
            prop_assert_eq!(sent.iter().filter(|&&byte| byte == b'\n').count(), expected.len());
            let seen: Result<Vec<_>, _> = decoded(lines, Scripted::new(&sent, &steps)).into_iter().collect();
            prop_assert_eq!(seen.unwrap(), expected.clone());

            let lengths = JsonCodec::<_, Value>::new(LengthDelimitedCodec::new());
            let sent = encoded(lengths.clone(), &expected);
            let seen: Result<Vec<_>, _> = decoded(lengths, Scripted::new(&sent, &steps)).into_iter().collect();
            prop_assert_eq!(seen.unwrap(), expected);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lines_are_those_of_std(content in "[ab\r\n]{0,80}", steps in stutter()) {
        let lines = decoded(LinesCodec::new(), Scripted::new(content.as_bytes(), &steps));
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        let expected: Vec<_> = io::BufRead::lines(content.as_bytes()).map(Result::unwrap).collect();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn limited_lines_do_not_depend_on_how_they_are_cut(
        content in "[ab\r\n]{0,80}",
        steps in stutter(),
        len_max in 0usize..10,
    ) {
        let codec = LinesCodec::new_with_max_length(len_max);
        let seen = decoded(codec, Scripted::new(content.as_bytes(), &steps));
        let mut segments: Vec<_> = content.split('\n').collect();
        segments.pop_if(|last| last.is_empty());
        prop_assert_eq!(seen.len(), segments.len());
        for (index, (line, segment)) in seen.into_iter().zip(&segments).enumerate() {
            let ended = index + 1 < segments.len() || content.ends_with('\n');
            let expected = if ended { segment.strip_suffix('\r').unwrap_or(segment) } else { segment };
            match line {
                Ok(line) => prop_assert_eq!(line, expected),
                Err(e) => prop_assert!(matches!(e, CodecError::TooLong) && segment.len() > len_max),
            }
        }
    }

    #[test]
    fn delimited_frames_arrive(
        frames in vec("[a-z]{0,10}", 0..8),
        steps in stutter(),
    ) {
        let codec = AnyDelimiterCodec::new(b",;", b";");
        let sent = encoded(codec.clone(), &frames);
        let seen: Result<Vec<_>, _> = decoded(codec, Scripted::new(&sent, &steps)).into_iter().collect();
        prop_assert_eq!(seen.unwrap(), frames);
    }

    #[test]
    fn frames_with_a_length_arrive(
        frames in vec(bytes(40), 0..8),
        steps in stutter(),
        field_len in 1usize..=8,
        little_endian: bool,
        adjustment in -300isize..=0,
        keep in 0usize..=8,
    ) {
        let kept = keep.min(field_len);
        let mut codec = LengthDelimitedCodec::new()
            .length_field_length(field_len)
            .num_skip(field_len - kept)
            .length_adjustment(if field_len == 1 { kept as isize } else { adjustment });
        if little_endian {
            codec = codec.little_endian();
        }
        let sent = encoded(codec.clone(), &frames);
        let seen = decoded(codec, Scripted::new(&sent, &steps));
        prop_assert_eq!(seen.len(), frames.len());
        for (frame, expected) in seen.into_iter().zip(frames) {
            prop_assert_eq!(&frame.unwrap()[kept..], &expected);
        }
    }

    #[test]
    fn any_bytes_make_no_trouble(
        content in bytes(200),
        steps in stutter(),
        field_len in 1usize..=8,
        offset in 0usize..4,
        adjustment in -20isize..20,
        skip in 0usize..20,
        len_max in 0usize..50,
    ) {
        let codec = LengthDelimitedCodec::new()
            .length_field_length(field_len)
            .length_field_offset(offset)
            .length_adjustment(adjustment)
            .num_skip(skip)
            .max_frame_length(len_max);
        let mut frames = FramedRead::new(Scripted::new(&content, &steps), codec);
        // Empty frames with an empty header never end.
        for _ in 0..300 {
            match block_on(frames.next()) {
                Some(Ok(frame)) => prop_assert!(frame.len() <= len_max),
                Some(Err(_)) | None => break,
            }
        }
    }

    #[test]
    fn bytes_pass(writes in vec(bytes(40), 0..8), steps in stutter()) {
        let sent = encoded(BytesCodec, &writes);
        let seen = decoded(BytesCodec, Scripted::new(&sent, &steps));
        let seen: Vec<_> = seen.into_iter().map(Result::unwrap).collect();
        prop_assert!(seen.iter().all(|chunk| !chunk.is_empty()));
        prop_assert_eq!(seen.concat(), writes.concat());
    }
}
