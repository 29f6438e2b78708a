//! Parsing of changes: valid ones, and malformed ones.

use proptest::prelude::*;

use super::*;

/// Changes as the system writes them: each but the first begins at a multiple of `align` bytes.
fn written(align: usize, changes: &[(u32, &str)]) -> DirectoryChanges {
    let mut bytes = Vec::new();
    for (place, (action, name)) in changes.iter().enumerate() {
        let units: Vec<u16> = name.encode_utf16().collect();
        let size = HEAD + units.len() * 2;
        let is_last = place + 1 == changes.len();
        let padding = if is_last {
            0
        } else {
            size.next_multiple_of(align) - size
        };
        let next = if is_last { 0 } else { (size + padding) as u32 };
        for word in [next, *action, units.len() as u32 * 2] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(iter::repeat_n(0xff, padding));
    }
    let len = bytes.len();
    bytes.resize(len.next_multiple_of(4), 0xff);
    let words = bytes.as_chunks().0;
    DirectoryChanges {
        words: words.iter().map(|four| u32::from_le_bytes(*four)).collect(),
        len,
        were_lost: false,
    }
}

#[track_caller]
fn check(changes: &DirectoryChanges, expected: &[(ChangeKind, &str)]) {
    let read: Vec<_> = changes.iter().collect();
    let read: Vec<_> = read
        .iter()
        .map(|change| (change.kind, change.path.to_str().expect("a name")))
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn each_change_is_read() {
    // Windows aligns each change to a whole word, Wine does not.
    for align in [4, 2] {
        let changes = [
            (FILE_ACTION_ADDED, "odd"),
            (FILE_ACTION_RENAMED_OLD_NAME, "even"),
            (FILE_ACTION_RENAMED_NEW_NAME, ""),
            (77, r"below\größe"),
        ];
        check(
            &written(align, &changes),
            &[
                (ChangeKind::Added, "odd"),
                (ChangeKind::RenamedFrom, "even"),
                (ChangeKind::RenamedTo, ""),
                (ChangeKind::Other(77), r"below\größe"),
            ],
        );
    }
}

#[test]
fn nothing_is_read_where_nothing_was_written() {
    check(&DirectoryChanges::default(), &[]);
    check(&DirectoryChanges::with_capacity(64), &[]);
}

#[test]
fn a_name_that_is_cut_off_is_left_out() {
    let mut changes = written(
        4,
        &[(FILE_ACTION_ADDED, "whole"), (FILE_ACTION_ADDED, "cut")],
    );
    changes.len -= 1;
    check(&changes, &[(ChangeKind::Added, "whole")]);
}

#[test]
fn a_head_that_is_cut_off_is_left_out() {
    let mut changes = written(4, &[(FILE_ACTION_ADDED, "whole"), (FILE_ACTION_ADDED, "")]);
    changes.len -= 1;
    check(&changes, &[(ChangeKind::Added, "whole")]);
}

#[test]
fn a_name_longer_than_the_memory_is_left_out() {
    let mut changes = written(4, &[(FILE_ACTION_ADDED, "name")]);
    changes.words[2] = u32::MAX;
    check(&changes, &[]);
}

#[test]
fn a_next_change_that_is_nowhere_ends_it() {
    for next in [1, 2, 4, 8, 13, 17, 1000, u32::MAX, u32::MAX - 3] {
        let mut changes = written(4, &[(FILE_ACTION_ADDED, "one"), (FILE_ACTION_ADDED, "two")]);
        changes.words[0] = next;
        check(&changes, &[(ChangeKind::Added, "one")]);
    }
}

#[test]
fn room_is_for_whole_words() {
    let capacities = [0, 1, 4, 5].map(|bytes| DirectoryChanges::with_capacity(bytes).capacity());
    assert_eq!(capacities, [0, 4, 4, 8]);
}

proptest! {
    #[test]
    fn iteration_ends_for_any_memory(
        words in prop::collection::vec(prop_oneof![0u32..64, any::<u32>()], 0..64),
        cut in 0usize..64,
    ) {
        let len = (words.len() * 4).saturating_sub(cut);
        let changes = DirectoryChanges { words, len, were_lost: false };
        prop_assert!(changes.iter().count() <= len / HEAD);
    }
}
