//! Which core runs what, and what machine this is.

use std::{fs, io, thread};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::utsname::uname,
    unistd::Pid,
};

/// Where workers run, with all of their threads.
pub const SERVER_CORE: usize = 0;
/// Where the load client runs.
pub const CLIENT_CORE: usize = 1;

/// Binds this thread, and those it will start, to one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)?;
    Ok(())
}

/// The machine in one line.
pub fn machine() -> String {
    let kernel = uname().map_or_else(
        |_| "unknown kernel".into(),
        |name| {
            let [system, release] =
                [name.sysname(), name.release()].map(|part| part.to_string_lossy().into_owned());
            format!("{system} {release}")
        },
    );
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, {kernel}", model())
}

fn model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split_once(": "));
    name.map_or_else(|| "unknown CPU".into(), |(_, name)| name.into())
}
