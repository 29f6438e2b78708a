//! The CPUs of a thread. No call blocks.

use std::io;

use crate::{oversubscription::CpuSet, sys};

/// The CPUs on which this thread may run, in ascending order. `None` if the system does not report them.
pub fn allowed() -> Option<Vec<usize>> {
    let set = sys::processors_of_this_thread()?;
    let bits = set.len() * u64::BITS as usize;
    Some((0..bits).filter(|cpu| contains(&set, *cpu)).collect())
}

/// Confines this thread to these CPUs.
///
/// # Errors
///
/// `InvalidInput` if there is no CPU in the list that this thread may use, or if a number is above 1023;
/// `Unsupported` on macOS and the BSDs. Other OS errors of sched_setaffinity(2) and
/// `SetThreadAffinityMask`.
pub fn confine(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::default();
    for cpu in cpus {
        let word = set.get_mut(cpu / u64::BITS as usize);
        let word = word.ok_or(io::ErrorKind::InvalidInput)?;
        *word |= 1 << (cpu % u64::BITS as usize);
    }
    match sys::confine_this_thread(&set) {
        Ok(_) => Ok(()),
        Err(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

fn contains(set: &CpuSet, cpu: usize) -> bool {
    set[cpu / u64::BITS as usize] >> (cpu % u64::BITS as usize) & 1 == 1
}
