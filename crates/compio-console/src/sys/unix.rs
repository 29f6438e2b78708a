//! Unix sockets of std.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGTERM},
    iterator::Signals,
};

pub(crate) type Stream = UnixStream;

/// A read returns at least this often, so that its caller can look at its deadline.
const READ_TIMEOUT: Duration = Duration::from_millis(200);

/// Requests are short. A peer that does not read them is dead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn connect(path: &Path) -> io::Result<Stream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(stream)
}

pub(crate) fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

/// Calls `end` at SIGTERM and SIGHUP, on a thread.
pub(crate) fn on_end_signal(mut end: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP])?;
    thread::spawn(move || signals.forever().for_each(|_| end()));
    Ok(())
}
