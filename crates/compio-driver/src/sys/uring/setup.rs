//! Ring setup: the best tier of flags that this kernel supports, one tier less after each refusal.

use std::{io, iter, thread, time::Duration};

use io_uring::{Builder, IoUring, cqueue, squeue};

use crate::sys::platform::with_advice;

/// A ring, and the name of its tier.
pub(super) struct Setup {
    pub(super) ring: IoUring,
    /// The name of the tier, for the reason of the choice of a backend.
    pub(super) setup_name: &'static str,
}

type RingBuilder = Builder<squeue::Entry, cqueue::Entry>;

/// A name and its flags.
type Tier = (&'static str, fn(&mut RingBuilder));

/// The tiers, from those of Linux 6.13 to those of 5.6.
const SETUP_TIERS: [Tier; 4] = [
    ("single issuer, deferred task work, no index array", |b| {
        deferred(b);
        b.setup_no_sqarray();
    }),
    ("single issuer, deferred task work", deferred),
    ("cooperative task work", |b| {
        b.setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all();
    }),
    ("no flags", |_| {}),
];

fn deferred(builder: &mut RingBuilder) {
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all();
}

/// Makes a ring with room for `entries` submissions and eight times as many completions.
pub(super) fn set_up(entries: u32) -> io::Result<Setup> {
    let completions = entries.saturating_mul(8);
    #[cfg(all(test, not(loom)))]
    let completions = crate::sys::faults::room(completions).max(entries);
    let build = |flags: fn(&mut RingBuilder)| {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp().setup_cqsize(completions);
        flags(&mut builder);
        with_back_off(|| builder.build(entries))
    };
    best_tier(build)
}

/// Builds a ring of the first tier whose flags the kernel knows.
fn best_tier(
    mut build: impl FnMut(fn(&mut RingBuilder)) -> io::Result<IoUring>,
) -> io::Result<Setup> {
    let mut refusal = None;
    for (setup_name, flags) in SETUP_TIERS {
        match build(flags) {
            Ok(ring) => {
                try_to_enter(&ring)?;
                return Ok(Setup { ring, setup_name });
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(with_advice("io_uring_setup", error)),
        }
    }
    Err(refusal.map_or_else(
        || io::ErrorKind::Unsupported.into(),
        |error| with_advice("io_uring_setup", error),
    ))
}

/// The first pause before another attempt without locked memory, and the number of pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const PAUSES: usize = 9;

/// Repeats an attempt that fails with ENOMEM, for about half a second in all.
///
/// Closing a ring does not free its memory at once. A kernel worker frees it after an RCU grace period,
/// and only then reduces the user's account of locked memory (`RLIMIT_MEMLOCK`). So a user with one
/// ring at a time can exceed the limit. Measured on 6.18; liburing's issue 1408 reports the charge for
/// 6.14. Kernels 5.12 to 6.13 charge the memory cgroup instead, according to its manual.
///
/// Measured on 6.18 with two loaded CPUs and 8 MiB: with 1,000 rings on 16 threads the longest wait was
/// 125 ms. The pauses double, because every attempt adds work for the kernel's worker: attempts at
/// least every 4 ms on four threads waited for up to 44 s.
fn with_back_off<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let pauses = iter::successors(Some(FIRST_PAUSE), |pause| Some(*pause * 2));
    for pause in pauses.take(PAUSES) {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => thread::sleep(pause),
            made => return made,
        }
    }
    attempt()
}

/// Enters the ring once. A filter of system calls may permit a ring and refuse io_uring_enter. This
/// call detects it while another backend can be chosen, and not at the first wait.
fn try_to_enter(ring: &IoUring) -> io::Result<()> {
    // SAFETY: nothing is submitted, and no argument is passed.
    let entered = unsafe { ring.submitter().enter::<()>(0, 0, 0, None) };
    match entered {
        Ok(_) => Ok(()),
        // A temporary error is no refusal.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(with_advice("io_uring_enter", error)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{IoUring, SETUP_TIERS, best_tier, io};

    #[test]
    fn tier_with_unknown_flags_is_followed_by_the_next() {
        let refusal = || io::Error::from_raw_os_error(libc::EINVAL);
        let mut calls = 0;
        let setup = best_tier(|_| {
            calls += 1;
            if calls == 3 {
                IoUring::new(8)
            } else {
                Err(refusal())
            }
        });
        match setup {
            Ok(setup) => assert_eq!(setup.setup_name, SETUP_TIERS[2].0),
            Err(error) => eprintln!("not tested here: {error}"),
        }
        assert_eq!(calls, 3);
    }

    #[test]
    fn other_error_of_a_tier_is_final() {
        let mut calls = 0;
        let setup = best_tier(|_| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert!(setup.is_err());
        assert_eq!(calls, 1);
    }
}
