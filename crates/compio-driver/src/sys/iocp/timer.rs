//! A high-resolution timer that ends short waits for packets.
//!
//! A timeout of `GetQueuedCompletionStatusEx` ends with a tick of the system's clock: by default every
//! 15.6 ms. So a sleep of 1 ms would take up to 17 ms. For short waits, a waitable timer with
//! `CREATE_WAITABLE_TIMER_HIGH_RESOLUTION` queues a packet when it expires, through a wait thread of the
//! system.
//!
//! The packet is only a hint. The wait has its own timeout as well, so it ends also without the timer:
//! Windows before 10 1803 has no such timers.

use std::{
    cell::Cell,
    ffi::c_void,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::Arc,
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    System::Threading::{
        CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CancelWaitableTimer, CreateWaitableTimerExW,
        INFINITE, RegisterWaitForSingleObject, SetWaitableTimer, TIMER_ALL_ACCESS,
        UnregisterWaitEx, WT_EXECUTEDEFAULT,
    },
};

use super::port::{Port, Subject};
use crate::sys::windows::fake::{self, Call};

/// Longer waits end with a tick of the clock. The tick is then a small part of the wait, and the wait
/// costs no further calls.
const LONG: Duration = Duration::from_millis(100);

/// The timer of one backend. It exists once the first short wait has needed it.
#[derive(Default)]
pub(super) struct ShortWaits {
    /// `None` until the first short wait. `Some(None)` if the system has no such timers.
    timer: Option<Option<Timer>>,
}

impl ShortWaits {
    /// Called before a wait with this timeout: its end is not later than the timer allows.
    pub(super) fn prepare(&mut self, timeout: Option<Duration>, port: &Arc<Port>) {
        let is_short = timeout.filter(|timeout| !timeout.is_zero() && *timeout < LONG);
        let Some(timeout) = is_short else {
            if let Some(Some(timer)) = &self.timer {
                timer.disarm();
            }
            return;
        };
        let timer = self.timer.get_or_insert_with(|| Timer::new(port));
        if let Some(timer) = timer {
            timer.arm(timeout);
        }
    }

    /// Whether a short wait has made the timer.
    #[cfg(all(test, not(loom)))]
    pub(super) fn has_timer(&self) -> bool {
        matches!(&self.timer, Some(Some(_)))
    }

    /// Called for each packet of the timer.
    pub(super) fn on_packet(&self) {
        if let Some(Some(timer)) = &self.timer {
            timer.is_armed.set(false);
        }
    }
}

struct Timer {
    timer: OwnedHandle,
    /// The wait of the system's thread for the timer. It is registered for as long as the timer lives.
    registered: HANDLE,
    /// Whether a packet may come without another [`arm`](Self::arm).
    is_armed: Cell<bool>,
    /// [`expire`] borrows it.
    _port: Arc<Port>,
}

impl Timer {
    fn new(port: &Arc<Port>) -> Option<Self> {
        if let Some(Err(_)) = fake::answer(Call::CreateTimer) {
            return None;
        }
        // SAFETY: no pointers are passed but null.
        let timer = unsafe {
            CreateWaitableTimerExW(
                ptr::null(),
                ptr::null(),
                CREATE_WAITABLE_TIMER_HIGH_RESOLUTION,
                TIMER_ALL_ACCESS,
            )
        };
        if timer.is_null() {
            return None;
        }
        // SAFETY: the handle is new, and has no other owner.
        let timer = unsafe { OwnedHandle::from_raw_handle(timer) };
        let mut registered = ptr::null_mut();
        // Without `WT_EXECUTEONLYONCE`: the timer resets itself, and fires once for each `arm`. Without
        // `WT_EXECUTEINWAITTHREAD` for the reason that `Wait::begin` gives.
        // SAFETY: the port outlives the wait, which the drop ends.
        let succeeded = unsafe {
            RegisterWaitForSingleObject(
                &mut registered,
                timer.as_raw_handle(),
                Some(expire),
                Arc::as_ptr(port).cast(),
                INFINITE,
                WT_EXECUTEDEFAULT,
            )
        };
        (succeeded != 0).then(|| Self {
            timer,
            registered,
            is_armed: Cell::new(false),
            _port: Arc::clone(port),
        })
    }

    /// Queues a packet after `timeout`, and no packet for an earlier `arm` that has not expired.
    fn arm(&self, timeout: Duration) {
        let due = due_time(timeout);
        // SAFETY: the due time outlives the call; there is no completion routine.
        let succeeded =
            unsafe { SetWaitableTimer(self.timer.as_raw_handle(), &due, 0, None, ptr::null(), 0) };
        self.is_armed.set(succeeded != 0);
    }

    /// A later wait need not wake for an earlier `arm`.
    fn disarm(&self) {
        if self.is_armed.replace(false) {
            // SAFETY: no pointers are passed.
            unsafe { CancelWaitableTimer(self.timer.as_raw_handle()) };
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Blocks until a running `expire` has returned, which only posts a packet.
        // SAFETY: registered, and not unregistered before.
        unsafe { UnregisterWaitEx(self.registered, INVALID_HANDLE_VALUE) };
    }
}

/// In the timer's unit of 100 ns, rounded up; negative numbers count from now.
fn due_time(timeout: Duration) -> i64 {
    let units = timeout.as_nanos().div_ceil(100);
    i64::try_from(units).map_or(i64::MIN, |units| -units)
}

/// Runs on a thread of the system.
///
/// # Safety
///
/// `context` is a [`Port`] that lives until the wait has been unregistered.
unsafe extern "system" fn expire(context: *mut c_void, _timed_out: bool) {
    // SAFETY: by this function's contract.
    let port = unsafe { &*context.cast::<Port>() };
    // Without the packet, the wait's own timeout ends it.
    let _ = port.post(Subject::Timer, ptr::null_mut());
}

#[cfg(all(test, not(loom)))]
mod tests;
