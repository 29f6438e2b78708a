//! Pinning to cores, and a description of this machine.

use std::{env, fs, io, path::PathBuf, thread};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        utsname::uname,
    },
    unistd::Pid,
};

/// The core of the workers, with all their threads.
pub const SERVER_CORE: usize = 0;
/// The core of the load client.
pub const CLIENT_CORE: usize = 1;

/// Pins this thread, and the threads that it starts, to one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)?;
    Ok(())
}

/// Raises this process's limit of open files to the maximum.
pub fn raise_limits() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// The limit of open files of a process.
pub fn open_files_max() -> usize {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, most)| most);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The variable that tells workers the directory of files that must be on a disk.
pub const SCRATCH: &str = "BENCH_SCRATCH";

/// The directory of files that must be on a disk.
pub fn scratch() -> PathBuf {
    env::var_os(SCRATCH).map_or_else(|| ".".into(), PathBuf::from)
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
