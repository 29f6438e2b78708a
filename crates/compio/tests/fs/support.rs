//! Shared helpers of the tests.

#[path = "../support/run.rs"]
mod run;

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    io,
    path::{Path, PathBuf},
    pin::pin,
    task::Poll,
};

use tempfile::TempDir;

pub(crate) use compio_testkit::{buffer::pattern, check::check_kind};
pub(crate) use run::run;

/// A temporary directory of the test.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A file in a directory.
pub(crate) fn put(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

/// Drops a future unpolled, a new one after one poll, the next after two, and so on, until one
/// completes. `make` creates each of them.
pub(crate) async fn dropped_everywhere<F: Future>(mut make: impl FnMut() -> F) -> F::Output {
    for polls in 0.. {
        let mut future = pin!(make());
        let mut left = polls;
        let ended = poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            future.as_mut().poll(cx).map(Some)
        })
        .await;
        if let Some(output) = ended {
            return output;
        }
    }
    unreachable!("it ends some day")
}

/// Checks that both failed with the same error.
#[track_caller]
pub(crate) fn check_same_error<T: Debug, U: Debug>(ours: io::Result<T>, stds: io::Result<U>) {
    let (ours, stds) = (ours.expect_err("ours"), stds.expect_err("std's"));
    assert_eq!(ours.kind(), stds.kind(), "{ours} is not {stds}");
    assert_eq!(ours.raw_os_error(), stds.raw_os_error(), "{ours}: {stds}");
}

/// Checks that both succeeded or both failed, with the same result.
#[track_caller]
pub(crate) fn check_same<T: Debug + PartialEq>(ours: io::Result<T>, stds: io::Result<T>) {
    match (ours, stds) {
        (Ok(ours), Ok(stds)) => assert_eq!(ours, stds),
        (ours, stds) => check_same_error(ours, stds),
    }
}

/// A symbolic link to a file.
pub(crate) async fn link_to_file(original: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return compio::fs::symlink(original, link).await;
    #[cfg(windows)]
    return compio::fs::symlink_file(original, link).await;
}

/// A symbolic link to a directory.
pub(crate) async fn link_to_dir(original: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return compio::fs::symlink(original, link).await;
    #[cfg(windows)]
    return compio::fs::symlink_dir(original, link).await;
}

/// A symbolic link to a file, made by std.
pub(crate) fn std_link_to_file(original: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(original, link);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(original, link);
}

/// Whether symbolic links can be made here: Windows requires a privilege.
pub(crate) fn has_links() -> bool {
    let dir = scratch();
    let link = dir.path().join("link");
    let made = std_link_to_file(Path::new("nothing"), &link);
    made.is_ok() && link.is_symlink()
}
