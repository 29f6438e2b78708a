//! The memory of a request, as a kernel uses it: by raw addresses.

use crate::{
    request::{Net, RawSlice, Request, Span, Transfer},
    sys::Message,
};

/// One contiguous part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) start: *mut u8,
    pub(super) len: usize,
}

/// The memory of a request, by the kernel's access to it.
#[derive(Debug, Clone)]
pub(super) enum Memory {
    Nothing,
    /// The kernel writes to it.
    Filled(Vec<Place>),
    /// The kernel reads from it. Each byte is one more than the byte before.
    Read(Vec<Place>),
}

impl Memory {
    /// # Safety
    ///
    /// The request's memory is valid.
    pub(super) unsafe fn of(request: &Request) -> Self {
        match *request {
            Request::Transfer(transfer) => match transfer {
                Transfer::Read { span, .. } => Self::Filled(vec![span.into()]),
                Transfer::Write { span, .. } => Self::Read(vec![span.into()]),
                // SAFETY: passed on from this function.
                Transfer::ReadVectored { spans, .. } => unsafe {
                    Self::Filled(places(spans.first, spans.count as usize))
                },
                // SAFETY: likewise.
                Transfer::WriteVectored { spans, .. } => unsafe {
                    Self::Read(places(spans.first, spans.count as usize))
                },
            },
            Request::Net(net) => match net {
                Net::Recv { span, .. } => Self::Filled(vec![span.into()]),
                Net::Send { span, .. } | Net::SendZeroCopy { span, .. } => {
                    Self::Read(vec![span.into()])
                }
                // SAFETY: likewise.
                Net::RecvMsg { message, .. } => unsafe { Self::Filled(slices(message)) },
                // SAFETY: likewise.
                Net::SendMsg { message, .. } | Net::SendMsgZeroCopy { message, .. } => unsafe {
                    Self::Read(slices(message.cast_mut()))
                },
                Net::Connect { .. }
                | Net::Accept { .. }
                | Net::AcceptMulti { .. }
                | Net::RecvMulti { .. }
                | Net::RecvPooled { .. } => Self::Nothing,
            },
            Request::Nop
            | Request::Invalid
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Blocking(_)
            | Request::Raw(_) => Self::Nothing,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Filled(places) | Self::Read(places) => places.iter().map(|place| place.len).sum(),
        }
    }

    /// An address that identifies the memory while the request is in flight.
    pub(super) fn address(&self) -> usize {
        match self {
            Self::Filled(places) | Self::Read(places) => {
                places.first().map_or(0, |place| place.start.addr())
            }
            Self::Nothing => 0,
        }
    }

    /// Uses the memory, as a kernel does during an operation: writes anywhere, or checks that the bytes
    /// to be read are unchanged.
    ///
    /// # Safety
    ///
    /// The memory is valid.
    pub(super) unsafe fn touch(&self, noise: u8) {
        match self {
            Self::Nothing => {}
            Self::Filled(places) => {
                for place in places {
                    // SAFETY: by this function's contract.
                    unsafe { place.start.write_bytes(noise, place.len) };
                }
            }
            // SAFETY: likewise.
            Self::Read(_) => drop(unsafe { self.read(self.len()) }),
        }
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(super) unsafe fn fill(&self, bytes: &[u8]) {
        let Self::Filled(places) = self else {
            panic!("this request has no memory to write to")
        };
        let mut rest = bytes;
        for place in places {
            let (now, later) = rest.split_at(place.len.min(rest.len()));
            // SAFETY: by this function's contract, and not longer than the part.
            unsafe { place.start.copy_from(now.as_ptr(), now.len()) };
            rest = later;
        }
        assert!(rest.is_empty(), "the memory must have room for all bytes");
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(super) unsafe fn read(&self, len: usize) -> Vec<u8> {
        let Self::Read(places) = self else {
            panic!("this request has no memory to read from")
        };
        let mut bytes = Vec::new();
        for place in places {
            let now = place.len.min(len - bytes.len());
            for offset in 0..now {
                // SAFETY: by this function's contract, and inside of the part.
                bytes.push(unsafe { place.start.add(offset).read() });
            }
        }
        let steps = bytes.windows(2);
        let is_intact = steps.clone().all(|pair| pair[0].wrapping_add(1) == pair[1]);
        assert!(is_intact, "a buffer was changed while it was sent");
        bytes
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self {
            start: span.start,
            len: span.len as usize,
        }
    }
}

/// # Safety
///
/// The array at `first` has `count` slices.
unsafe fn places(first: *const RawSlice, count: usize) -> Vec<Place> {
    let place = |which| {
        // SAFETY: by this function's contract.
        let slice = unsafe { *first.add(which) };
        Place {
            start: slice.start(),
            len: slice.len(),
        }
    };
    (0..count).map(place).collect()
}

/// # Safety
///
/// The message is valid, and so are its slices.
unsafe fn slices(message: *mut Message) -> Vec<Place> {
    // SAFETY: by this function's contract.
    unsafe {
        let header = Message::as_msghdr(message);
        places((*header).msg_iov.cast_const().cast(), (*header).msg_iovlen)
    }
}
