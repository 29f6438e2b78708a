//! The clock. No code above the backends reads another one.

use std::time::Instant;

use crate::sys::in_simulation;

/// The current time of the monotonic clock. A time span since an earlier reading is the difference of two
/// readings.
#[inline(always)]
pub fn now() -> Instant {
    in_simulation!(now());
    Instant::now()
}
