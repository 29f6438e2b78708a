//! Transfers of descriptors that may have to wait: their events, and the same transfer elsewhere.

use crate::request::{Position, RawFd, Transfer, ready};

impl Transfer {
    /// The `poll(2)` bits of a descriptor that is ready for the transfer.
    pub(crate) fn events(&self) -> u32 {
        if self.is_read() {
            ready::IN
        } else {
            ready::OUT
        }
    }

    /// The same transfer of another descriptor.
    pub(crate) fn with_fd(mut self, other: RawFd) -> Self {
        match &mut self {
            Self::Read { fd, .. }
            | Self::Write { fd, .. }
            | Self::ReadVectored { fd, .. }
            | Self::WriteVectored { fd, .. } => *fd = other,
        }
        self
    }

    /// The same transfer at the cursor, for a descriptor without positions. `None` if the position exceeds
    /// the largest file size, which is an error of every descriptor.
    pub(crate) fn at_cursor(mut self) -> Option<Self> {
        match &mut self {
            Self::Read { position, .. }
            | Self::Write { position, .. }
            | Self::ReadVectored { position, .. }
            | Self::WriteVectored { position, .. } => {
                if matches!(*position, Position::At(offset) if i64::try_from(offset).is_err()) {
                    return None;
                }
                *position = Position::Cursor;
            }
        }
        Some(self)
    }
}
