//! The memory of a request in flight, which a kernel may use at any moment.

use crate::{
    request::{Net, Request},
    sys::parts::Parts,
};

/// The memory of a request, by the kernel's access to it.
#[derive(Debug)]
pub(in crate::sys) enum Memory {
    Nothing,
    /// The kernel writes to it.
    Filled(Parts),
    /// The kernel reads from it. Each byte is one more than the byte before.
    Read(Parts),
}

impl Memory {
    /// # Safety
    ///
    /// The request's memory is valid.
    pub(in crate::sys) unsafe fn of(request: &Request) -> Self {
        match *request {
            // SAFETY: passed on from this function.
            Request::Transfer(transfer) => match unsafe { Parts::of_transfer(&transfer) } {
                parts if transfer.is_read() => Self::Filled(parts),
                parts => Self::Read(parts),
            },
            Request::Net(net) => match net {
                Net::Recv { span, .. } => Self::Filled(Parts::one(span.start, span.len as usize)),
                Net::Send { span, .. } | Net::SendZeroCopy { span, .. } => {
                    Self::Read(Parts::one(span.start, span.len as usize))
                }
                // SAFETY: likewise.
                Net::RecvMsg { message, .. } => Self::Filled(unsafe { Parts::of_message(message) }),
                Net::SendMsg { message, .. } | Net::SendMsgZeroCopy { message, .. } => {
                    // SAFETY: likewise.
                    Self::Read(unsafe { Parts::of_message(message.cast_mut()) })
                }
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

    pub(in crate::sys) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Filled(parts) | Self::Read(parts) => parts.len(),
        }
    }

    /// An address that identifies the memory while the request is in flight.
    pub(in crate::sys) fn address(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Filled(parts) | Self::Read(parts) => parts.start().addr(),
        }
    }

    /// Uses the memory, as a kernel does during an operation: writes anywhere, or checks that the bytes
    /// to be read are unchanged.
    ///
    /// # Safety
    ///
    /// The memory is valid.
    pub(in crate::sys) unsafe fn touch(&self, noise: u8) {
        match self {
            Self::Nothing => {}
            // SAFETY: by this function's contract.
            Self::Filled(parts) => unsafe {
                parts.write(0, &vec![noise; parts.len()]);
            },
            // SAFETY: likewise.
            Self::Read(parts) => drop(unsafe { self.read(parts.len()) }),
        }
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(in crate::sys) unsafe fn fill(&self, bytes: &[u8]) {
        let Self::Filled(parts) = self else {
            panic!("this request has no memory to write to")
        };
        // SAFETY: by this function's contract.
        let written = unsafe { parts.write(0, bytes) };
        assert_eq!(
            written,
            bytes.len(),
            "the memory must have room for all bytes"
        );
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(in crate::sys) unsafe fn read(&self, len: usize) -> Vec<u8> {
        let Self::Read(parts) = self else {
            panic!("this request has no memory to read from")
        };
        // SAFETY: by this function's contract.
        let bytes = unsafe { parts.read(len) };
        let mut steps = bytes.windows(2);
        let is_intact = steps.all(|pair| pair[0].wrapping_add(1) == pair[1]);
        assert!(is_intact, "a buffer was changed while it was sent");
        bytes
    }
}
