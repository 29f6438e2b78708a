//! Watching directories for changes.

use std::{fs, path::Path};

use compio_driver::{
    AsRawFd, Driver, Poller, SharedFd, Submit,
    os::windows::{Change, ChangeKind, DirectoryChanges, ReadDirectoryChanges, open_directory},
};
use windows_sys::Win32::{
    Foundation::ERROR_OPERATION_ABORTED, Storage::FileSystem::FILE_NOTIFY_CHANGE_FILE_NAME,
};

use crate::support::{begin, check_code, drain, driver, file, is_skipped_on_wine, run};

fn watch(directory: &SharedFd) -> ReadDirectoryChanges {
    let changes = DirectoryChanges::with_capacity(4096);
    ReadDirectoryChanges::new(directory.clone(), changes)
}

fn folder() -> (tempfile::TempDir, SharedFd) {
    let dir = tempfile::tempdir().expect("a folder");
    let directory = open_directory(dir.path()).expect("a directory").into();
    (dir, directory)
}

/// Checks that these changes occur in this order.
#[track_caller]
fn check_among(changes: &[Change], expected: &[(ChangeKind, &str)]) {
    let mut rest = changes.iter();
    for (kind, path) in expected {
        assert!(
            rest.any(|change| change.kind == *kind && change.path == Path::new(path)),
            "{kind:?} {path} is not among {changes:?}"
        );
    }
}

fn all(changes: &DirectoryChanges) -> Vec<Change> {
    changes.iter().collect()
}

/// All changes up to the first of this kind. The system may report simultaneous changes in several
/// parts.
fn changes_until(
    driver: &Driver,
    directory: &SharedFd,
    mut changed: Submit<ReadDirectoryChanges>,
    kind: ChangeKind,
) -> Vec<Change> {
    let mut all = Vec::new();
    loop {
        let (result, changes) = run(driver, changed);
        result.expect("changes");
        assert!(!changes.were_lost());
        all.extend(&changes);
        if all.iter().any(|change| change.kind == kind) {
            return all;
        }
        changed = driver.submit(ReadDirectoryChanges::new(directory.clone(), changes));
    }
}

#[test]
fn a_created_file_is_reported() {
    let driver = driver();
    let (dir, directory) = folder();
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    fs::write(dir.path().join("größe"), "").expect("a file");
    let (result, changes) = run(&driver, changed);
    result.expect("changes");
    assert!(!changes.were_lost());
    check_among(&all(&changes), &[(ChangeKind::Added, "größe")]);
}

#[test]
fn renames_and_removals_are_reported_to_the_next_operations() {
    let driver = driver();
    let (dir, directory) = folder();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    fs::write(&old, "").expect("a file");
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    fs::rename(&old, &new).expect("another name");
    let changes = changes_until(&driver, &directory, changed, ChangeKind::RenamedTo);
    check_among(
        &changes,
        &[
            (ChangeKind::RenamedFrom, "old"),
            (ChangeKind::RenamedTo, "new"),
        ],
    );
    // The change happens between two operations.
    fs::remove_file(&new).expect("no file");
    let next = driver.submit(watch(&directory));
    let changes = changes_until(&driver, &directory, next, ChangeKind::Removed);
    check_among(&changes, &[(ChangeKind::Removed, "new")]);
}

#[test]
fn directories_below_are_watched_if_asked_for() {
    if is_skipped_on_wine("it does not watch directories that existed before") {
        return;
    }
    let driver = driver();
    let (dir, directory) = folder();
    fs::create_dir(dir.path().join("below")).expect("a folder");
    let changed = watch(&directory).recursive(true);
    let mut changed = driver.submit(changed.filter(FILE_NOTIFY_CHANGE_FILE_NAME));
    begin(&driver, &mut changed);
    fs::write(dir.path().join("below").join("new"), "").expect("a file");
    let (result, changes) = run(&driver, changed);
    result.expect("changes");
    check_among(&all(&changes), &[(ChangeKind::Added, r"below\new")]);
}

#[test]
fn a_loss_of_too_many_changes_is_reported() {
    let driver = driver();
    let (dir, directory) = folder();
    // No change fits.
    let changes = DirectoryChanges::with_capacity(12);
    let mut changed = driver.submit(ReadDirectoryChanges::new(directory.clone(), changes));
    begin(&driver, &mut changed);
    fs::write(dir.path().join("a name that does not fit"), "").expect("a file");
    let (result, changes) = run(&driver, changed);
    result.expect("a success without changes");
    assert!(changes.were_lost(), "{changes:?}");
    assert_eq!(changes.iter().count(), 0);
}

#[test]
fn s23_a_pending_watch_is_cancelled_and_gives_back_its_memory() {
    let driver = driver();
    let (dir, directory) = folder();
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    changed.cancel();
    let (result, changes) = run(&driver, changed);
    check_code(result, ERROR_OPERATION_ABORTED);
    assert!(!changes.were_lost());
    assert_eq!(changes.iter().count(), 0);
    // It can be used again.
    let mut changed = driver.submit(ReadDirectoryChanges::new(directory, changes));
    begin(&driver, &mut changed);
    fs::write(dir.path().join("new"), "").expect("a file");
    let (result, changes) = run(&driver, changed);
    result.expect("changes");
    check_among(&all(&changes), &[(ChangeKind::Added, "new")]);
}

#[test]
fn s23_a_pending_watch_that_is_dropped_ends() {
    let driver = driver();
    let (dir, directory) = folder();
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    drop((changed, directory));
    drain(&driver);
    // No operation keeps it open.
    dir.close().expect("no folder");
}

#[test]
fn s23_a_driver_that_is_dropped_takes_its_watches_along() {
    let driver = driver();
    let (dir, directory) = folder();
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    drop(driver);
    drop((changed, directory));
    dir.close().expect("no folder");
}

#[test]
fn a_file_is_no_directory_and_refused() {
    let driver = driver();
    let (_dir, file) = file("");
    let (result, changes) = run(&driver, driver.submit(watch(&file)));
    result.expect_err("a file has no names in it");
    assert!(!changes.were_lost());
    open_directory("no such directory").expect_err("there is none");
}

/// The call returns success when the watch is only queued. On an attached handle this was taken for
/// its completion, and the memory was freed while the system still used it.
#[test]
fn s36_watch_of_attached_directory_waits_for_change() {
    let driver = driver();
    let (dir, directory) = folder();
    driver.attach(directory.as_raw_fd()).expect("a port");
    for name in ["first", "second"] {
        let mut changed = driver.submit(watch(&directory));
        begin(&driver, &mut changed);
        fs::write(dir.path().join(name), "").expect("a file");
        let changes = changes_until(&driver, &directory, changed, ChangeKind::Added);
        check_among(&changes, &[(ChangeKind::Added, name)]);
    }
}

#[test]
fn s36_dropped_watch_of_attached_directory_ends() {
    let driver = driver();
    let (_dir, directory) = folder();
    driver.attach(directory.as_raw_fd()).expect("a port");
    let mut changed = driver.submit(watch(&directory));
    begin(&driver, &mut changed);
    assert_eq!(driver.in_flight(), 1);
    drop(changed);
    drain(&driver);
}
