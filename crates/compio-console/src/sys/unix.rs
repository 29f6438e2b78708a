//! Unix sockets of std.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use signal_hook::consts::{SIGHUP, SIGTERM};

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

/// A flag that SIGTERM and SIGHUP set.
pub(crate) fn end_signals() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(flag)
}
