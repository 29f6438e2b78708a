//! Biased reference counting: plain increments on the home thread, atomics on all others.
//!
//! The count is the sum of two parts. References that the home thread adds and removes are counted in
//! a plain cell, all others in an atomic. One part alone may be "wrong", even below zero: a reference
//! may be cloned on one thread and dropped on another. So until the home thread leaves, a bias keeps
//! the atomic part above zero, and nothing is freed. When the home thread leaves, it adds the cell and
//! subtracts the bias. From then on only the atomic part counts.
//!
//! ```text
//!        home thread there                        left
//!   shared + local - BIAS references ---leave---> shared references, freed at zero
//!     ^                 |
//!     +----- settle ----+   when `local` is full: shared += local, local = 0
//! ```
//!
//! The home thread may take the atomic path if it cannot identify itself, as in the destruction of
//! thread locals. That is harmless.
//!
//! Callers: the task's header, and the main waker.

use std::process::abort;

use crate::sync::{AtomicU32, Cell, Ordering};

/// More than `local` can be negative: the shared part stays above zero until the home thread
/// leaves.
const BIAS: u32 = 1 << 8;
/// As in std's `Arc`: more references than this can only be leaked ones, and would overflow the
/// count.
const SHARED_MAX: u32 = i32::MAX as u32;
/// The limit of `local` in both directions. (Short in loom tests, so that they reach it.)
const LOCAL_MAX: i8 = if cfg!(loom) { 2 } else { 126 };
/// In `local`: the home thread has left.
const LEFT: i8 = i8::MIN;

/// The part that any thread writes.
#[derive(Debug)]
pub(crate) struct SharedPart(AtomicU32);

/// The part that only the home thread reads and writes.
#[derive(Debug)]
pub(crate) struct LocalPart(Cell<i8>);

impl SharedPart {
    /// No reference, and the home thread has not left.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(BIAS))
    }
}

impl LocalPart {
    pub(crate) fn new() -> Self {
        Self(Cell::new(0))
    }
}

/// Both parts. They are stored apart, which makes their owners smaller.
#[derive(Clone, Copy)]
pub(crate) struct BiasedCount<'a> {
    pub(crate) shared: &'a SharedPart,
    pub(crate) local: &'a LocalPart,
}

impl BiasedCount<'_> {
    /// Counts a reference that is made from another one, or lent before the home thread leaves.
    #[inline]
    pub(crate) fn add(self) {
        // Relaxed: a reference is made from a reference, so this publishes and acquires no data.
        if self.shared.0.fetch_add(1, Ordering::Relaxed) > SHARED_MAX {
            abort();
        }
    }

    /// As `add`, on the home thread.
    ///
    /// # Safety
    /// This is the home thread.
    #[inline]
    pub(crate) unsafe fn add_at_home(self) {
        let local = self.local.0.get();
        if !(-LOCAL_MAX..LOCAL_MAX).contains(&local) {
            return self.settle_and_add();
        }
        self.local.0.set(local + 1);
    }

    #[cold]
    fn settle_and_add(self) {
        self.settle();
        self.add();
    }

    /// Removes a reference. On `true` it was the last, the home thread has left, and all accesses
    /// through the other references happened before.
    #[inline]
    #[must_use]
    pub(crate) fn remove(self) -> bool {
        // Release: pairs with the loads in `is_last` and `leave`. The memory is freed after all uses
        // through the other references.
        self.shared.0.fetch_sub(1, Ordering::Release) == 1 && self.is_last()
    }

    /// As `remove`, on the home thread.
    ///
    /// # Safety
    /// This is the home thread.
    #[inline]
    #[must_use]
    pub(crate) unsafe fn remove_at_home(self) -> bool {
        let local = self.local.0.get();
        if !(1 - LOCAL_MAX..=LOCAL_MAX).contains(&local) {
            return self.settle_and_remove();
        }
        self.local.0.set(local - 1);
        // Nothing is freed until the home thread leaves.
        false
    }

    #[cold]
    fn settle_and_remove(self) -> bool {
        self.settle();
        self.remove()
    }

    /// The home thread leaves. On `true` there are no references, nor will there be, and all
    /// accesses through them happened before.
    ///
    /// # Safety
    /// This is the home thread, for the first time. It does not touch the counted value again, except
    /// through a reference that it holds.
    #[inline]
    #[must_use]
    pub(crate) unsafe fn leave(self) -> bool {
        let rest = i32::from(self.local.0.get()).wrapping_sub_unsigned(BIAS);
        // No reference is left, so none can be added, and the count need not be decremented. An
        // older value than the newest is enough: it includes all changes that led to it.
        // Acquire: pairs with the `fetch_sub` in `remove`.
        if self.shared.0.load(Ordering::Acquire) == rest.wrapping_neg().cast_unsigned() {
            return true;
        }
        self.leave_to_others(rest)
    }

    #[cold]
    fn leave_to_others(self, rest: i32) -> bool {
        // Before the count is decremented: after that it may be freed.
        self.local.0.set(LEFT);
        // Release: as in `remove`, for the references that the home thread removed.
        let rest = rest.cast_unsigned();
        let shared = self.shared.0.fetch_add(rest, Ordering::Release);
        shared.wrapping_add(rest) == 0 && self.is_last()
    }

    /// Empties `local`, unless the home thread has left.
    fn settle(self) {
        let local = self.local.0.get();
        if local == LEFT {
            return;
        }
        // Relaxed: `leave` publishes these references. Never zero, because it includes `BIAS`.
        let shared = self
            .shared
            .0
            .fetch_add(i32::from(local).cast_unsigned(), Ordering::Relaxed);
        if shared > SHARED_MAX {
            abort();
        }
        self.local.0.set(0);
    }

    #[inline]
    fn is_last(self) -> bool {
        // Acquire: pairs with the `fetch_sub` of the others. (A fence would work as well, but
        // ThreadSanitizer does not support fences.)
        self.shared.0.load(Ordering::Acquire);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        env,
        process::{Command, Stdio},
    };

    use super::{AtomicU32, BiasedCount, Cell, LOCAL_MAX, LocalPart, SHARED_MAX, SharedPart};

    /// Set in the environment of the child process that aborts.
    const CHILD: &str = "COMPIO_EXECUTOR_TEST_TOO_MANY_REFERENCES";

    fn check_aborts(test: &str, add: impl FnOnce(BiasedCount<'_>), shared: u32, local: i8) {
        if env::var_os(CHILD).is_some() {
            add(BiasedCount {
                shared: &SharedPart(AtomicU32::new(shared)),
                local: &LocalPart(Cell::new(local)),
            });
            return;
        }
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("biased_count::tests::{test}")])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success());
    }

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn too_many_references_abort_the_process() {
        check_aborts(
            "too_many_references_abort_the_process",
            |count| count.add(),
            SHARED_MAX + 1,
            0,
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn too_many_references_at_home_abort_the_process() {
        check_aborts(
            "too_many_references_at_home_abort_the_process",
            // SAFETY: no other thread is there.
            |count| unsafe { count.add_at_home() },
            SHARED_MAX + 1,
            LOCAL_MAX,
        );
    }

    /// Adds and removes references, at home (`+`, `-`) and as if elsewhere (`>`, `<`); the home
    /// thread leaves at `|`. Only the last removal may free.
    fn check(steps: &str) {
        let (shared, local) = (SharedPart::new(), LocalPart::new());
        let count = BiasedCount {
            shared: &shared,
            local: &local,
        };
        for (at, step) in steps.char_indices() {
            // SAFETY: no other thread is there.
            let is_last = unsafe {
                match step {
                    '+' => {
                        count.add_at_home();
                        false
                    }
                    '-' => count.remove_at_home(),
                    '>' => {
                        count.add();
                        false
                    }
                    '<' => count.remove(),
                    '|' => count.leave(),
                    _ => unreachable!(),
                }
            };
            assert_eq!(is_last, at + 1 == steps.len(), "step {at} of {steps}");
        }
    }

    #[test]
    fn the_last_frees() {
        check("|");
        check("+-|");
        check("+|-");
        check("+|<");
        check("+<|");
        check(">-|");
        check(">|-");
        check("+><-|");
        check("+>|<-");
        check("+|+<-");
        check("+|>-<");
    }

    #[test]
    fn more_than_the_cell_holds() {
        for many in [125, 126, 127, 128, 252, 253, 254, 1000] {
            for (add, remove) in [("+", "-"), ("+", "<"), (">", "-"), (">", "<")] {
                let (adds, removes) = (add.repeat(many), remove.repeat(many));
                check(&format!("{adds}{removes}|"));
                check(&format!("{adds}|{removes}"));
                check(&format!("{}|", [add, remove].concat().repeat(many)));
                check(&format!("+{}|-", [add, remove].concat().repeat(many)));
            }
        }
    }
}
