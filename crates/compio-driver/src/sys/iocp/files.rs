//! Overlapped calls on files that block their caller.
//!
//! NTFS executes these calls synchronously: all calls on compressed or encrypted files, and writes that extend
//! a file's valid data (article 156932 of Microsoft's support). The system writes zeroes up to the place of
//! such a write first, which takes seconds for gigabytes. They go to the thread pool.
//!
//! No cheap call reports the length of the valid data. It is at most the length of the file at the first operation,
//! or the length that a later truncation of this driver has set, if that is smaller. Writes up to there are
//! overlapped calls. They block if another program has truncated the file since, or has set a
//! length without writing data. So do writes to the end of a file that was opened for appending by other code:
//! no documented call reports the access of a handle. Files of a server are not examined, because that would wait for it.

use std::mem;

use windows_sys::Win32::{
    Foundation::HANDLE,
    Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_COMPRESSED, FILE_ATTRIBUTE_ENCRYPTED,
        FILE_REMOTE_PROTOCOL_INFO, FileRemoteProtocolInfo, GetFileInformationByHandle,
        GetFileInformationByHandleEx,
    },
};

use crate::{
    request::{Position, Request, Span, Transfer},
    sys::windows::{
        fake::{self, Call},
        first_span,
    },
};

/// Which calls on a handle are asynchronous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asynchronous {
    None,
    /// All but writes that end behind this offset.
    UpTo(u64),
    All,
}

impl Asynchronous {
    /// For a file on a disk.
    pub(super) fn of_file(file: HANDLE, is_append_only: bool) -> Self {
        if is_remote(file) {
            // The queries below would wait for the server.
            return Self::All;
        }
        let Some((attributes, len)) = attributes(file) else {
            // A volume, or another object without a length.
            return Self::All;
        };
        if attributes & (FILE_ATTRIBUTE_COMPRESSED | FILE_ATTRIBUTE_ENCRYPTED) != 0 {
            Self::None
        } else if is_append_only {
            Self::UpTo(0)
        } else {
            Self::UpTo(len)
        }
    }

    /// The file is about to get this length.
    pub(super) fn truncate(&mut self, new_len: u64) {
        if let Self::UpTo(len) = self {
            *len = new_len.min(*len);
        }
    }

    /// Whether the request is a call that returns at once.
    ///
    /// # Safety
    ///
    /// The memory of the request is valid.
    pub(super) unsafe fn includes(self, request: &Request) -> bool {
        let end = match *request {
            Request::Transfer(Transfer::Write { span, position, .. }) => end_of(span, position),
            Request::Transfer(Transfer::WriteVectored {
                spans, position, ..
                // SAFETY: by this function's contract.
            }) => end_of(unsafe { first_span(spans) }, position),
            Request::Transfer(Transfer::Read { .. } | Transfer::ReadVectored { .. })
            | Request::Nop
            | Request::Invalid
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Blocking(_)
            | Request::Raw(_) => None,
        };
        match self {
            Self::None => false,
            Self::UpTo(len) => end.is_none_or(|end| end <= len),
            Self::All => true,
        }
    }
}

/// The end of a write with a position.
fn end_of(span: Span, position: Position) -> Option<u64> {
    match position {
        Position::At(offset) => Some(offset.saturating_add(span.len.into())),
        Position::Cursor => None,
    }
}

/// Whether a network redirector serves the file: it answers this query itself. Local file systems refuse it.
fn is_remote(file: HANDLE) -> bool {
    // SAFETY: a plain C struct, which the call fills in; its size is passed.
    unsafe {
        let mut information: FILE_REMOTE_PROTOCOL_INFO = mem::zeroed();
        let size = size_of_val(&information) as u32;
        let into = (&raw mut information).cast();
        GetFileInformationByHandleEx(file, FileRemoteProtocolInfo, into, size) != 0
    }
}

/// The attributes and the length of a file.
fn attributes(file: HANDLE) -> Option<(u32, u64)> {
    // SAFETY: a plain C struct, which the call fills in.
    let information = unsafe {
        let mut information: BY_HANDLE_FILE_INFORMATION = mem::zeroed();
        let returned = GetFileInformationByHandle(file, &mut information);
        (returned != 0).then_some(information)?
    };
    let len = u64::from(information.nFileSizeHigh) << 32 | u64::from(information.nFileSizeLow);
    match fake::answer(Call::FileAttributes) {
        Some(answer) => Some((answer.ok()?, len)),
        None => Some((information.dwFileAttributes, len)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
