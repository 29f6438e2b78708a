//! Shared by the tests: pairs of handles.

#[path = "../support/driving.rs"]
mod driving;

use std::{
    fs::{File, OpenOptions},
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
};

use compio_driver::{
    SharedFd,
    os::windows::{NamedPipeFlags, assume_overlapped, create_named_pipe},
    request::NativePath,
};
use windows_sys::Win32::{
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX},
    System::Pipes::{PIPE_READMODE_MESSAGE, PIPE_TYPE_BYTE, PIPE_TYPE_MESSAGE},
};

pub(crate) use compio_testkit::{
    LONG,
    buffer::Canary,
    check::{check_code, check_read, check_returned},
    process::is_skipped_on_wine,
    socket::tcp,
    sys::pipe_name as name,
    waker::Bell,
};
pub(crate) use driving::{begin, drain, driver, poll_once, run, share};

/// Whether a pipe transfers bytes or messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Byte,
    Message,
}

/// The server's end of a new pipe.
pub(crate) fn server(name: &str, mode: Mode) -> OwnedHandle {
    let flags = NamedPipeFlags {
        open: PIPE_ACCESS_DUPLEX,
        mode: match mode {
            Mode::Byte => PIPE_TYPE_BYTE,
            Mode::Message => PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE,
        },
        instances_max: 4,
        out_buffer: 4096,
        in_buffer: 4096,
    };
    create_named_pipe(&NativePath::new(name).expect("a name"), flags).expect("a pipe")
}

/// The client's end, for blocking calls.
pub(crate) fn client(name: &str) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(name).expect("a client")
}

/// The client's end, for overlapped calls.
pub(crate) fn overlapped_client(name: &str) -> SharedFd {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    share(options.open(name).expect("a client"))
}

/// A server's end, and its client for blocking calls.
pub(crate) fn pair(mode: Mode) -> (SharedFd, File) {
    let name = name();
    let server = share(server(&name, mode));
    assume_overlapped(&server);
    (server, client(&name))
}

/// A file in a folder of its own, open for overlapped reads and writes.
pub(crate) fn file(content: &str) -> (tempfile::TempDir, SharedFd) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, content).expect("a file");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    (dir, share(options.open(path).expect("a file")))
}
