//! Opening files, against what std says.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use compio::fs::{File, OpenOptions};

use crate::support::{check_code, check_kind, run};

/// The six switches, as bits.
fn ours(bits: u8) -> OpenOptions {
    let on = |bit: u8| bits >> bit & 1 == 1;
    let mut options = OpenOptions::new();
    options.read(on(0)).write(on(1)).append(on(2));
    options.truncate(on(3)).create(on(4)).create_new(on(5));
    options
}

fn stds(bits: u8) -> fs::OpenOptions {
    let on = |bit: u8| bits >> bit & 1 == 1;
    let mut options = fs::OpenOptions::new();
    options.read(on(0)).write(on(1)).append(on(2));
    options.truncate(on(3)).create(on(4)).create_new(on(5));
    options
}

/// What an attempt to open comes to: an error, or what the file contains and may be used for.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Failed(io::ErrorKind),
    Opened {
        content: Option<Vec<u8>>,
        access: i32,
        close_on_exec: i32,
    },
}

fn outcome(opened: io::Result<fs::File>, path: &Path) -> Outcome {
    use std::os::fd::AsRawFd;
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Outcome::Failed(error.kind()),
    };
    // SAFETY: an open descriptor; no memory is involved.
    let (flags, fd_flags) = unsafe {
        (
            libc::fcntl(file.as_raw_fd(), libc::F_GETFL),
            libc::fcntl(file.as_raw_fd(), libc::F_GETFD),
        )
    };
    Outcome::Opened {
        content: fs::read(path).ok(),
        access: flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK),
        close_on_exec: fd_flags,
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Missing,
    File,
    Directory,
    ReadOnlyFile,
}

/// All three ways to open have the same outcome, for this combination of switches.
fn check(bits: u8, place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let set_up = || {
        let _ = fs::remove_file(&path);
        match place {
            Place::Missing => {}
            Place::File => fs::write(&path, "content").unwrap(),
            Place::Directory => drop(fs::create_dir(&path)),
            Place::ReadOnlyFile => {
                fs::write(&path, "content").unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
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
fn all_combinations_of_options_do_what_std_does_to_a_missing_file() {
    (0..64).for_each(|bits| check(bits, Place::Missing));
}

#[test]
fn all_combinations_of_options_do_what_std_does_to_a_file() {
    (0..64).for_each(|bits| check(bits, Place::File));
}

#[test]
fn all_combinations_of_options_do_what_std_does_to_a_directory() {
    (0..64).for_each(|bits| check(bits, Place::Directory));
}

#[test]
fn all_combinations_of_options_do_what_std_does_to_a_read_only_file() {
    (0..64).for_each(|bits| check(bits, Place::ReadOnlyFile));
}

#[test]
fn custom_flags_do_what_they_do_with_std() {
    use std::os::unix::fs::OpenOptionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "content").unwrap();
    for flags in [
        libc::O_NONBLOCK,
        libc::O_DIRECTORY,
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_APPEND,
        libc::O_PATH,
    ] {
        let expected = outcome(stds(1).custom_flags(flags).open(&path), &path);
        let opened = ours(1).custom_flags(flags).open(&path);
        let opened = opened.map(|file| file.into_std().unwrap());
        assert_eq!(outcome(opened, &path), expected, "open {flags:o}");
        let opened = run(ours(1).custom_flags(flags).open_async(&path));
        let opened = opened.map(|file| file.into_std().unwrap());
        assert_eq!(outcome(opened, &path), expected, "open_async {flags:o}");
    }
}

#[test]
fn a_created_file_has_the_mode_that_was_asked_for() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mode_of = |name| {
            fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        options.open(dir.path().join("sync")).unwrap();
        options.open_async(dir.path().join("async")).await.unwrap();
        assert_eq!(mode_of("sync") & 0o777, 0o600);
        assert_eq!(mode_of("async") & 0o777, 0o600);
    });
}

#[test]
fn a_missing_file_is_not_found() {
    run(async {
        check_kind(File::open("/nowhere/at/all"), io::ErrorKind::NotFound);
        check_code(File::open_async("/nowhere/at/all").await, libc::ENOENT);
        check_code(File::create_async("/nowhere/at/all").await, libc::ENOENT);
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
fn names_need_not_be_utf_8_nor_short() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"\xff\xfe name \x80");
        let file = File::create_async(dir.path().join(name)).await.unwrap();
        file.write_at("hello", 0).await.0.unwrap();
        let again = File::open(dir.path().join(name)).unwrap();
        assert_eq!(again.read_at(vec![], 0).await.0.unwrap(), 0);
        assert_eq!(again.metadata().await.unwrap().len(), 5);
        let long = dir.path().join("x".repeat(300));
        check_code(File::create_async(long).await, libc::ENAMETOOLONG);
    });
}

#[test]
fn a_fifo_is_opened_without_waiting_for_its_other_end() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
        let mut writes = OpenOptions::new();
        writes.write(true);
        check_code(writes.open_async(&path).await, libc::ENXIO);
        let _reader = File::open_async(&path).await.unwrap();
        let _writer = writes.open_async(&path).await.unwrap();
    });
}
