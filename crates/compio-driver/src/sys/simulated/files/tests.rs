use super::{Duration, FileSystem};

const TIME: Duration = Duration::ZERO;

fn open(files: &mut FileSystem, path: &str, flags: i32) -> u64 {
    files
        .open_at(super::ROOT, path.as_bytes(), flags, 0o644, TIME)
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
    let file = files.open_at(super::ROOT, path.as_bytes(), libc::O_RDONLY, 0, TIME)?;
    let bytes = files.read(file, Some(0), usize::MAX, TIME)?;
    files.close(file);
    Ok(String::from_utf8(bytes).expect("text"))
}

#[test]
fn removed_file_lives_until_its_close() {
    let mut files = FileSystem::new(TIME);
    let file = write(&mut files, "/a", "content");
    let count = files.inodes.len();
    files.remove(b"/a", false, TIME).unwrap();
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(files.read(file, Some(0), 3, TIME).unwrap(), b"con");
    files.close(file);
    assert_eq!(files.inodes.len(), count - 1);
}

#[test]
fn rename_replaces_the_target() {
    let mut files = FileSystem::new(TIME);
    let (one, other) = (write(&mut files, "/a", "a"), write(&mut files, "/b", "b"));
    files.close(one);
    files.close(other);
    files.rename(b"/a", b"/b", TIME).unwrap();
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(read(&mut files, "/b").as_deref(), Ok("a"));
}

#[test]
fn rename_into_itself_is_refused() {
    let mut files = FileSystem::new(TIME);
    files.make_dirs(b"/a/b", 0o755, TIME).unwrap();
    assert_eq!(files.rename(b"/a", b"/a/b/c", TIME), Err(libc::EINVAL));
    files.rename(b"/a/b", b"/b", TIME).unwrap();
    assert_eq!(files.canonicalize(b"/b/../b/./").unwrap(), b"/b");
}

#[test]
fn symlinks_are_followed_up_to_a_limit() {
    let mut files = FileSystem::new(TIME);
    files.make_dirs(b"/data/inner", 0o755, TIME).unwrap();
    let file = write(&mut files, "/data/inner/file", "found");
    files.close(file);
    files.symlink(b"data/inner", b"/link", TIME).unwrap();
    assert_eq!(read(&mut files, "/link/file").as_deref(), Ok("found"));
    assert_eq!(
        files.canonicalize(b"link/file").unwrap(),
        b"/data/inner/file"
    );
    files.symlink(b"loop", b"/loop", TIME).unwrap();
    assert_eq!(read(&mut files, "/loop"), Err(libc::ELOOP));
}

#[test]
fn file_without_a_sync_of_its_directory_is_lost() {
    let mut files = FileSystem::new(TIME);
    let file = write(&mut files, "/a", "content");
    files.sync(file).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/a"), Err(libc::ENOENT));
    assert_eq!(files.inodes.len(), 2, "the root and /tmp");
}

#[test]
fn content_without_a_sync_is_lost() {
    let mut files = FileSystem::new(TIME);
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
    let mut files = FileSystem::new(TIME);
    let file = write(&mut files, "/a", "content");
    let root = open(&mut files, "/", libc::O_RDONLY);
    files.sync(file).unwrap();
    files.sync(root).unwrap();
    files.close(file);
    files.remove(b"/a", false, TIME).unwrap();
    files.lose_unsynced();
    assert_eq!(read(&mut files, "/a").as_deref(), Ok("content"));
}
