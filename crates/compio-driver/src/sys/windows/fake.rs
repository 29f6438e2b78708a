//! Fakes of the system's calls, for unit tests: Wine answers some calls in another way than Windows, and others not
//! at all.
//!
//! A few functions ask [`answer`] before they make their call. Without a fake, it answers nothing.

use windows_sys::Win32::System::IO::OVERLAPPED;

use crate::request::RawResult;

/// A call that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `setsockopt` with an integer.
    SetOption { level: i32, name: i32, value: i32 },
    /// `WSAIoctl` with a boolean.
    SetFlag { code: u32, on: bool },
    /// `WSAPoll` of one socket. The answer is its `revents`.
    Poll,
    /// The calls that attach a handle to a port, which are made in any case.
    Attach,
    /// `SetFileCompletionNotificationModes`, which is made in any case.
    SkipModes { modes: u32 },
    /// `GetFileInformationByHandle`. The answer is the file's attributes.
    FileAttributes,
    /// `CreateWaitableTimerExW`. The only answer is an error.
    CreateTimer,
    /// `AcceptEx`. The answer `ERROR_IO_PENDING` means that a packet follows.
    Accept { overlapped: *mut OVERLAPPED },
    /// An overlapped `WriteFile` or `WSASend`, as [`Accept`](Self::Accept).
    Write { overlapped: *mut OVERLAPPED },
    /// An overlapped `ReadFile` or `WSARecv`, as [`Accept`](Self::Accept).
    Read { overlapped: *mut OVERLAPPED },
}

/// The answer of the fake that is in use, if it has one for this call.
#[cfg(not(all(test, not(loom))))]
#[inline]
pub(crate) fn answer(_: Call) -> Option<RawResult> {
    None
}

#[cfg(all(test, not(loom)))]
pub(crate) use in_tests::{answer, with};

#[cfg(all(test, not(loom)))]
mod in_tests {
    use std::cell::RefCell;

    use super::{Call, RawResult};

    type Fake = Box<dyn FnMut(Call) -> Option<RawResult>>;

    thread_local! {
        static FAKE: RefCell<Option<Fake>> = const { RefCell::new(None) };
    }

    pub(crate) fn answer(call: Call) -> Option<RawResult> {
        FAKE.with_borrow_mut(|fake| fake.as_mut()?(call))
    }

    /// Uses the fake for the calls of this thread during `test`.
    pub(crate) fn with<R>(
        fake: impl FnMut(Call) -> Option<RawResult> + 'static,
        test: impl FnOnce() -> R,
    ) -> R {
        FAKE.set(Some(Box::new(fake)));
        let result = test();
        FAKE.set(None);
        result
    }
}
