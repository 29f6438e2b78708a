//! Options of opening files, compared with std.

use std::{fs, io, path::Path};

use compio::fs::{File, OpenOptions};

use crate::support::{Access, access, check_kind, odd_name, run};

/// The six options, as bits.
pub(crate) fn ours(bits: u8) -> OpenOptions {
    let on = |bit: u8| bits >> bit & 1 == 1;
    let mut options = OpenOptions::new();
    options.read(on(0)).write(on(1)).append(on(2));
    options.truncate(on(3)).create(on(4)).create_new(on(5));
    options
}

pub(crate) fn stds(bits: u8) -> fs::OpenOptions {
    let on = |bit: u8| bits >> bit & 1 == 1;
    let mut options = fs::OpenOptions::new();
    options.read(on(0)).write(on(1)).append(on(2));
    options.truncate(on(3)).create(on(4)).create_new(on(5));
    options
}

/// The outcome of an open: an error, or the content and the access of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed(io::ErrorKind),
    Opened {
        content: Option<Vec<u8>>,
        access: Access,
    },
}

pub(crate) fn outcome(opened: io::Result<fs::File>, path: &Path) -> Outcome {
    match opened {
        Ok(file) => Outcome::Opened {
            content: fs::read(path).ok(),
            access: access(&file, path),
        },
        Err(error) => Outcome::Failed(error.kind()),
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Missing,
    File,
    Directory,
    ReadOnlyFile,
}

/// Ignores a missing file.
fn set_read_only(path: &Path, read_only: bool) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.is_file()
    {
        let mut permissions = metadata.permissions();
        permissions.set_readonly(read_only);
        fs::set_permissions(path, permissions).unwrap();
    }
}

/// Checks that all three ways to open have the same outcome, for this combination of options.
fn check(bits: u8, place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let set_up = || {
        set_read_only(&path, false);
        let _ = fs::remove_file(&path);
        match place {
            Place::Missing => {}
            Place::File => fs::write(&path, "content").unwrap(),
            Place::Directory => drop(fs::create_dir(&path)),
            Place::ReadOnlyFile => {
                fs::write(&path, "content").unwrap();
                set_read_only(&path, true);
            }
        }
    };
    set_up();
    let expected = outcome(stds(bits).open(&path), &path);
    set_up();
    let opened = ours(bits).open(&path).map(|file| file.into_std().unwrap());
    assert_eq!(
        outcome(opened, &path),
        expected,
        "open {bits:06b} {place:?}"
    );
    set_up();
    let opened = run(ours(bits).open_async(&path)).map(|file| file.into_std().unwrap());
    let found = outcome(opened, &path);
    assert_eq!(found, expected, "open_async {bits:06b} {place:?}");
}

#[test]
fn all_combinations_of_options_on_a_missing_file_are_as_in_std() {
    (0..64).for_each(|bits| check(bits, Place::Missing));
}

#[test]
fn all_combinations_of_options_on_a_file_are_as_in_std() {
    (0..64).for_each(|bits| check(bits, Place::File));
}

#[test]
fn all_combinations_of_options_on_a_directory_are_as_in_std() {
    (0..64).for_each(|bits| check(bits, Place::Directory));
}

#[test]
fn all_combinations_of_options_on_a_read_only_file_are_as_in_std() {
    (0..64).for_each(|bits| check(bits, Place::ReadOnlyFile));
}

#[test]
fn a_missing_file_is_not_found() {
    run(async {
        let nowhere = "/nowhere/at/all";
        check_kind(File::open(nowhere), io::ErrorKind::NotFound);
        check_kind(File::open_async(nowhere).await, io::ErrorKind::NotFound);
        check_kind(File::create_async(nowhere).await, io::ErrorKind::NotFound);
    });
}

#[test]
fn a_name_with_a_zero_in_it_is_invalid() {
    run(async {
        check_kind(File::open("a\0b"), io::ErrorKind::InvalidInput);
        check_kind(File::open_async("a\0b").await, io::ErrorKind::InvalidInput);
    });
}

#[test]
fn names_need_be_neither_unicode_nor_short() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(odd_name());
        let file = File::create_async(&path).await.unwrap();
        file.write_at("hello", 0).await.0.unwrap();
        let again = File::open(&path).unwrap();
        assert_eq!(again.read_at(vec![], 0).await.0.unwrap(), 0);
        assert_eq!(again.metadata().await.unwrap().len(), 5);
        let long = dir.path().join("x".repeat(300));
        let expected = fs::File::create(&long).unwrap_err();
        check_kind(File::create_async(long).await, expected.kind());
    });
}
