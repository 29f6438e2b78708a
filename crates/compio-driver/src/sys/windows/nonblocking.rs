//! Receives into and sends from borrowed memory, without waiting.
//!
//! There is no flag for one call: the socket is in non-blocking mode. Overlapped calls work as before.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    ptr,
};

use windows_sys::Win32::Networking::WinSock::{
    FIONBIO, SOCKET, WSABUF, WSARecv, WSASend, ioctlsocket,
};

use super::{errno::last_error, fd::RawFd, net::RawSlice, syscall::as_socket};
use crate::request::RawResult;

/// Prepares a socket for [`recv`] and [`send`]: makes it non-blocking, for good.
pub(crate) fn prepare(fd: RawFd) -> RawResult {
    let mut is_on = 1;
    // SAFETY: the value outlives the call.
    answer(
        unsafe { ioctlsocket(as_socket(fd), FIONBIO, &mut is_on) },
        0,
    )
}

/// `WSARecv`. `WSAEWOULDBLOCK` if it would have to wait.
pub(crate) fn recv(fd: RawFd, room: &mut [MaybeUninit<u8>]) -> RawResult {
    let slice = RawSlice::new(room.as_mut_ptr().cast(), room.len());
    // SAFETY: the memory is borrowed for the call.
    unsafe { recv_slices(as_socket(fd), RawSlice::as_wsabufs(&slice), 1) }
}

/// As [`recv`], into several slices, one after the other.
pub(crate) fn recv_vectored(fd: RawFd, rooms: &mut [IoSliceMut<'_>]) -> RawResult {
    let count = rooms.len();
    // SAFETY: `IoSliceMut` has the layout of `WSABUF`; the memory is borrowed for the call.
    unsafe { recv_slices(as_socket(fd), rooms.as_ptr().cast(), count) }
}

/// `WSASend`. `WSAEWOULDBLOCK` if it would have to wait.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> RawResult {
    let slice = RawSlice::new(bytes.as_ptr().cast_mut(), bytes.len());
    // SAFETY: the memory is borrowed for the call, which only reads it.
    unsafe { send_slices(as_socket(fd), RawSlice::as_wsabufs(&slice), 1) }
}

/// As [`send`], of several slices, one after the other.
pub(crate) fn send_vectored(fd: RawFd, slices: &[IoSlice<'_>]) -> RawResult {
    let count = slices.len();
    // SAFETY: `IoSlice` has the layout of `WSABUF`; the memory is borrowed for the call, which only reads it.
    unsafe { send_slices(as_socket(fd), slices.as_ptr().cast(), count) }
}

/// # Safety
///
/// There are `count` slices of writable memory.
unsafe fn recv_slices(socket: SOCKET, first: *const WSABUF, count: usize) -> RawResult {
    let (mut len, mut flags) = (0, 0);
    // SAFETY: by this function's contract. Without an OVERLAPPED, the call ends before this function.
    let result = unsafe {
        WSARecv(
            socket,
            first,
            count as u32,
            &mut len,
            &mut flags,
            ptr::null_mut(),
            None,
        )
    };
    answer(result, len)
}

/// # Safety
///
/// There are `count` slices of readable memory.
unsafe fn send_slices(socket: SOCKET, first: *const WSABUF, count: usize) -> RawResult {
    let mut len = 0;
    // SAFETY: as in `recv_slices`.
    let result = unsafe {
        WSASend(
            socket,
            first,
            count as u32,
            &mut len,
            0,
            ptr::null_mut(),
            None,
        )
    };
    answer(result, len)
}

fn answer(result: i32, len: u32) -> RawResult {
    if result == 0 {
        Ok(len)
    } else {
        Err(last_error())
    }
}
