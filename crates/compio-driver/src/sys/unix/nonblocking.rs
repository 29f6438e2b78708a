//! Receives into and sends from borrowed memory, without waiting.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::RawFd,
};

use super::{mode::prepare_to_send, syscall::call, types::Message};
use crate::request::{Net, RawResult, RawSlice, Request, Span};

const FLAGS: i32 = libc::MSG_DONTWAIT;

/// Prepares a socket for [`recv`] and [`send`]: nothing to do. A send prepares its socket itself.
pub(crate) fn prepare(_: RawFd) -> RawResult {
    Ok(0)
}

/// recv(2). EAGAIN if it would have to wait.
#[inline]
pub(crate) fn recv(fd: RawFd, room: &mut [MaybeUninit<u8>]) -> RawResult {
    let span = Span::new(room.as_mut_ptr().cast(), room.len());
    let flags = FLAGS;
    // SAFETY: the memory is borrowed for the call.
    unsafe { call(&Request::Net(Net::Recv { fd, span, flags })) }
}

/// As [`recv`], into several slices, one after the other, at most 1,024.
pub(crate) fn recv_vectored(fd: RawFd, rooms: &mut [IoSliceMut<'_>]) -> RawResult {
    // `IoSliceMut` and `RawSlice` both have the layout of `iovec`.
    let first = rooms.as_mut_ptr().cast::<RawSlice>();
    let mut message = Message::new();
    message.point_at(first, rooms.len());
    let (message, flags) = (&raw mut message, FLAGS);
    // SAFETY: message and slices are borrowed for the call.
    unsafe { call(&Request::Net(Net::RecvMsg { fd, message, flags })) }
}

/// send(2). EAGAIN if it would have to wait. A closed peer is an error, never a signal.
#[inline]
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> RawResult {
    prepare_to_send(fd)?;
    let span = Span::new(bytes.as_ptr().cast_mut(), bytes.len());
    let flags = FLAGS;
    // SAFETY: the memory is borrowed for the call, which only reads it.
    unsafe { call(&Request::Net(Net::Send { fd, span, flags })) }
}

/// As [`send`], of several slices, one after the other, at most 1,024.
pub(crate) fn send_vectored(fd: RawFd, slices: &[IoSlice<'_>]) -> RawResult {
    prepare_to_send(fd)?;
    // As in `recv_vectored`.
    let first = slices.as_ptr().cast::<RawSlice>();
    let mut message = Message::new();
    message.point_at(first, slices.len());
    let (message, flags) = (&raw const message, FLAGS);
    // SAFETY: message and slices are borrowed for the call, which only reads them.
    unsafe { call(&Request::Net(Net::SendMsg { fd, message, flags })) }
}
