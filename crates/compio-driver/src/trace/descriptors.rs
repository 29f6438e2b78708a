//! The resources of open descriptors, per thread.
//!
//! An operation knows the number of its descriptor only. A number has a resource if a
//! [`SharedFd`](crate::SharedFd) owns it: it reports its end, so that the next descriptor with this number has
//! another resource.

use std::{cell::RefCell, collections::HashMap};

use tracing::trace;

use super::spans::{Resource, is_enabled};
use crate::{metrics::OpKind, os_calls::describe, sys::RawFd};

#[derive(Default)]
struct Descriptor {
    /// `None` before the first operation, which shows the type of the descriptor.
    resource: Option<Resource>,
    /// Whether the resource has the name of the descriptor.
    is_named: bool,
}

thread_local! {
    static DESCRIPTORS: RefCell<HashMap<RawFd, Descriptor>> = RefCell::default();
}

/// A `SharedFd` owns the descriptor from now on.
#[inline]
pub(crate) fn opened(fd: RawFd) {
    if is_enabled() {
        exchange(fd, Some(Descriptor::default()));
    }
}

/// The `SharedFd` of the descriptor ends.
#[inline]
pub(crate) fn closed(fd: RawFd) {
    // The subscriber may have gone since.
    let is_known = DESCRIPTORS.try_with(|all| !all.borrow().is_empty());
    if is_known.unwrap_or(false) {
        exchange(fd, None);
    }
}

#[cold]
fn exchange(fd: RawFd, new: Option<Descriptor>) {
    let before = DESCRIPTORS.try_with(|all| {
        let mut all = all.borrow_mut();
        match new {
            Some(new) => all.insert(fd, new),
            None => all.remove(&fd),
        }
    });
    // The end of a span runs code of the subscriber: nothing is borrowed.
    drop(before);
}

/// The resource of a descriptor for an operation of this kind. `None` if no `SharedFd` owns it.
///
/// # Safety
///
/// The descriptor is open until this returns.
pub(super) unsafe fn resource(fd: RawFd, kind: OpKind) -> Option<Resource> {
    let find = |all: &RefCell<HashMap<RawFd, Descriptor>>| {
        let all = all.borrow();
        let known = all.get(&fd)?;
        Some((known.resource.clone(), known.is_named))
    };
    let (resource, is_named) = DESCRIPTORS.try_with(find).ok().flatten()?;
    let (resource, is_new) = match resource {
        Some(resource) => (resource, false),
        None => {
            let number = describe::value(fd);
            let resource = Resource::new(type_name(kind), "io", Some(number), None);
            (resource, true)
        }
    };
    // Before these operations a socket has no address, or no peer.
    let gets_name = !is_named && !matches!(kind, OpKind::Bind | OpKind::Connect);
    if gets_name {
        // SAFETY: by this function's contract.
        if let Some(name) = unsafe { describe::describe(fd) } {
            resource.update(|| {
                let name = name.as_str();
                trace!(target: "runtime::resource::state_update", name, name.op = "override");
            });
        }
    }
    if is_new || gets_name {
        let known = Descriptor {
            resource: Some(resource.clone()),
            is_named: is_named || gets_name,
        };
        exchange(fd, Some(known));
    }
    Some(resource)
}

fn type_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Bind
        | OpKind::Listen
        | OpKind::Shutdown
        | OpKind::Connect
        | OpKind::Accept
        | OpKind::Recv
        | OpKind::Send => "Socket",
        OpKind::Read
        | OpKind::Write
        | OpKind::Sync
        | OpKind::Stat
        | OpKind::Truncate
        | OpKind::Allocate => "File",
        OpKind::Other
        | OpKind::Nop
        | OpKind::Open
        | OpKind::Close
        | OpKind::Rename
        | OpKind::Remove
        | OpKind::MakeDir
        | OpKind::Link
        | OpKind::Pipe
        | OpKind::Splice
        | OpKind::Socket
        | OpKind::Poll
        | OpKind::Blocking => "Descriptor",
    }
}
