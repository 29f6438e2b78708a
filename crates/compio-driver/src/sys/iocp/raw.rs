//! Overlapped calls that other modules or crates define.

use std::{cell::Cell, ffi::c_void};

use windows_sys::Win32::Foundation::ERROR_IO_PENDING;

use crate::{
    request::RawResult,
    sys::{RawFd, windows::last_error},
};

/// An overlapped call outside of the request table: the target of
/// [`Request::Raw`](crate::request::Request::Raw) on Windows.
#[derive(Debug, Clone)]
pub struct RawEntry {
    pub(in crate::sys) fd: RawFd,
    pub(in crate::sys) begin: Begin,
    pub(in crate::sys) data: *mut (),
    /// Written before the answer is reported.
    pub(in crate::sys) transferred: Cell<u32>,
}

/// Makes the call. Its arguments are the handle, the address of the `OVERLAPPED` for the call (with an
/// offset of zero), and the data of the [`RawEntry`].
pub type Begin = unsafe fn(RawFd, *mut c_void, *mut ()) -> Begun;

/// How an overlapped call has returned.
#[derive(Debug, Clone, Copy)]
pub enum Begun {
    /// With success: the call is over, or its end is reported later; that depends on the handle. A call that
    /// returns success when it is only queued, such as ReadDirectoryChangesW, is [`Pending`](Self::Pending).
    Success,
    /// With `ERROR_IO_PENDING`: its end is reported later.
    Pending,
    /// With another code, which may mean success nevertheless: its end is not reported later. (A warning
    /// such as `ERROR_MORE_DATA` is reported later; the backend handles it.)
    Over(RawResult),
}

impl RawEntry {
    /// A call on `fd`, which `begin` makes, once, with `data`.
    ///
    /// `begin` may run on another thread, if the handle belongs to another port or does not support
    /// overlapped calls. Unless `begin` returns the result itself, the result is the number of bytes
    /// transferred.
    ///
    /// # Safety
    ///
    /// `begin` makes one call with the `OVERLAPPED` that it is given, does nothing else with it,
    /// and truthfully reports how the call has returned. The call is its last action. It does
    /// not unwind, and does not use the driver, which is borrowed at that time.
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

    /// How many bytes the call has transferred, once it is over. A failed call may have transferred
    /// some, too: `ERROR_MORE_DATA` comes with the part that fits.
    pub fn transferred(&self) -> usize {
        self.transferred.get() as usize
    }
}

impl Begun {
    /// The outcome of a call that returns false, or -1, and sets the thread's last error. Must be called
    /// right after the call.
    pub fn new(succeeded: bool) -> Self {
        match succeeded {
            true => Self::Success,
            false => Self::failed(last_error()),
        }
    }

    /// The outcome of a call that a fake has answered.
    #[inline]
    pub(in crate::sys) fn faked(answer: RawResult) -> Self {
        answer.map_or_else(Self::failed, |_| Self::Success)
    }

    /// The outcome of a call that has set this error.
    pub(in crate::sys) fn failed(code: i32) -> Self {
        match code as u32 {
            ERROR_IO_PENDING => Self::Pending,
            _ => Self::Over(Err(code)),
        }
    }
}
