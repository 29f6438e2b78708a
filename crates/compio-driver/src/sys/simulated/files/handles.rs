//! Open files.

use std::time::Duration;

use libc::{
    EBADF, EEXIST, EFBIG, EINVAL, EISDIR, ELOOP, ENODEV, ENOENT, ENOSPC, ENOSYS, ENOTDIR, ENXIO,
    O_ACCMODE, O_APPEND, O_CREAT, O_DIRECT, O_DIRECTORY, O_DSYNC, O_EXCL, O_NOFOLLOW, O_PATH,
    O_RDONLY, O_TMPFILE, O_TRUNC, O_WRONLY,
};

use super::{At, Attributes, FileSystem, Ino, Inode, Node, content::SECTOR};
use crate::sys::simulated::{descriptors::FileId, memory::Parts};

/// An open file description.
#[derive(Debug)]
pub(super) struct Handle {
    ino: Ino,
    cursor: u64,
    can_read: bool,
    can_write: bool,
    appends: bool,
    /// Each write is followed by a sync.
    syncs: bool,
    /// Reads and writes have to be aligned to sectors.
    is_direct: bool,
    lock: Option<Lock>,
    /// The number of its descriptors.
    descriptors: u32,
}

/// A lock of the whole file, by flock(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Shared,
    Exclusive,
}

/// An entry of a directory: its name, the `S_IF` bits of its type, its inode number.
pub(in crate::sys::simulated) type DirEntry = (Vec<u8>, u32, Ino);

impl FileSystem {
    /// open(2). The result has one descriptor.
    pub(super) fn open_at(
        &mut self,
        at: At<'_>,
        flags: i32,
        mode: u32,
        time: Duration,
    ) -> Result<FileId, i32> {
        if flags & O_PATH != 0 || flags & O_TMPFILE == O_TMPFILE {
            return Err(ENOSYS);
        }
        let is_exclusive = flags & O_CREAT != 0 && flags & O_EXCL != 0;
        let follows = flags & O_NOFOLLOW == 0 && !is_exclusive;
        if flags & O_CREAT != 0 && at.path.ends_with(b"/") {
            return self.entry(at).and(Err(EISDIR));
        }
        let place = self.walk(at, follows)?;
        let ino = match place.found {
            _ if flags & O_CREAT == 0 => self.existing(&place)?,
            _ if place.must_be_dir => return Err(EISDIR),
            Some(_) if is_exclusive => return Err(EEXIST),
            Some(found) => found,
            None => self.make_file(&place, mode & !0o022, time)?,
        };
        let access = flags & O_ACCMODE;
        let inode = self.inodes.get_mut(&ino).ok_or(ENOENT)?;
        match &mut inode.node {
            Node::Directory(_) if access != O_RDONLY || flags & O_CREAT != 0 => {
                return Err(EISDIR);
            }
            Node::Symlink(_) => return Err(ELOOP),
            Node::Socket => return Err(ENXIO),
            Node::File(_) if flags & O_DIRECTORY != 0 => return Err(ENOTDIR),
            Node::File(content) if flags & O_TRUNC != 0 && access != O_RDONLY => {
                content.set_len(0, &mut self.disk.stream.rng);
                inode.modified(time);
            }
            Node::Directory(_) | Node::File(_) => {}
        }
        inode.opens += 1;
        inode.path = String::from_utf8_lossy(at.path).into_owned();
        self.last_file += 1;
        let handle = Handle {
            ino,
            cursor: 0,
            can_read: access != O_WRONLY,
            can_write: access != O_RDONLY,
            appends: flags & O_APPEND != 0,
            syncs: flags & O_DSYNC != 0,
            is_direct: flags & O_DIRECT != 0,
            lock: None,
            descriptors: 1,
        };
        self.open.insert(self.last_file, handle);
        Ok(self.last_file)
    }

    /// One more descriptor of an open file.
    pub(in crate::sys::simulated) fn duplicate(&mut self, file: FileId) {
        if let Some(handle) = self.open.get_mut(&file) {
            handle.descriptors += 1;
        }
    }

    /// One descriptor less. The last one closes the file.
    pub(in crate::sys::simulated) fn close(&mut self, file: FileId) {
        let Some(handle) = self.open.get_mut(&file) else {
            return;
        };
        handle.descriptors -= 1;
        if handle.descriptors > 0 {
            return;
        }
        let ino = handle.ino;
        self.open.remove(&file);
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.opens -= 1;
        }
        self.release(ino);
    }

    /// The inode of an open file.
    pub(super) fn ino_of(&self, file: FileId) -> Result<Ino, i32> {
        self.open.get(&file).map(|handle| handle.ino).ok_or(EBADF)
    }

    fn inode_of(&mut self, file: FileId) -> Result<&mut Inode, i32> {
        let ino = self.ino_of(file)?;
        self.inodes.get_mut(&ino).ok_or(EBADF)
    }

    /// EINVAL if the file is open with `O_DIRECT`, and the transfer does not consist of whole sectors.
    pub(in crate::sys::simulated) fn check_alignment(
        &self,
        file: FileId,
        at: Option<u64>,
        parts: &Parts,
    ) -> Result<(), i32> {
        let handle = self.open.get(&file).ok_or(EBADF)?;
        let offset = at.unwrap_or(handle.cursor);
        let is_aligned = offset.is_multiple_of(SECTOR) && parts.are_aligned(SECTOR as usize);
        if handle.is_direct && !is_aligned {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// At most `max` bytes, from an offset or from the cursor.
    pub(in crate::sys::simulated) fn read(
        &mut self,
        file: FileId,
        at: Option<u64>,
        max: usize,
        time: Duration,
    ) -> Result<Vec<u8>, i32> {
        let handle = self.open.get_mut(&file).ok_or(EBADF)?;
        if !handle.can_read {
            return Err(EBADF);
        }
        let inode = self.inodes.get_mut(&handle.ino).ok_or(EBADF)?;
        let Node::File(content) = &mut inode.node else {
            return Err(EISDIR);
        };
        let offset = at.unwrap_or(handle.cursor);
        if i64::try_from(offset).is_err() {
            return Err(EINVAL);
        }
        let len = self.disk.before_read(content, &inode.path, offset, max)?;
        let bytes = content.read(offset, len);
        inode.times.accessed = time;
        if at.is_none() {
            handle.cursor += bytes.len() as u64;
        }
        Ok(bytes)
    }

    /// Writes the bytes, or a part of them, at an offset or at the cursor. Returns their number.
    pub(in crate::sys::simulated) fn write(
        &mut self,
        file: FileId,
        at: Option<u64>,
        bytes: &[u8],
        time: Duration,
    ) -> Result<u32, i32> {
        let free = self.free_pages();
        let handle = self.open.get_mut(&file).ok_or(EBADF)?;
        if !handle.can_write {
            return Err(EBADF);
        }
        let inode = self.inodes.get_mut(&handle.ino).ok_or(EBADF)?;
        let Node::File(content) = &mut inode.node else {
            return Err(EISDIR);
        };
        let offset = match at {
            _ if handle.appends => content.len(),
            Some(offset) => offset,
            None => handle.cursor,
        };
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(EINVAL);
        }
        let len = self
            .disk
            .before_write(content, &inode.path, offset, bytes.len(), free)?;
        let bytes = &bytes[..len];
        content.write(offset, bytes, &mut self.disk.stream.rng);
        if handle.syncs {
            self.disk.sync(content, &inode.path)?;
        }
        inode.modified(time);
        if at.is_none() {
            handle.cursor = offset + bytes.len() as u64;
        }
        Ok(bytes.len() as u32)
    }

    pub(in crate::sys::simulated) fn sync(&mut self, file: FileId) -> Result<(), i32> {
        let ino = self.ino_of(file)?;
        self.sync_inode(ino)
    }

    pub(in crate::sys::simulated) fn set_len(
        &mut self,
        file: FileId,
        len: u64,
        time: Duration,
    ) -> Result<(), i32> {
        let handle = self.open.get(&file).ok_or(EBADF)?;
        if !handle.can_write || i64::try_from(len).is_err() {
            return Err(EINVAL);
        }
        let inode = self.inodes.get_mut(&handle.ino).ok_or(EBADF)?;
        let Node::File(content) = &mut inode.node else {
            return Err(EINVAL);
        };
        if self.disk.fails_write(&inode.path) {
            return Err(libc::EIO);
        }
        content.set_len(len, &mut self.disk.stream.rng);
        inode.modified(time);
        Ok(())
    }

    /// fallocate(2). It fails if the disk has no room for the range, and reserves nothing.
    pub(in crate::sys::simulated) fn allocate(
        &mut self,
        file: FileId,
        extends: bool,
        offset: u64,
        len: u64,
        time: Duration,
    ) -> Result<(), i32> {
        let free = self.free_pages();
        let handle = self.open.get(&file).ok_or(EBADF)?;
        let inode = self.inodes.get(&handle.ino).ok_or(EBADF)?;
        let Node::File(content) = &inode.node else {
            return Err(ENODEV);
        };
        if !handle.can_write {
            return Err(EBADF);
        }
        if len == 0 || i64::try_from(offset.max(len)).is_err() {
            return Err(EINVAL);
        }
        let end = offset + len;
        if i64::try_from(end).is_err() {
            return Err(EFBIG);
        }
        let room = len as usize;
        if free.is_some_and(|free| content.fitting(offset, room, free) < room) {
            return Err(ENOSPC);
        }
        if extends && end > content.len() {
            self.set_len(file, end, time)?;
        }
        Ok(())
    }

    /// Locks the file for this open file, and replaces its lock. False if another open file has a conflicting one: as on Linux, the old
    /// lock is lost then, too.
    pub(in crate::sys::simulated) fn try_lock(
        &mut self,
        file: FileId,
        is_exclusive: bool,
    ) -> Result<bool, i32> {
        let ino = self.ino_of(file)?;
        let mut others = self
            .open
            .iter()
            .filter(|(id, other)| **id != file && other.ino == ino);
        let is_taken = others.any(|(_, other)| match other.lock {
            Some(Lock::Exclusive) => true,
            Some(Lock::Shared) => is_exclusive,
            None => false,
        });
        let lock = if is_exclusive {
            Lock::Exclusive
        } else {
            Lock::Shared
        };
        self.set_lock(file, (!is_taken).then_some(lock))?;
        Ok(!is_taken)
    }

    pub(in crate::sys::simulated) fn unlock(&mut self, file: FileId) -> Result<(), i32> {
        self.set_lock(file, None)
    }

    fn set_lock(&mut self, file: FileId, lock: Option<Lock>) -> Result<(), i32> {
        self.open.get_mut(&file).ok_or(EBADF)?.lock = lock;
        Ok(())
    }

    /// Sets the time of the last change of the content.
    pub(in crate::sys::simulated) fn set_modified(
        &mut self,
        file: FileId,
        modified: Duration,
        time: Duration,
    ) -> Result<(), i32> {
        let inode = self.inode_of(file)?;
        inode.times.modified = modified;
        inode.times.changed = time;
        Ok(())
    }

    pub(in crate::sys::simulated) fn attributes(&self, file: FileId) -> Result<Attributes, i32> {
        self.attributes_of(self.ino_of(file)?)
    }

    pub(in crate::sys::simulated) fn set_mode(
        &mut self,
        file: FileId,
        mode: u32,
        time: Duration,
    ) -> Result<(), i32> {
        let inode = self.inode_of(file)?;
        inode.mode = mode & 0o7777;
        inode.times.changed = time;
        Ok(())
    }

    /// The entries of a directory, by name.
    pub(in crate::sys::simulated) fn read_dir(&self, at: At<'_>) -> Result<Vec<DirEntry>, i32> {
        let found = self.find(at, true)?;
        let entries = &self.directory(found)?.entries;
        let entry = |(name, ino): (&Vec<u8>, &Ino)| {
            let mode = self.attributes_of(*ino)?.mode;
            Ok((name.clone(), mode & libc::S_IFMT, *ino))
        };
        entries.iter().map(entry).collect()
    }
}
