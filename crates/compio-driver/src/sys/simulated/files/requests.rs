//! The requests of files and paths.

use std::{ffi::CStr, mem, time::Duration};

use libc::{EBADF, EINTR, EINVAL, ENOTDIR, EOPNOTSUPP};

use super::{At, Attributes};
use crate::{
    request::{
        Allocation, CURRENT_DIR, FileOp, PathOp, PathUnit, Position, RawFd, RawResult, Transfer,
        WriteFlags,
    },
    sys::{
        Stat,
        simulated::{
            descriptors::{Object, as_answer},
            rng::hash_of,
            trace::Mark,
            world::{HostId, State},
        },
    },
};

impl State {
    /// # Safety
    ///
    /// The memory of the request is valid.
    pub(in crate::sys::simulated) unsafe fn file_op(
        &mut self,
        host: HostId,
        op: &FileOp,
    ) -> RawResult {
        let time = self.wall_time(host);
        match *op {
            FileOp::Sync { fd, .. } => {
                let file = self.file_of(host, fd)?;
                self.hosts[host].files.sync(file)?;
                Ok(0)
            }
            FileOp::Open {
                dir,
                path,
                flags,
                mode,
            } => {
                // SAFETY: passed on from this function.
                let path = unsafe { bytes_of(path) };
                self.open_file(host, dir, path, flags, mode).map(as_answer)
            }
            FileOp::Stat {
                dir,
                path,
                follow,
                into,
            } => {
                // SAFETY: likewise.
                let path = unsafe { bytes_of(path) };
                let at = self.at(host, dir, path)?;
                let files = &self.hosts[host].files;
                let found = files.find(at, follow)?;
                let stat = stat_of(files.attributes_of(found)?);
                // SAFETY: likewise.
                unsafe { into.write(stat) };
                Ok(0)
            }
            FileOp::StatFd { fd, into } => {
                let file = self.file_of(host, fd)?;
                let stat = stat_of(self.hosts[host].files.attributes(file)?);
                // SAFETY: likewise.
                unsafe { into.write(stat) };
                Ok(0)
            }
            FileOp::Truncate { fd, len } => {
                let file = self.file_of(host, fd)?;
                self.hosts[host].files.set_len(file, len, time)?;
                Ok(0)
            }
            FileOp::WriteWith {
                flags: WriteFlags { atomic: true, .. },
                ..
            } => Err(EOPNOTSUPP),
            FileOp::WriteWith {
                fd,
                span,
                offset,
                flags: WriteFlags { data_sync, .. },
            } => {
                let write = Transfer::Write {
                    fd,
                    span,
                    position: Position::At(offset),
                };
                // SAFETY: passed on from this function.
                let written = unsafe { self.transfer_file(host, &write) }?;
                if data_sync {
                    let file = self.file_of(host, fd)?;
                    self.hosts[host].files.sync(file)?;
                }
                Ok(written)
            }
            FileOp::Allocate {
                mode: Allocation::PunchHole,
                ..
            } => Err(EOPNOTSUPP),
            FileOp::Allocate {
                fd,
                mode,
                offset,
                len,
            } => {
                let file = self.file_of(host, fd)?;
                let extends = mode == Allocation::Extend;
                let files = &mut self.hosts[host].files;
                files.allocate(file, extends, offset, len, time)?;
                Ok(0)
            }
        }
    }

    /// # Safety
    ///
    /// The memory of the request is valid.
    pub(in crate::sys::simulated) unsafe fn path_op(
        &mut self,
        host: HostId,
        op: &PathOp,
    ) -> RawResult {
        let time = self.wall_time(host);
        let interrupt = self.hosts[host].completions.interrupt();
        if interrupt == Some(false) {
            return Err(EINTR);
        }
        let files = &mut self.hosts[host].files;
        // SAFETY: passed on from this function.
        let bytes = |path| unsafe { bytes_of(path) };
        let at = |path| At::root(bytes(path));
        let done = match *op {
            PathOp::Rename { from, to } => files.rename(at(from), at(to), time),
            PathOp::Remove { path, is_dir } => files.remove(at(path), is_dir, time),
            PathOp::MakeDir { path, mode } => files.make_dir(at(path), mode & !0o022, time),
            PathOp::Link {
                original,
                link,
                is_symbolic: true,
            } => files.symlink(bytes(original), at(link), time),
            PathOp::Link { original, link, .. } => files.hard_link(at(original), at(link), time),
        };
        match interrupt {
            Some(_) if done.is_ok() => Err(EINTR),
            Some(_) | None => done.map(|()| 0),
        }
    }

    /// open(2): a new descriptor.
    pub(in crate::sys::simulated) fn open_file(
        &mut self,
        host: HostId,
        dir: RawFd,
        path: &[u8],
        flags: i32,
        mode: u32,
    ) -> Result<RawFd, i32> {
        self.note(Mark::Call, &[2, hash_of(path), flags as u64]);
        let at = self.at(host, dir, path)?;
        self.hosts[host].completions.check_descriptor()?;
        let time = self.wall_time(host);
        let file = self.hosts[host].files.open_at(at, flags, mode, time)?;
        self.descriptors.add(host, Object::File(file))
    }

    /// The file of a descriptor.
    pub(in crate::sys::simulated) fn file_of(&self, host: HostId, fd: RawFd) -> Result<u64, i32> {
        match self.descriptors.get(fd, host)?.object {
            Object::File(file) => Ok(file),
            Object::Socket(_) | Object::Pipe(_) => Err(EINVAL),
        }
    }

    /// A path that begins at an open directory if it is relative.
    pub(in crate::sys::simulated) fn at<'a>(
        &self,
        host: HostId,
        dir: RawFd,
        path: &'a [u8],
    ) -> Result<At<'a>, i32> {
        if dir == CURRENT_DIR {
            return Ok(At::root(path));
        }
        let Object::File(file) = self.descriptors.get(dir, host).map_err(|_| EBADF)?.object else {
            return Err(ENOTDIR);
        };
        let start = self.hosts[host].files.ino_of(file)?;
        Ok(At { start, path })
    }
}

/// # Safety
///
/// There is a path with a NUL at its end, which lives for as long as the result is used.
unsafe fn bytes_of<'a>(path: *const PathUnit) -> &'a [u8] {
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(path) }.to_bytes()
}

fn stat_of(attributes: Attributes) -> Stat {
    let parts = |time: Duration| (time.as_secs() as i64, i64::from(time.subsec_nanos()));
    // SAFETY: a plain C struct of integers.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    stat.st_ino = attributes.ino;
    stat.st_mode = attributes.mode;
    stat.st_nlink = u64::from(attributes.links) as _;
    stat.st_size = attributes.len as i64;
    stat.st_blksize = 4096;
    stat.st_blocks = attributes.len.div_ceil(512) as i64;
    (stat.st_atime, stat.st_atime_nsec) = parts(attributes.accessed);
    (stat.st_mtime, stat.st_mtime_nsec) = parts(attributes.modified);
    (stat.st_ctime, stat.st_ctime_nsec) = parts(attributes.changed);
    Stat::from_older(&stat, Some(parts(attributes.created)))
}
