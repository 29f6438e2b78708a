//! Stubs for pipes: no handle on Windows returns `WouldBlock`, so none needs a wait for readiness.

use std::io;
/// The handle type of std's files and pipes.
pub(crate) use std::os::windows::io::OwnedHandle as StdFd;

use compio_driver::SharedFd;

pub(crate) async fn wait_readable(_: &SharedFd) -> io::Result<()> {
    Ok(())
}

pub(crate) async fn wait_writable(_: &SharedFd) -> io::Result<()> {
    Ok(())
}
