//! Overlapped calls that are made elsewhere.

use std::{cell::Cell, ffi::c_void};

use windows_sys::Win32::Foundation::ERROR_IO_PENDING;

use crate::{
    request::Answer,
    sys::{RawFd, windows::last_error},
};

/// An overlapped call in words of its own: what [`Request::Raw`](crate::request::Request::Raw)
/// points to on Windows.
#[derive(Debug, Clone)]
pub struct RawEntry {
    pub(in crate::sys) fd: RawFd,
    pub(in crate::sys) begin: Begin,
    pub(in crate::sys) data: *mut (),
    /// Written before the answer is reported.
    pub(in crate::sys) transferred: Cell<u32>,
}

/// Makes the call. It is given the handle, the address of the `OVERLAPPED` that the call is to be
/// made with (its offset is zero), and the data of the [`RawEntry`].
pub type Begin = unsafe fn(RawFd, *mut c_void, *mut ()) -> Begun;

/// How an overlapped call has returned.
#[derive(Debug, Clone, Copy)]
pub enum Begun {
    /// With success: it is over, or its end is told of later, as the handle has it. A call that returns with
    /// success when it is only queued, as ReadDirectoryChangesW does, is [`Pending`](Self::Pending).
    Success,
    /// With `ERROR_IO_PENDING`: its end is told of later.
    Pending,
    /// With anything else, which may mean success nevertheless: its end is not told of. (That of a
    /// warning is, such as `ERROR_MORE_DATA`; the backend sees to that.)
    Over(Answer),
}

impl RawEntry {
    /// A call on `fd`, which `begin` makes, once, with `data`.
    ///
    /// `begin` may run on another thread: where the handle belongs to another port, or is not for
    /// overlapped calls. What it does not answer itself is answered by the number of bytes
    /// transferred.
    ///
    /// # Safety
    ///
    /// `begin` makes one call with the `OVERLAPPED` that it is given, does nothing else with it,
    /// and says truly how the call has returned. The call is the last thing that it does. It does
    /// not unwind, and does not use the driver, which is busy with it.
    ///
    /// Before the call, `begin` may set the offset in the `OVERLAPPED`, but not its event.
    pub unsafe fn new(fd: RawFd, begin: Begin, data: *mut ()) -> Self {
        Self {
            fd,
            begin,
            data,
            transferred: Cell::new(0),
        }
    }

    /// How many bytes the call has transferred, once it is over. One that has failed may have
    /// transferred some, too: what fits, where its error says that there is more.
    pub fn transferred(&self) -> usize {
        self.transferred.get() as usize
    }
}

impl Begun {
    /// What a call says that returns false, or -1, for an error to be asked for. To be made right
    /// after the call.
    pub fn new(succeeded: bool) -> Self {
        if succeeded {
            return Self::Success;
        }
        match last_error() {
            code if code == ERROR_IO_PENDING as i32 => Self::Pending,
            code => Self::Over(Err(code)),
        }
    }
}
