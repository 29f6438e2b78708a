//! Flags and modes of opening files on unix, and FIFOs.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt},
    },
};

use compio::{
    driver::AsRawFd,
    fs::{File, OpenOptions},
};

use crate::{
    open_options::{ours, outcome, stds},
    support::{check_code, run},
};

/// A flag of Linux, which opens no file.
#[cfg(target_os = "linux")]
const PATH_ONLY: i32 = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: i32 = 0;

#[test]
fn custom_flags_are_as_in_std() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "content").unwrap();
    for flags in [
        libc::O_NONBLOCK,
        libc::O_DIRECTORY,
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_APPEND,
        PATH_ONLY,
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
fn data_sync_is_a_flag_of_the_open_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "content").unwrap();
    let flags = |file: File| {
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }
    };
    let mut options = OpenOptions::new();
    // Custom flags do not replace it.
    options
        .write(true)
        .data_sync(true)
        .custom_flags(libc::O_APPEND);
    for is_set in [true, false] {
        options.data_sync(is_set);
        let expected = if is_set { libc::O_DSYNC } else { 0 };
        let file = options.open(&path).unwrap();
        assert_eq!(flags(file) & libc::O_DSYNC, expected);
        let file = run(options.open_async(&path)).unwrap();
        assert_eq!(
            flags(file) & (libc::O_DSYNC | libc::O_APPEND),
            expected | libc::O_APPEND
        );
    }
}

#[test]
fn a_created_file_has_the_requested_mode() {
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
