//! Files with modes, links and pipes among them, and the page cache.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use compio_driver::{
    Driver,
    op::{Open, ReadAt, Stat, StatFd, Sync},
};

use crate::support::{
    READ_WRITE_CREATE, begin, check_code, driver, each_backend, file, forget_from, native, pipe,
    readiness, run, share, start,
};

/// The type of a file in its mode. `mode_t` has 16 bits on macOS and FreeBSD.
#[allow(clippy::unnecessary_cast, reason = "not on every system")]
mod kind {
    pub(super) const BITS: u32 = libc::S_IFMT as u32;
    pub(super) const LINK: u32 = libc::S_IFLNK as u32;
    pub(super) const FIFO: u32 = libc::S_IFIFO as u32;
}

/// Past the page cache, where the system has a flag for it.
#[cfg(not(target_vendor = "apple"))]
const DIRECT: i32 = libc::O_DIRECT;
#[cfg(target_vendor = "apple")]
const DIRECT: i32 = 0;

#[test]
fn sync_works_on_files_only() {
    let driver = driver();
    let (read_end, _write_end) = pipe();
    let sync = driver.submit(Sync::all(read_end));
    check_code(run(&driver, sync), libc::EINVAL);
}

#[test]
fn a_created_file_has_its_mode() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let name = native(folder.path().join("new"));
    let create = driver.submit(Open::new(name, READ_WRITE_CREATE, 0o640));
    let file = File::from(run(&driver, create).unwrap());
    let mode = file.metadata().unwrap().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[test]
fn a_link_is_followed_only_if_asked() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let link = native(link);
    let itself = run(&driver, driver.submit(Stat::new(link.clone(), false))).unwrap();
    assert_eq!(itself.mode() & kind::BITS, kind::LINK);
    check_code(
        run(&driver, driver.submit(Stat::new(link, true))),
        libc::ENOENT,
    );
}

#[test]
fn attributes_of_no_file_fail() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let attributes = run(&driver, driver.submit(StatFd::new(reader))).unwrap();
    assert_eq!(attributes.mode() & kind::BITS, kind::FIFO);
    let below = native("/dev/null/below");
    check_code(
        run(&driver, driver.submit(Stat::new(below, true))),
        libc::ENOTDIR,
    );
}

#[test]
fn bytes_in_the_page_cache_are_read_inline() {
    let driver = readiness();
    let (file, fd) = file(&[7; 8192]);
    let mut read = driver.submit(ReadAt::new(fd.clone(), 0, Vec::with_capacity(8192)));
    let at_once = start(&driver, &mut read);
    // Not every file system has non-blocking reads.
    let (len, buffer) = at_once.unwrap_or_else(|| run(&driver, &mut read));
    assert_eq!((len.unwrap(), buffer), (8192, vec![7; 8192]));
    forget_from(&file, 0);
    let read = ReadAt::new(fd, 8000, Vec::with_capacity(8192));
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 192);
}

/// O_DIRECT bypasses the page cache: such a read is never inline, and waits for the disk.
#[test]
fn a_direct_read_is_not_inline() {
    for driver in each_backend() {
        check_direct(&driver);
    }
}

fn check_direct(driver: &Driver) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [7; 8192]).unwrap();
    let mut options = File::options();
    let direct = options.read(true).custom_flags(DIRECT);
    // Not every file system has the flag.
    let Ok(direct) = direct.open(file.path()) else {
        return;
    };
    let fd = share(direct);
    let mut read = driver.submit(ReadAt::new(fd, 0, Vec::with_capacity(4096)));
    begin(driver, &mut read);
    // The buffer is usually not aligned as O_DIRECT requires.
    let (len, _) = run(driver, read);
    assert!(len.map_or_else(
        |error| error.raw_os_error() == Some(libc::EINVAL),
        |len| len == 4096
    ));
}
