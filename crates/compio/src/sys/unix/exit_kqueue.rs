//! Exit notification on macOS and the BSDs: an event of a kqueue. A kqueue is a descriptor, and
//! readable when it has events.

use std::{io, os::fd::OwnedFd, ptr};

use rustix::{
    event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue},
    process::Pid,
};

/// A descriptor that becomes readable when the process has ended.
pub(super) fn exit_event(pid: Pid) -> io::Result<OwnedFd> {
    let queue = kqueue()?;
    let exit = EventFilter::Proc {
        pid,
        flags: ProcessEvents::EXIT,
    };
    let event = Event::new(exit, EventFlags::ADD, ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the event names no descriptor.
    unsafe { kevent(&queue, &[event], &mut none, None)? };
    Ok(queue)
}
