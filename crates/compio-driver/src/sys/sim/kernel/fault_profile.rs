//! The faults of a simulated kernel: their probabilities, and the injected errors.

use libc::{EAGAIN, EINTR, EIO, ENOBUFS, ENOMEM};

use super::super::Rng;
use crate::sys::Capabilities;

/// Injected errors, which have no cause in the request.
pub(super) const FAULTS: [i32; 5] = [EINTR, EAGAIN, ENOBUFS, EIO, ENOMEM];

/// Probabilities in percent, and the size of the completion queue.
pub(super) struct FaultProfile {
    pub(super) capabilities: Capabilities,
    pub(super) answers_at_once: usize,
    /// The chance that a turn attempts an operation.
    pub(super) is_quick: usize,
    pub(super) is_short: usize,
    pub(super) fails: usize,
    pub(super) wait_fails: usize,
    pub(super) wait_is_in_vain: usize,
    /// The chance that a cancel does not find its target, as between two queues of a real kernel.
    pub(super) finds_nothing: usize,
    /// The chance that a cancel finds its target, but the target completes first.
    pub(super) is_too_late: usize,
    pub(super) completions_max: usize,
}

impl FaultProfile {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let multi = rng.percent(60);
        Self {
            capabilities: Capabilities {
                accept_multi: multi,
                recv_multi: multi,
                send_zero_copy: multi,
                send_msg_zero_copy: multi && rng.percent(80),
                recv_pooled: rng.percent(50),
            },
            answers_at_once: rng.pick(&[0, 0, 30, 90]),
            is_quick: rng.pick(&[5, 30, 80]),
            is_short: rng.pick(&[0, 30, 90]),
            fails: rng.pick(&[0, 0, 3, 15]),
            wait_fails: rng.pick(&[0, 0, 10]),
            wait_is_in_vain: rng.pick(&[0, 20]),
            finds_nothing: rng.pick(&[0, 30, 70]),
            is_too_late: rng.pick(&[0, 30, 70]),
            completions_max: rng.pick(&[1, 2, 8, 1000]),
        }
    }
}
