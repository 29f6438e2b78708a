//! Each request as a plain system call. It may block; the caller decides on which thread to make it.
//!
//! Reads and writes come here for handles without packets on this port: handles that do not support
//! overlapped calls, or that belong to another port.

use std::{
    io, mem,
    os::windows::io::{AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{
        CloseHandle, ERROR_BROKEN_PIPE, ERROR_CALL_NOT_IMPLEMENTED, ERROR_HANDLE_EOF,
        ERROR_INVALID_PARAMETER, ERROR_MORE_DATA, ERROR_NOT_SUPPORTED, HANDLE,
        INVALID_HANDLE_VALUE,
    },
    Networking::WinSock::{
        INVALID_SOCKET, SOCK_DGRAM, SOCKET, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED,
        WSAEOPNOTSUPP, WSASocketW, bind, closesocket, listen, shutdown,
    },
    Storage::FileSystem::{
        CreateFileW, FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO, FILE_END_OF_FILE_INFO,
        FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
        FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TYPE_DISK, FileAttributeTagInfo,
        FileEndOfFileInfo, FlushFileBuffers, GetFileInformationByHandle,
        GetFileInformationByHandleEx, GetFileType, OPEN_EXISTING, ReadFile,
        SetFileInformationByHandle, WriteFile,
    },
    System::{
        IO::{GetOverlappedResult, OVERLAPPED},
        Threading::CreateEventW,
    },
};

use super::{
    ECANCELED,
    errno::last_error,
    fd::{CURRENT_DIR, IntoRawFd, OwnedFd, RawFd},
    fs::{OpenFlags, PathUnit, Stat},
    net::report_unreachable,
};
use crate::{
    request::{Control, FileOp, Position, RawResult, Request, Span, Spans, Transfer},
    sys::iocp::{Begun, RawEntry},
};

/// Makes the call.
///
/// # Safety
///
/// The request's descriptors and memory are valid until this returns.
pub(crate) unsafe fn call(request: &Request) -> RawResult {
    // SAFETY: the request's pointers are valid by this function's contract.
    unsafe {
        match *request {
            Request::Nop => Ok(0),
            Request::Invalid => Err(ERROR_INVALID_PARAMETER as i32),
            Request::Transfer(ref transfer) => transfer_call(transfer),
            Request::FileOp(ref op) => file_call(op),
            Request::Control(ref control) => control_call(control),
            Request::Blocking(work) => {
                (work.run)(work.data);
                Ok(0)
            }
            // All sockets support overlapped calls.
            Request::Net(_) | Request::Poll(_) => Err(WSAEOPNOTSUPP),
            Request::Path(_) | Request::Splice(_) => Err(ERROR_NOT_SUPPORTED as i32),
            Request::Raw(entry) => raw_call(&*entry),
        }
    }
}

/// Closes a handle or a socket, once, even if the call fails.
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: it was owned, and the ownership ends here.
    let answer = unsafe {
        match fd.into_raw_fd() {
            RawFd::Handle(handle) => done(CloseHandle(handle) != 0),
            RawFd::Socket(socket) => done(closesocket(socket as SOCKET) == 0),
        }
    };
    answer.map(drop).map_err(io::Error::from_raw_os_error)
}

/// # Safety
///
/// As [`call`].
unsafe fn transfer_call(transfer: &Transfer) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *transfer {
            Transfer::Read { fd, span, position } => read(as_handle(fd), span, position),
            Transfer::Write { fd, span, position } => write(as_handle(fd), span, position),
            Transfer::ReadVectored {
                fd,
                spans,
                position,
            } => read(as_handle(fd), first_span(spans), position),
            Transfer::WriteVectored {
                fd,
                spans,
                position,
            } => write(as_handle(fd), first_span(spans), position),
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn file_call(op: &FileOp) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *op {
            // There is no call for the content alone.
            FileOp::Sync { fd, data_only: _ } => done(FlushFileBuffers(as_handle(fd)) != 0),
            // Windows has no mode for a file that is created.
            FileOp::Open {
                dir,
                path,
                flags,
                mode: _,
            } => open(dir, path, flags),
            FileOp::Stat {
                dir,
                path,
                follow,
                into,
            } => stat(dir, path, follow, into),
            FileOp::StatFd { fd, into } => stat_fd(as_handle(fd), into),
            FileOp::Truncate { fd, len } => set_end_of_file(as_handle(fd), len),
            FileOp::Allocate { .. } | FileOp::WriteWith { .. } => {
                Err(ERROR_CALL_NOT_IMPLEMENTED as i32)
            }
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn control_call(control: &Control) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *control {
            Control::Socket {
                domain,
                kind,
                protocol,
            } => new_socket(domain, kind, protocol).map(|socket| socket as u32),
            Control::Bind { fd, address, len } => {
                done(bind(as_socket(fd), address.cast(), len as i32) == 0)
            }
            Control::Listen { fd, backlog } => done(listen(as_socket(fd), backlog) == 0),
            Control::Shutdown { fd, how } => done(shutdown(as_socket(fd), how) == 0),
            Control::Pipe { ends } => {
                let Ok((reader, writer)) = io::pipe() else {
                    return Err(last_error());
                };
                let handles = [reader.into_raw_handle(), writer.into_raw_handle()];
                ends.write(handles.map(RawFd::Handle));
                Ok(0)
            }
        }
    }
}

fn set_end_of_file(file: HANDLE, len: u64) -> RawResult {
    let Ok(len) = i64::try_from(len) else {
        return Err(ERROR_INVALID_PARAMETER as i32);
    };
    let end = FILE_END_OF_FILE_INFO { EndOfFile: len };
    // SAFETY: the information has the size that is passed, and outlives the call.
    let returned = unsafe {
        SetFileInformationByHandle(
            file,
            FileEndOfFileInfo,
            (&raw const end).cast(),
            size_of_val(&end) as u32,
        )
    };
    done(returned != 0)
}

/// A socket for overlapped calls, which no child process inherits. A datagram socket is
/// [silent](super::net::silence_unreachable) about peers that cannot be reached.
pub(crate) fn new_socket(domain: i32, kind: i32, protocol: i32) -> Result<SOCKET, i32> {
    let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    // SAFETY: no pointers are passed but null.
    let socket = unsafe { WSASocketW(domain, kind, protocol, ptr::null(), 0, flags) };
    if socket == INVALID_SOCKET {
        return Err(last_error());
    }
    if kind == SOCK_DGRAM {
        report_unreachable(socket, false);
    }
    Ok(socket)
}

/// # Safety
///
/// As [`call`].
unsafe fn read(handle: HANDLE, span: Span, position: Position) -> RawResult {
    if span.len == 0 {
        // The system would wait for data.
        return Ok(0);
    }
    // SAFETY: passed on from this function.
    unsafe { read_or_end(handle, span, position) }.or_else(|code| match code as u32 {
        ERROR_HANDLE_EOF | ERROR_BROKEN_PIPE => Ok(0),
        _ => Err(code),
    })
}

/// As [`read`], but EOF is an error.
///
/// # Safety
///
/// As [`call`].
unsafe fn read_or_end(handle: HANDLE, span: Span, position: Position) -> RawResult {
    let transfer = |bytes: *mut u32, overlapped| {
        // SAFETY: the span is valid by this function's contract; the other pointers are the caller's.
        unsafe { ReadFile(handle, span.start, span.len, bytes, overlapped) }
    };
    let (bytes, answer) = transferred(handle, position, transfer);
    answer.or_else(|code| match code as u32 {
        // The next read gets the rest of the message.
        ERROR_MORE_DATA => Ok(bytes),
        _ => Err(code),
    })
}

/// Moves bytes from one pipe to another until the first is at EOF, or the reader of the second has gone.
/// Both may be for overlapped calls, and may belong to a port. Blocks.
pub(crate) fn relay(from: &OwnedHandle, to: &OwnedHandle) -> Result<(), i32> {
    let mut buffer = [0; 16 * 1024];
    let (start, room) = (buffer.as_mut_ptr(), buffer.len());
    loop {
        // SAFETY: the buffer outlives the call.
        let len = unsafe {
            let span = Span::new(start, room);
            read_or_end(from.as_raw_handle(), span, Position::Cursor)?
        };
        // A read of 0 bytes is not EOF: the writer has written 0 bytes.
        let mut written = 0;
        while written < len as usize {
            // SAFETY: likewise; `written` is less than the length.
            written += unsafe {
                let rest = Span::new(start.add(written), len as usize - written);
                write(to.as_raw_handle(), rest, Position::Cursor)? as usize
            };
        }
    }
}

/// A transfer that was cancelled after a part of its bytes has transferred this part.
pub(crate) fn part_of_cancelled(bytes: u32, result: RawResult) -> RawResult {
    match result {
        Err(ECANCELED) if bytes > 0 => Ok(bytes),
        result => result,
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn write(handle: HANDLE, span: Span, position: Position) -> RawResult {
    let transfer = |bytes: *mut u32, overlapped| {
        // SAFETY: as in `read`.
        unsafe { WriteFile(handle, span.start, span.len, bytes, overlapped) }
    };
    transferred(handle, position, transfer).1
}

/// Makes a transfer and waits for its end, whether or not the handle supports overlapped calls.
/// Also returns the number of bytes, which may be positive with an error.
fn transferred(
    handle: HANDLE,
    position: Position,
    transfer: impl Fn(*mut u32, *mut OVERLAPPED) -> i32,
) -> (u32, RawResult) {
    let offset = match position {
        // SAFETY: no pointers are passed.
        Position::Cursor if unsafe { GetFileType(handle) } == FILE_TYPE_DISK => {
            let mut bytes = 0;
            let succeeded = transfer(&mut bytes, ptr::null_mut()) != 0;
            let answer = done(succeeded).map(|_| bytes);
            return (bytes, part_of_cancelled(bytes, answer));
        }
        Position::Cursor => 0,
        // The largest values mean "the end" and "the cursor".
        Position::At(offset) if i64::try_from(offset).is_err() => {
            return (0, Err(ERROR_INVALID_PARAMETER as i32));
        }
        Position::At(offset) => offset,
    };
    let (bytes, answer) = overlapped(handle, offset, |overlapped| {
        Begun::new(transfer(ptr::null_mut(), overlapped) != 0)
    });
    (bytes, part_of_cancelled(bytes, answer))
}

/// Makes an overlapped call that queues no packet, and waits for its end.
pub(super) fn overlapped(
    handle: HANDLE,
    offset: u64,
    begin: impl FnOnce(*mut OVERLAPPED) -> Begun,
) -> (u32, RawResult) {
    // SAFETY: no pointers are passed but null.
    let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
    if event.is_null() {
        return (0, Err(last_error()));
    }
    // SAFETY: the handle is new, and has no other owner.
    let event = unsafe { OwnedHandle::from_raw_handle(event) };
    // SAFETY: a plain C struct for which all zeroes mean "nothing".
    let mut overlapped: OVERLAPPED = unsafe { mem::zeroed() };
    overlapped.Anonymous.Anonymous.Offset = offset as u32;
    overlapped.Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
    // The lowest bit set means that no packet is queued to a port.
    overlapped.hEvent = event.as_raw_handle().map_addr(|address| address | 1);
    let overlapped = &raw mut overlapped;
    if let Begun::Over(answer) = begin(overlapped) {
        // SAFETY: the call is over, and the OVERLAPPED is this function's own.
        let is_warning = unsafe { is_warning(&*overlapped) };
        if !is_warning {
            return (0, answer);
        }
    }
    let mut bytes = 0;
    // SAFETY: the OVERLAPPED belongs to a call on this handle; it stays until the call is over.
    let succeeded = unsafe { GetOverlappedResult(handle, overlapped, &mut bytes, 1) } != 0;
    (bytes, done(succeeded).map(|_| bytes))
}

/// # Safety
///
/// As [`call`].
unsafe fn raw_call(entry: &RawEntry) -> RawResult {
    let begin = |overlapped: *mut OVERLAPPED| {
        // SAFETY: the OVERLAPPED stays until the call is over; the rest is by the contracts of
        // `call` and of the entry.
        unsafe { (entry.begin)(entry.fd, overlapped.cast(), entry.data) }
    };
    let (bytes, answer) = overlapped(as_handle(entry.fd), 0, begin);
    entry.transferred.set(bytes);
    answer
}

/// # Safety
///
/// As [`call`].
unsafe fn open(dir: RawFd, path: *const PathUnit, flags: OpenFlags) -> RawResult {
    if dir != CURRENT_DIR {
        return Err(ERROR_NOT_SUPPORTED as i32);
    }
    // SAFETY: the path is valid by this function's contract.
    let handle = unsafe {
        CreateFileW(
            path,
            flags.access,
            flags.share,
            ptr::null(),
            flags.disposition,
            flags.flags,
            ptr::null_mut(),
        )
    };
    done(handle != INVALID_HANDLE_VALUE).map(|_| handle.addr() as u32)
}

/// # Safety
///
/// As [`call`].
unsafe fn stat(dir: RawFd, path: *const PathUnit, follow: bool, into: *mut Stat) -> RawResult {
    let itself = if follow {
        0
    } else {
        FILE_FLAG_OPEN_REPARSE_POINT
    };
    let flags = OpenFlags {
        access: FILE_READ_ATTRIBUTES,
        share: FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        disposition: OPEN_EXISTING,
        // Directories can be opened only with FILE_FLAG_BACKUP_SEMANTICS.
        flags: FILE_FLAG_BACKUP_SEMANTICS | itself,
    };
    // SAFETY: passed on from this function; the new handle has no other owner.
    unsafe {
        let opened = open(dir, path, flags)?;
        let opened = OwnedHandle::from_raw_handle(ptr::without_provenance_mut(opened as usize));
        stat_fd(opened.as_raw_handle(), into)
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn stat_fd(handle: HANDLE, into: *mut Stat) -> RawResult {
    // SAFETY: the pointers are valid by this function's contract, and the tag outlives the call.
    unsafe {
        let (information, reparse_tag) = Stat::as_parts(into);
        done(GetFileInformationByHandle(handle, information) != 0)?;
        *reparse_tag = 0;
        if (*information).dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
            let mut tag: FILE_ATTRIBUTE_TAG_INFO = mem::zeroed();
            done(
                GetFileInformationByHandleEx(
                    handle,
                    FileAttributeTagInfo,
                    (&raw mut tag).cast(),
                    size_of_val(&tag) as u32,
                ) != 0,
            )?;
            *reparse_tag = tag.ReparseTag;
        }
    }
    Ok(0)
}

/// The first buffer that is not empty: a vectored read or write uses only this one, as in std on
/// Windows.
///
/// # Safety
///
/// The list is valid.
pub(crate) unsafe fn first_span(spans: Spans) -> Span {
    // SAFETY: by this function's contract.
    (0..spans.count as usize)
        .map(|place| unsafe { *spans.first.add(place) })
        .find(|slice| !slice.is_empty())
        .map_or(Span::new(ptr::dangling_mut(), 0), |slice| {
            Span::new(slice.start(), slice.len())
        })
}

/// A socket as a handle, for calls that take both.
pub(crate) fn as_handle(fd: RawFd) -> HANDLE {
    match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    }
}

/// A handle as a socket: the system refuses it if it is none.
pub(crate) fn as_socket(fd: RawFd) -> SOCKET {
    match fd {
        RawFd::Handle(handle) => handle as SOCKET,
        RawFd::Socket(socket) => socket as SOCKET,
    }
}

/// Whether a call that returned an error has done a part of its work, such as a read of the part of a
/// message that fits. The caller sees an error; the system reports the end of such a call like that
/// of any other, by a packet or event.
pub(crate) fn is_warning(overlapped: &OVERLAPPED) -> bool {
    // The upper two bits of a status are its severity: success, information, warning or error. For a
    // call that has not begun, no status is written.
    overlapped.Internal as u32 >> 30 == 2
}

pub(super) fn done(succeeded: bool) -> RawResult {
    if succeeded { Ok(0) } else { Err(last_error()) }
}
