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

/// Allows this process as many open files as it may ever have.
pub fn raise_limits() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// How many files a process may have open.
pub fn open_files_max() -> usize {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, most)| most);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The variable that tells workers where the files are that have to be on a disk.
pub const SCRATCH: &str = "BENCH_SCRATCH";

/// Where files are that have to be on a disk.
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
