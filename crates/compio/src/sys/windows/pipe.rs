//! What pipes need here: nothing. No handle refuses where it would wait.

use std::io;
/// What std's files and pipes convert from and to.
pub(crate) use std::os::windows::io::OwnedHandle as StdFd;

use compio_driver::SharedFd;

pub(crate) async fn wait_readable(_: &SharedFd) -> io::Result<()> {
    Ok(())
}

pub(crate) async fn wait_writable(_: &SharedFd) -> io::Result<()> {
    Ok(())
}
