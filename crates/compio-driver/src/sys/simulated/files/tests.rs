//! The durable images of the file system after losses of power.

use std::collections::BTreeSet;

use super::{At, Duration, FaultStream, FileSystem, Site, Unsynced};
use crate::sys::simulated::{
    injector::Injector,
    rng::{Clock, Rng},
};

const TIME: Duration = Duration::ZERO;

fn with_seed(seed: u64) -> FileSystem {
    let rng = Rng::of_name(seed, "disk", &Clock::default());
    let stream = FaultStream::new(rng, Injector::default());
    FileSystem::new(TIME, stream, Site::Host(0))
}

/// An empty file system that loses all unsynced changes.
fn new() -> FileSystem {
    let mut files = with_seed(0);
    files.disk.faults.unsynced = Unsynced::Lost;
    files
}

fn open(files: &mut FileSystem, path: &str, flags: i32) -> u64 {
    files
        .open_at(At::root(path.as_bytes()), flags, 0o644, TIME)
        .expect("the file must open")
}

fn write(files: &mut FileSystem, path: &str, content: &str) -> u64 {
    let file = open(files, path, libc::O_CREAT | libc::O_RDWR | libc::O_TRUNC);
    files
        .write(file, Some(0), content.as_bytes(), TIME)
        .expect("a write");
    file
}

fn read(files: &mut FileSystem, path: &str) -> Result<String, i32> {
    let file = files.open_at(At::root(path.as_bytes()), libc::O_RDONLY, 0, TIME)?;
    let bytes = files.read(file, Some(0), usize::MAX, TIME)?;
    files.close(file);
    Ok(String::from_utf8(bytes).expect("text"))
}

#[test]
fn removed_file_lives_until_its_close() {
    let mut files = new();
    let file = write(&mut files, "/a", "content");
    let count = files.inodes.len();
    files.remove(At::root(b"/a"), false, TIME).unwrap();
    files.sync_dir(super::ROOT);
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(files.read(file, Some(0), 3, TIME).unwrap(), b"con");
    files.close(file);
    assert_eq!(files.inodes.len(), count - 1);
}

#[test]
fn rename_replaces_the_target() {
    let mut files = new();
    let (one, other) = (write(&mut files, "/a", "a"), write(&mut files, "/b", "b"));
    files.close(one);
    files.close(other);
    files
        .rename(At::root(b"/a"), At::root(b"/b"), TIME)
        .unwrap();
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(read(&mut files, "/b").as_deref(), Ok("a"));
}

#[test]
fn rename_into_itself_is_refused() {
    let mut files = new();
    files.make_dirs(b"/a/b", 0o755, TIME).unwrap();
    assert_eq!(
        files.rename(At::root(b"/a"), At::root(b"/a/b/c"), TIME),
        Err(libc::EINVAL)
    );
    files
        .rename(At::root(b"/a/b"), At::root(b"/b"), TIME)
        .unwrap();
    assert_eq!(files.canonicalize(b"/b/../b/./").unwrap(), b"/b");
}

#[test]
fn symlinks_are_followed_up_to_a_limit() {
    let mut files = new();
    files.make_dirs(b"/data/inner", 0o755, TIME).unwrap();
    let file = write(&mut files, "/data/inner/file", "found");
    files.close(file);
    files
        .symlink(b"data/inner", At::root(b"/link"), TIME)
        .unwrap();
    assert_eq!(read(&mut files, "/link/file").as_deref(), Ok("found"));
    assert_eq!(
        files.canonicalize(b"link/file").unwrap(),
        b"/data/inner/file"
    );
    files.symlink(b"loop", At::root(b"/loop"), TIME).unwrap();
    assert_eq!(read(&mut files, "/loop"), Err(libc::ELOOP));
}

#[test]
fn file_without_a_sync_of_its_directory_is_lost() {
    let mut files = new();
    let file = write(&mut files, "/a", "content");
    files.sync(file).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(files.inodes.len(), 2, "the root and /tmp");
}

#[test]
fn content_without_a_sync_is_lost() {
    let mut files = new();
    let file = write(&mut files, "/a", "content");
    let root = open(&mut files, "/", libc::O_RDONLY);
    files.sync(root).unwrap();
    files.sync(file).unwrap();
    files.write(file, Some(0), b"CON", TIME).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/a").as_deref(), Ok("content"));
}

#[test]
fn removal_without_a_sync_is_undone() {
    let mut files = new();
    let file = write(&mut files, "/a", "content");
    let root = open(&mut files, "/", libc::O_RDONLY);
    files.sync(file).unwrap();
    files.sync(root).unwrap();
    files.close(file);
    files.remove(At::root(b"/a"), false, TIME).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/a").as_deref(), Ok("content"));
}

/// The results of losses of power with different seeds.
fn survivors(change: impl Fn(&mut FileSystem)) -> BTreeSet<Vec<(String, String)>> {
    let result = |seed| {
        let mut files = with_seed(seed);
        change(&mut files);
        files.lose_unsynced();
        assert_eq!(files.pending.len(), 0);
        let names = files.read_dir(At::root(b"/")).unwrap();
        let names = names.into_iter().map(|(name, ..)| name);
        let names: Vec<String> = names.map(|name| String::from_utf8(name).unwrap()).collect();
        let mut content = Vec::new();
        for name in names {
            if let Ok(text) = read(&mut files, &format!("/{name}")) {
                content.push((name, text));
            }
        }
        content
    };
    (0..400).map(result).collect()
}

fn entries(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    entries.iter().map(own).collect()
}

#[test]
fn rename_without_a_sync_has_the_old_or_the_new_name() {
    let found = survivors(|files| {
        let (old, new) = (write(files, "/a", "old"), write(files, "/b", "new"));
        files.sync(old).unwrap();
        files.sync(new).unwrap();
        files.sync_dir(super::ROOT);
        files
            .rename(At::root(b"/b"), At::root(b"/a"), TIME)
            .unwrap();
        // It would free the old name, so it depends on the rename.
        let other = write(files, "/b", "x");
        files.sync(other).unwrap();
    });
    let expected = [
        entries(&[("a", "new")]),
        entries(&[("a", "new"), ("b", "x")]),
        entries(&[("a", "old"), ("b", "new")]),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn creations_without_a_sync_are_independent() {
    let found = survivors(|files| {
        for name in ["/a", "/b"] {
            let file = write(files, name, "x");
            files.sync(file).unwrap();
        }
    });
    let expected = [
        entries(&[]),
        entries(&[("a", "x")]),
        entries(&[("b", "x")]),
        entries(&[("a", "x"), ("b", "x")]),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn move_into_a_new_directory_never_loses_the_file() {
    for seed in 0..400 {
        let mut files = with_seed(seed);
        let file = write(&mut files, "/a", "x");
        files.sync(file).unwrap();
        files.sync_dir(super::ROOT);
        files.make_dir(At::root(b"/d"), 0o755, TIME).unwrap();
        files.make_dir(At::root(b"/d/e"), 0o755, TIME).unwrap();
        files
            .rename(At::root(b"/a"), At::root(b"/d/e/a"), TIME)
            .unwrap();
        files
            .rename(At::root(b"/d/e"), At::root(b"/f"), TIME)
            .unwrap();
        files.remove(At::root(b"/d"), true, TIME).unwrap();
        files.lose_unsynced();
        let names = ["/a", "/d/e/a", "/f/a"];
        let found = names.map(|name| read(&mut files, name).is_ok());
        let count = found.iter().filter(|is_found| **is_found).count();
        assert_eq!(count, 1, "seed {seed}: {found:?}");
    }
}

#[test]
fn sync_of_a_new_directory_keeps_not_its_own_name() {
    let mut files = new();
    files.make_dir(At::root(b"/d"), 0o755, TIME).unwrap();
    let file = write(&mut files, "/d/a", "x");
    files.sync(file).unwrap();
    let dir = open(&mut files, "/d", libc::O_RDONLY);
    files.sync(dir).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/d/a"), Err(libc::ENOENT));
    assert_eq!(files.inodes.len(), 2, "the root and /tmp");
}

#[test]
fn inodes_of_unsynced_changes_are_released() {
    let mut files = new();
    let count = files.inodes.len();
    for number in 0..1000 {
        let path = format!("/tmp/{number}");
        let file = write(&mut files, &path, "x");
        files.close(file);
        files
            .remove(At::root(path.as_bytes()), false, TIME)
            .unwrap();
    }
    assert!(files.inodes.len() < count + 300);
    let tmp = open(&mut files, "/tmp", libc::O_RDONLY);
    files.sync(tmp).unwrap();
    files.close(tmp);
    assert_eq!(files.inodes.len(), count);
}
