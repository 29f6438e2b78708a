//! The calls of the `Os` seam on files, paths, names and handles. Each returns `None` if the call concerns the real
//! system.

use std::{
    ffi::{CStr, OsString},
    fs::{FileTimes, Metadata, Permissions},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::PermissionsExt,
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use socket2::{Domain, Type};

use libc::{O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

use super::{
    current,
    descriptors::{Object, is_simulated, own},
    files::{At, DirEntry, SECTOR},
    network::End,
    requests::uses_simulated,
    rng::hash_of,
    socket_calls, symbols,
    trace::Mark,
    with_current,
    world::{HostId, State},
};
use crate::{
    backend::BackendKind,
    credentials::UCred,
    direct::{AlignmentSource, DirectAlignment, DirectLimits},
    oversubscription::CpuShare,
    request::{RawResult, Request},
    sys::system_calls::Entry,
};

/// The result of a call, unless it concerns the real system.
type Answer<T> = Option<io::Result<T>>;

/// How a file is opened.
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
    pub(crate) truncate: bool,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) custom_flags: i32,
    pub(crate) mode: u32,
}

impl Access {
    /// The `O_` flags; EINVAL as of std.
    fn flags(&self) -> Result<i32, i32> {
        let access = match (self.read, self.write || self.append) {
            (true, false) => O_RDONLY,
            (false, true) => O_WRONLY,
            (true, true) => O_RDWR,
            (false, false) => return Err(libc::EINVAL),
        };
        let writes = self.write || self.append;
        let changes = self.truncate || self.create || self.create_new;
        if changes && !writes || self.truncate && self.append && !self.create_new {
            return Err(libc::EINVAL);
        }
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        Ok(access
            | flag(self.append, O_APPEND)
            | flag(self.create || self.create_new, O_CREAT)
            | flag(self.create_new, O_EXCL)
            | flag(self.truncate && !self.create_new, O_TRUNC)
            | self.custom_flags & !libc::O_ACCMODE)
    }
}

/// The error of a call that no simulated host has.
pub(crate) fn unsupported(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("a simulated host has no {what}"),
    )
}

/// The time of the current host.
#[inline]
pub(crate) fn now() -> Option<Instant> {
    symbols::now()
}

/// A random number for the order of the ready tasks, if the simulation shuffles them.
pub(crate) fn task_order() -> Option<Option<u64>> {
    with_current(|world, host| world.state().draw_order(host))
}

/// An error if there is a current host.
pub(crate) fn refuse_here<T>(what: &str) -> Answer<T> {
    with_current(|_, _| Err(unsupported(what)))
}

/// An error if the handle is a simulated one, or if there is a current host.
pub(crate) fn refuse<T>(fd: BorrowedFd<'_>, what: &str) -> Answer<T> {
    (is_simulated(fd.as_raw_fd()) || is_in_host()).then(|| Err(unsupported(what)))
}

/// True if there is a current host.
pub(crate) fn is_here() -> Option<bool> {
    is_in_host().then_some(true)
}

/// Whether there is a current host.
pub(super) fn is_in_host() -> bool {
    with_current(|_, _| ()).is_some()
}

/// # Panics
///
/// If the handle is a simulated one.
#[track_caller]
pub(crate) fn refuse_to_expose<'a>(fd: BorrowedFd<'a>) -> Option<BorrowedFd<'a>> {
    assert!(
        !is_simulated(fd.as_raw_fd()),
        "the system does not know the handles of a simulated host: use them by the methods of compio, or give this \
         part of the program an interface that has another implementation in a simulation"
    );
    None
}

/// A call of the current host, which the trace contains. `InvalidInput` if the name has a NUL byte, as of std.
fn on_host<T>(
    call: (u64, &[u8]),
    code: impl FnOnce(&mut State, HostId) -> Result<T, i32>,
) -> Answer<T> {
    with_current(|world, host| {
        let (kind, name) = call;
        if name.contains(&0) {
            let text = "a name has a NUL byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut state = world.state();
        state.note(Mark::Call, &[kind, host as u64, hash_of(name)]);
        let result = if state.hosts[host].has_crashed {
            Err(libc::EIO)
        } else {
            code(&mut state, host)
        };
        let code = result.as_ref().err().copied().unwrap_or(0);
        state.note(Mark::Result, &[code as u64]);
        result.map_err(io::Error::from_raw_os_error)
    })
}

/// A call on a handle. EBADF if its simulation has ended or another host is current.
pub(super) fn on_handle<T>(
    kind: u64,
    fd: RawFd,
    code: impl FnOnce(&mut State, HostId) -> Result<T, i32>,
) -> Answer<T> {
    if !is_simulated(fd) {
        return is_in_host().then(|| Err(unsupported("real handles")));
    }
    let called = with_current(|world, host| {
        let mut state = world.state();
        let index = state.descriptors.index(fd);
        state.note(Mark::Call, &[kind, index]);
        code(&mut state, host)
    });
    let result = called.unwrap_or(Err(libc::EBADF));
    Some(result.map_err(io::Error::from_raw_os_error))
}

/// close(2). A handle of a simulation that has ended is closed already.
pub(crate) fn close(fd: RawFd) -> Answer<()> {
    if !is_simulated(fd) {
        return None;
    }
    // Without a current host, its host has ended, and has closed it.
    with_current(|world, _| {
        if let Some(mut state) = world.try_state() {
            state.close(fd, End::Close);
        }
    });
    Some(Ok(()))
}

/// The share of a driver that never spins.
pub(crate) fn roomy_share() -> Option<CpuShare> {
    is_in_host().then(CpuShare::roomy)
}

/// Nothing to do for a simulated descriptor.
pub(crate) fn skip(fd: RawFd) -> Option<()> {
    is_simulated(fd).then_some(())
}

/// EBADF for a simulated handle in a request to a real kernel.
pub(crate) fn refuse_stray(kind: BackendKind, request: &Request) -> Option<Option<RawResult>> {
    let is_stray = kind != BackendKind::Simulated && uses_simulated(request);
    is_stray.then_some(Some(Err(libc::EBADF)))
}

/// An error for a real driver that waits in a simulated host: the clock of the host would stand still.
pub(crate) fn refuse_wait(kind: BackendKind, timeout: Option<Duration>) -> Answer<()> {
    let waits = kind != BackendKind::Simulated && timeout != Some(Duration::ZERO);
    (waits && is_in_host()).then(|| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a simulated host cannot wait for a runtime that was made outside of it",
        ))
    })
}

pub(crate) fn create_socket(domain: Domain, kind: Type) -> Answer<OwnedFd> {
    socket_calls::create(domain, kind)
}

pub(crate) fn socket_pair(kind: Type) -> Answer<(OwnedFd, OwnedFd)> {
    socket_calls::create_pair(kind)
}

pub(crate) fn has_messages(fd: RawFd) -> Option<bool> {
    let socket = socket_calls::of_number(fd)?;
    Some(socket.r#type().is_ok_and(|kind| kind != Type::STREAM))
}

pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Answer<OwnedFd> {
    let fd = fd.as_raw_fd();
    on_handle(10, fd, |state, host| {
        let object = state.descriptors.get(fd, host)?.object;
        let new = match object {
            Object::Socket(socket) | Object::Pipe(socket) => state.open_socket(host, socket)?,
            Object::File(file) => {
                let new = state.descriptors.add(host, object)?;
                state.hosts[host].files.duplicate(file);
                new
            }
        };
        Ok(own(new))
    })
}

pub(crate) fn open(path: &Path, access: Access) -> Answer<OwnedFd> {
    let path = path.as_os_str().as_bytes();
    on_host((11, path), |state, host| {
        let flags = access.flags()?;
        let dir = libc::AT_FDCWD;
        state
            .open_file(host, dir, path, flags, access.mode)
            .map(own)
    })
}

pub(crate) fn file_len(fd: BorrowedFd<'_>) -> Answer<u64> {
    let fd = fd.as_raw_fd();
    on_handle(12, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        Ok(state.hosts[host].files.attributes(file)?.len)
    })
}

/// The file system of a simulated host has sectors, and no atomic writes.
pub(crate) fn direct_limits(fd: BorrowedFd<'_>) -> Answer<DirectLimits> {
    let fd = fd.as_raw_fd();
    on_handle(43, fd, |state, host| {
        state.file_of(host, fd)?;
        Ok(DirectLimits {
            alignment: DirectAlignment {
                memory: SECTOR as usize,
                offset: SECTOR as usize,
                source: AlignmentSource::Kernel,
            },
            atomic_write: None,
        })
    })
}

pub(crate) fn file_metadata(fd: BorrowedFd<'_>) -> Answer<Metadata> {
    refuse(fd, "attributes of std")
}

pub(crate) fn set_len(fd: BorrowedFd<'_>, len: u64) -> Answer<()> {
    let fd = fd.as_raw_fd();
    on_handle(13, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        let time = state.wall_time(host);
        state.hosts[host].files.set_len(file, len, time)
    })
}

pub(crate) fn set_file_permissions(fd: BorrowedFd<'_>, permissions: &Permissions) -> Answer<()> {
    let fd = fd.as_raw_fd();
    on_handle(14, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        let time = state.wall_time(host);
        let files = &mut state.hosts[host].files;
        files.set_mode(file, permissions.mode(), time)
    })
}

pub(crate) fn set_times(fd: BorrowedFd<'_>, _: FileTimes) -> Answer<()> {
    // std does not return the values of its `FileTimes`.
    refuse(fd, "`set_times`: use `set_modified`")
}

pub(crate) fn set_modified(fd: BorrowedFd<'_>, time: SystemTime) -> Answer<()> {
    let fd = fd.as_raw_fd();
    on_handle(28, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        let modified = time.duration_since(UNIX_EPOCH);
        let modified = modified.map_err(|_| libc::EINVAL)?;
        let now = state.wall_time(host);
        state.hosts[host].files.set_modified(file, modified, now)
    })
}

pub(crate) fn try_lock(fd: BorrowedFd<'_>, is_exclusive: bool) -> Answer<bool> {
    let fd = fd.as_raw_fd();
    on_handle(29, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        state.hosts[host].files.try_lock(file, is_exclusive)
    })
}

pub(crate) fn unlock(fd: BorrowedFd<'_>) -> Answer<()> {
    let fd = fd.as_raw_fd();
    on_handle(42, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        state.hosts[host].files.unlock(file)
    })
}

/// Whether it is a regular file.
pub(crate) fn is_file(fd: RawFd) -> Option<bool> {
    let mode = on_handle(15, fd, |state, host| {
        let file = state.file_of(host, fd)?;
        Ok(state.hosts[host].files.attributes(file)?.mode)
    })?;
    Some(mode.is_ok_and(|mode| mode & libc::S_IFMT == libc::S_IFREG))
}

/// The description of a handle that is no socket.
pub(crate) fn path_of(fd: RawFd) -> Option<Option<String>> {
    is_simulated(fd).then(|| Some("simulated file or pipe".to_owned()))
}

pub(crate) fn pipe() -> Answer<(OwnedFd, OwnedFd)> {
    on_host((27, b""), |state, host| {
        let [reader, writer] = state.create_pipe(host)?.map(own);
        Ok((reader, writer))
    })
}

/// The credentials of each simulated process: process 1 of the user 0.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Answer<UCred> {
    let fd = fd.as_raw_fd();
    on_handle(41, fd, |state, host| {
        let id = state.socket_of(host, fd)?;
        state.peer_of_local(id)?;
        Ok(UCred {
            uid: 0,
            gid: 0,
            pid: Some(1),
        })
    })
}

pub(crate) fn path_metadata(_: &Path) -> Answer<Metadata> {
    with_current(|_, _| Err(unsupported("attributes of std")))
}

pub(crate) fn set_permissions(path: &Path, permissions: &Permissions) -> Answer<()> {
    let path = path.as_os_str().as_bytes();
    on_host((16, path), |state, host| {
        let time = state.wall_time(host);
        let files = &mut state.hosts[host].files;
        files.set_permissions(path, permissions.mode(), time)
    })
}

pub(crate) fn copy(from: &Path, to: &Path) -> Answer<u64> {
    let (from, to) = (from.as_os_str().as_bytes(), to.as_os_str().as_bytes());
    on_host((17, to), |state, host| {
        let time = state.wall_time(host);
        state.hosts[host].files.copy(from, to, time)
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> Answer<()> {
    let (from, to) = (from.as_os_str().as_bytes(), to.as_os_str().as_bytes());
    on_host((18, to), |state, host| {
        let time = state.wall_time(host);
        state.hosts[host]
            .files
            .rename(At::root(from), At::root(to), time)
    })
}

pub(crate) fn hard_link(original: &Path, link: &Path) -> Answer<()> {
    let original = original.as_os_str().as_bytes();
    let link = link.as_os_str().as_bytes();
    on_host((19, link), |state, host| {
        let time = state.wall_time(host);
        let (original, link) = (At::root(original), At::root(link));
        state.hosts[host].files.hard_link(original, link, time)
    })
}

pub(crate) fn read_link(path: &Path) -> Answer<PathBuf> {
    let path = path.as_os_str().as_bytes();
    on_host((20, path), |state, host| {
        let target = state.hosts[host].files.read_link(At::root(path))?;
        Ok(OsString::from_vec(target).into())
    })
}

pub(crate) fn canonicalize(path: &Path) -> Answer<PathBuf> {
    let path = path.as_os_str().as_bytes();
    on_host((21, path), |state, host| {
        let found = state.hosts[host].files.canonicalize(path)?;
        Ok(OsString::from_vec(found).into())
    })
}

/// The current directory of each host is `/`.
pub(crate) fn absolute(path: &Path) -> Answer<PathBuf> {
    with_current(|_, _| {
        if path.as_os_str().is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Path::new("/").join(path))
    })
}

pub(crate) fn create_dir(path: &Path, recursive: bool, mode: u32) -> Answer<()> {
    let path = path.as_os_str().as_bytes();
    on_host((22, path), |state, host| {
        let time = state.wall_time(host);
        let files = &mut state.hosts[host].files;
        let mode = mode & !0o022;
        if recursive {
            files.make_dirs(path, mode, time)
        } else {
            files.make_dir(At::root(path), mode, time)
        }
    })
}

pub(crate) fn remove(path: &Path, is_dir: bool) -> Answer<()> {
    let path = path.as_os_str().as_bytes();
    on_host((23, path), |state, host| {
        let time = state.wall_time(host);
        state.hosts[host].files.remove(At::root(path), is_dir, time)
    })
}

pub(crate) fn remove_dir_all(path: &Path) -> Answer<()> {
    let path = path.as_os_str().as_bytes();
    on_host((24, path), |state, host| {
        let time = state.wall_time(host);
        state.hosts[host].files.remove_all(path, time)
    })
}

/// The entries of a directory.
pub(crate) type Entries = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

pub(crate) fn read_dir(path: &Path) -> Answer<Entries> {
    let path = path.as_os_str().as_bytes();
    on_host((25, path), |state, host| {
        let entries = state.hosts[host].files.read_dir(At::root(path))?;
        Ok(boxed(entries))
    })
}

fn boxed(entries: Vec<DirEntry>) -> Entries {
    Box::new(entries.into_iter().map(|(name, kind, ino)| {
        Ok(Entry {
            name: OsString::from_vec(name),
            kind: Some(kind),
            ino,
        })
    }))
}

/// A call on a path that begins at an open directory.
fn on_dir<T>(
    kind: u64,
    dir: BorrowedFd<'_>,
    path: &CStr,
    code: impl FnOnce(&mut State, HostId, At<'_>) -> Result<T, i32>,
) -> Answer<T> {
    let (dir, path) = (dir.as_raw_fd(), path.to_bytes());
    on_handle(kind, dir, |state, host| {
        state.note(Mark::Call, &[kind, hash_of(path)]);
        let at = state.at(host, dir, path)?;
        code(state, host, at)
    })
}

pub(crate) fn read_dir_at(dir: BorrowedFd<'_>) -> Answer<Entries> {
    on_dir(50, dir, c".", |state, host, at| {
        state.hosts[host].files.read_dir(at).map(boxed)
    })
}

pub(crate) fn make_dir_at(dir: BorrowedFd<'_>, path: &CStr) -> Answer<()> {
    on_dir(51, dir, path, |state, host, at| {
        let time = state.wall_time(host);
        state.hosts[host].files.make_dir(at, 0o755, time)
    })
}

pub(crate) fn remove_at(dir: BorrowedFd<'_>, path: &CStr, is_dir: bool) -> Answer<()> {
    on_dir(52, dir, path, |state, host, at| {
        let time = state.wall_time(host);
        state.hosts[host].files.remove(at, is_dir, time)
    })
}

pub(crate) fn rename_at(
    dir: BorrowedFd<'_>,
    from: &CStr,
    to_dir: BorrowedFd<'_>,
    to: &CStr,
) -> Answer<()> {
    on_dir(53, dir, from, |state, host, from| {
        let (time, to) = (state.wall_time(host), to.to_bytes());
        let to = state.at(host, to_dir.as_raw_fd(), to)?;
        state.hosts[host].files.rename(from, to, time)
    })
}

pub(crate) fn hard_link_at(
    dir: BorrowedFd<'_>,
    original: &CStr,
    link_dir: BorrowedFd<'_>,
    link: &CStr,
) -> Answer<()> {
    on_dir(54, dir, original, |state, host, original| {
        let (time, link) = (state.wall_time(host), link.to_bytes());
        let link = state.at(host, link_dir.as_raw_fd(), link)?;
        state.hosts[host].files.hard_link(original, link, time)
    })
}

pub(crate) fn symlink_at(original: &CStr, dir: BorrowedFd<'_>, link: &CStr) -> Answer<()> {
    on_dir(55, dir, link, |state, host, link| {
        let time = state.wall_time(host);
        let original = original.to_bytes();
        state.hosts[host].files.symlink(original, link, time)
    })
}

pub(crate) fn read_link_at(dir: BorrowedFd<'_>, path: &CStr) -> Answer<PathBuf> {
    on_dir(56, dir, path, |state, host, at| {
        let target = state.hosts[host].files.read_link(at)?;
        Ok(OsString::from_vec(target).into())
    })
}

/// `host:port`.
pub(crate) fn resolve_with_port(name: &str) -> Answer<Vec<SocketAddr>> {
    current()?;
    if let Ok(address) = name.parse() {
        return Some(Ok(vec![address]));
    }
    let parts = name.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts else {
        let text = "invalid socket address";
        return Some(Err(io::Error::new(io::ErrorKind::InvalidInput, text)));
    };
    resolve(host, port)
}

pub(crate) fn resolve(name: &str, port: u16) -> Answer<Vec<SocketAddr>> {
    let found = on_host((26, name.as_bytes()), |state, _| {
        if name == "localhost" {
            return Ok(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        let host = state.names.get(name);
        Ok(host
            .map(|host| state.hosts[*host].address)
            .or_else(|| name.parse().ok()))
    })?;
    Some(found.and_then(|found| match found {
        Some(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no host of the simulation has the name `{name}`"),
        )),
    }))
}
