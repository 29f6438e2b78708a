//! The CPUs of a thread, and its use of them. No call blocks.

use std::{fs, io, time::Duration};

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

/// A thread, for questions of other threads. Only Linux answers them.
#[derive(Debug, Clone, Copy)]
pub struct ThreadProbe {
    number: Option<u32>,
}

/// The time of a thread, since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// It ran.
    pub ran: Duration,
    /// It was ready to run, and had no CPU.
    pub starved: Duration,
}

impl ThreadProbe {
    /// This thread.
    pub fn current() -> Self {
        Self {
            number: sys::thread_number(),
        }
    }

    /// The time of the thread. `None` if the thread has ended.
    pub fn cpu_time(self) -> Option<CpuTime> {
        let text = self.read("schedstat")?;
        let mut nanos = text.split_ascii_whitespace().map(str::parse);
        let mut next = || nanos.next()?.ok().map(Duration::from_nanos);
        let (ran, starved) = (next()?, next()?);
        Some(CpuTime { ran, starved })
    }

    /// The number of the system call in which the thread is. `None` if it is in none, or if the system does not report it.
    pub fn system_call(self) -> Option<u32> {
        let text = self.read("syscall")?;
        text.split_ascii_whitespace().next()?.parse().ok()
    }

    fn read(self, name: &str) -> Option<String> {
        let number = self.number?;
        fs::read_to_string(format!("/proc/self/task/{number}/{name}")).ok()
    }
}
