//! The start of a request.

use super::super::raw::Begun;

/// How a request was started.
pub(in super::super) enum Started {
    Called(Begun),
    /// It waits for readiness that no call reports: these `poll(2)` bits.
    Retry(u32),
}

impl From<Begun> for Started {
    fn from(begun: Begun) -> Self {
        Self::Called(begun)
    }
}

pub(super) fn failed(code: i32) -> Started {
    Begun::Over(Err(code)).into()
}
