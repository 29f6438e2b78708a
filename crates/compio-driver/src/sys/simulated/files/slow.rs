//! Operations that take time.

use crate::{
    request::{FileOp, RawResult, Request},
    sys::simulated::{
        descriptors::{FileId, Object},
        drivers::Waiter,
        events::Event,
        trace::Mark,
        world::{HostId, State},
    },
};

/// The end of an operation.
#[derive(Debug)]
pub(in crate::sys::simulated) struct Finish {
    waiter: Waiter,
    /// The result, if the operation took effect at its begin.
    answer: Option<RawResult>,
}

impl State {
    /// Begins an operation of a disk that takes time. Returns false for other requests: the caller executes them.
    ///
    /// # Safety
    ///
    /// The memory of the request is valid until its completion has been reported.
    pub(in crate::sys::simulated) unsafe fn begin_on_disk(
        &mut self,
        waiter: Waiter,
        request: &Request,
    ) -> bool {
        let host = self.drivers.host(waiter.driver);
        if self.file_of_slow(host, request).is_none() {
            return false;
        }
        let disk = &mut self.hosts[host].files.disk;
        let Some(delay) = disk.delay() else {
            return false;
        };
        // Before its end, a write may be visible or not, as with a real page cache.
        let is_early = matches!(request, Request::Transfer(transfer) if !transfer.is_read())
            && disk.stream.rng.coin();
        let answer = is_early
            // SAFETY: passed on from this function.
            .then(|| unsafe { self.attempt(host, request) });
        self.drivers.wait(waiter, request, None);
        let at = self.now.saturating_add(delay);
        self.events.add(at, Event::Disk(Finish { waiter, answer }));
        true
    }

    /// Ends an operation, unless it has been cancelled or its host has crashed.
    pub(in crate::sys::simulated) fn finish_on_disk(&mut self, finish: Finish) {
        let Finish { waiter, answer } = finish;
        let Some(request) = self.drivers.request(waiter).copied() else {
            return;
        };
        self.note(Mark::Event, &[waiter.driver as u64, 100]);
        let host = self.drivers.host(waiter.driver);
        let answer = answer.unwrap_or_else(|| {
            // SAFETY: the request is in the table, so its completion has not been reported.
            unsafe { self.attempt(host, &request) }
        });
        self.complete(waiter, answer);
    }

    /// The file of a request that uses the disk.
    fn file_of_slow(&self, host: HostId, request: &Request) -> Option<FileId> {
        let fd = match *request {
            Request::Transfer(transfer) => transfer.fd(),
            Request::FileOp(FileOp::Sync { fd, .. } | FileOp::WriteWith { fd, .. }) => fd,
            Request::FileOp(
                FileOp::Open { .. }
                | FileOp::Stat { .. }
                | FileOp::StatFd { .. }
                | FileOp::Truncate { .. }
                | FileOp::Allocate { .. },
            )
            | Request::Nop
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Blocking(_)
            | Request::Invalid
            | Request::Raw(_) => return None,
        };
        match self.descriptors.get(fd, host).ok()?.object {
            Object::File(file) => Some(file),
            Object::Socket(_) | Object::Pipe(_) => None,
        }
    }
}
