//! `Lines`, `Split` and `skip_until`.

use std::io::{self, ErrorKind};

use compio_io::io::{AsyncBufReadExt, BufReader};
use pollster::block_on;
use proptest::{prop_assert_eq, proptest};

use crate::script::{Scripted, Step, bytes, config, poll_once, stutter};

#[test]
fn nothing_has_no_lines_and_no_parts() {
    assert_eq!(block_on((&b""[..]).lines().next_line()).unwrap(), None);
    assert_eq!(
        block_on(BufReader::new(&b""[..]).split(b';').next_segment()).unwrap(),
        None
    );
    assert_eq!(block_on((&b""[..]).skip_until(b';')).unwrap(), 0);
}

#[test]
fn line_that_is_not_utf8_is_skipped() {
    let mut lines = (&b"a\n\xff\nb"[..]).lines();
    assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), "a");
    let error = block_on(lines.next_line()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), "b");
    assert_eq!(lines.into_inner(), b"");
}

#[test]
fn failure_and_drop_in_the_middle_of_a_line_keep_its_beginning() {
    let script = [Step::Move(2), Step::Fail, Step::Move(2), Step::Hang];
    let source = BufReader::new(Scripted::new(b"abcdef\ngh", &script));
    let mut lines = source.lines();
    assert_eq!(
        block_on(lines.next_line()).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert!(poll_once(lines.next_line()).is_none());
    assert_eq!(block_on(lines.next_line()).unwrap().unwrap(), "abcdef");
    assert_eq!(lines.get_mut().buffer(), b"gh");
}

#[test]
fn skipping_stops_behind_the_delimiter() {
    let script = [Step::Move(2), Step::Interrupt, Step::Move(3), Step::Fail];
    let mut source = BufReader::new(Scripted::new(b"abc;de", &script));
    assert_eq!(block_on(source.skip_until(b';')).unwrap(), 4);
    assert_eq!(source.buffer(), b"d");
    assert_eq!(
        block_on(source.skip_until(b';')).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(block_on(source.skip_until(b';')).unwrap(), 1);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lines_are_those_of_std(content in "[ab\r\n]{0,80}", steps in stutter(), capacity in 1usize..20) {
        let source = Scripted::new(content.as_bytes(), &steps);
        let mut lines = BufReader::with_capacity(capacity, source).lines();
        let mut seen = Vec::new();
        while let Some(line) = block_on(lines.next_line()).unwrap() {
            seen.push(line);
        }
        let expected: Vec<_> = io::BufRead::lines(content.as_bytes()).map(Result::unwrap).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn parts_are_those_of_std(content in bytes(80), delimiter: u8, steps in stutter()) {
        let source = Scripted::new(&content, &steps);
        let mut parts = BufReader::with_capacity(7, source).split(delimiter);
        let mut seen = Vec::new();
        while let Some(part) = block_on(parts.next_segment()).unwrap() {
            seen.push(part);
        }
        let expected: Vec<_> = io::BufRead::split(&content[..], delimiter).map(Result::unwrap).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn reading_and_skipping_until_are_those_of_std(content in bytes(80), delimiter: u8, steps in stutter()) {
        let mut ours = BufReader::with_capacity(7, Scripted::new(&content, &steps));
        let mut theirs = &content[..];
        while !theirs.is_empty() {
            let mut expected = Vec::new();
            io::BufRead::read_until(&mut theirs, delimiter, &mut expected).unwrap();
            prop_assert_eq!(block_on(ours.read_until(delimiter, Vec::new())).1, expected);
            let skipped = io::BufRead::skip_until(&mut theirs, delimiter).unwrap();
            prop_assert_eq!(block_on(ours.skip_until(delimiter)).unwrap(), skipped);
        }
    }
}
