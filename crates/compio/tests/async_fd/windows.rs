//! Waitable handles.

use std::{
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    pin::pin,
    ptr, thread,
};

use compio::{runtime::AsyncFd, task::yield_now};
use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent, SetEvent};

use crate::support::{begin, run};

fn event(resets_itself: bool) -> AsyncFd<OwnedHandle> {
    // SAFETY: all pointers are null; the handle is new, and owned by this function alone.
    let handle = unsafe {
        let handle = CreateEventW(ptr::null(), (!resets_itself).into(), 0, ptr::null());
        assert!(!handle.is_null());
        OwnedHandle::from_raw_handle(handle)
    };
    AsyncFd::new(handle).unwrap()
}

fn set(handle: &OwnedHandle) {
    // SAFETY: the handle is an event.
    assert_ne!(unsafe { SetEvent(handle.as_raw_handle()) }, 0);
}

#[test]
fn an_event_that_stays_set() {
    run(async {
        let event = event(false);
        let mut wait = pin!(event.readable());
        begin(wait.as_mut()).await;
        let other = event.get_ref().try_clone().unwrap();
        thread::spawn(move || set(&other)).join().unwrap();
        wait.await.unwrap();
        event.readable().await.unwrap();
        // SAFETY: the handle is an event.
        unsafe { ResetEvent(event.get_ref().as_raw_handle()) };
        begin(pin!(event.readable())).await;
    });
}

#[test]
fn an_event_that_resets_itself() {
    run(async {
        let event = event(true);
        set(event.get_ref());
        event.readable().await.unwrap();
        let mut wait = pin!(event.readable());
        begin(wait.as_mut()).await;
        yield_now().await;
        set(event.get_ref());
        wait.await.unwrap();
    });
}
