//! Changes of directories.

use std::time::Duration;

use libc::{EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM};

use super::{
    Content, Directory, FileSystem, Ino, Node, ROOT,
    pending::Entry,
    tree::{At, Place},
};

impl FileSystem {
    pub(in crate::sys::simulated) fn make_dir(
        &mut self,
        at: At<'_>,
        mode: u32,
        time: Duration,
    ) -> Result<(), i32> {
        let place = self.new_entry(at, true)?;
        let directory = Directory {
            parent: place.parent,
            ..Directory::default()
        };
        self.create(&place, Node::Directory(directory), mode, time)
            .map(drop)
    }

    /// As [`make_dir`](Self::make_dir), with the missing parents. An existing directory is no error.
    pub(in crate::sys::simulated) fn make_dirs(
        &mut self,
        path: &[u8],
        mode: u32,
        time: Duration,
    ) -> Result<(), i32> {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if at > 0 {
                self.make_dir_if_missing(&path[..at], mode, time)?;
            }
        }
        self.make_dir_if_missing(path, mode, time)
    }

    fn make_dir_if_missing(&mut self, path: &[u8], mode: u32, time: Duration) -> Result<(), i32> {
        match self.make_dir(At::root(path), mode, time) {
            Err(EEXIST) => {
                let found = self.find(At::root(path), true)?;
                self.directory(found).map(drop).map_err(|_| EEXIST)
            }
            result => result,
        }
    }

    pub(in crate::sys::simulated) fn remove(
        &mut self,
        at: At<'_>,
        is_dir: bool,
        time: Duration,
    ) -> Result<(), i32> {
        let place = self.entry(at)?;
        let found = place.found.ok_or(ENOENT)?;
        if place.name.is_empty() {
            return Err(match is_dir {
                false => EISDIR,
                true if at.path.ends_with(b"..") => ENOTEMPTY,
                true => EINVAL,
            });
        }
        match self.directory(found) {
            Ok(_) if !is_dir => return Err(EISDIR),
            Ok(directory) if !directory.entries.is_empty() => return Err(ENOTEMPTY),
            Err(_) if is_dir || place.must_be_dir => return Err(ENOTDIR),
            Ok(_) | Err(_) => {}
        }
        self.record(vec![place.change(Some(found), None)], false);
        self.unlink_at(&place, found, time)
    }

    /// Removes a directory with its contents.
    pub(in crate::sys::simulated) fn remove_all(
        &mut self,
        path: &[u8],
        time: Duration,
    ) -> Result<(), i32> {
        let at = At::root(path);
        let found = self.find(at, false)?;
        let names: Vec<_> = self.directory(found)?.entries.clone().into_iter().collect();
        for (name, ino) in names {
            let inner = [path, b"/", &name].concat();
            if self.directory(ino).is_ok() {
                self.remove_all(&inner, time)?;
            } else {
                self.remove(At::root(&inner), false, time)?;
            }
        }
        self.remove(at, true, time)
    }

    pub(in crate::sys::simulated) fn rename(
        &mut self,
        from: At<'_>,
        to: At<'_>,
        time: Duration,
    ) -> Result<(), i32> {
        let path = String::from_utf8_lossy(to.path).into_owned();
        let (from, to) = (self.entry(from)?, self.entry(to)?);
        if from.name.is_empty() || to.name.is_empty() {
            return Err(EBUSY);
        }
        let moved = from.found.ok_or(ENOENT)?;
        let is_dir = self.directory(moved).is_ok();
        if !is_dir && (from.must_be_dir || to.must_be_dir) {
            return Err(ENOTDIR);
        }
        if is_dir && self.is_inside(to.parent, moved) {
            return Err(EINVAL);
        }
        if let Some(replaced) = to.found {
            if self.is_inside(from.parent, replaced) {
                return Err(ENOTEMPTY);
            }
            if replaced == moved {
                return Ok(());
            }
            match self.directory(replaced) {
                Ok(_) if !is_dir => return Err(EISDIR),
                Ok(directory) if !directory.entries.is_empty() => return Err(ENOTEMPTY),
                Err(_) if is_dir => return Err(ENOTDIR),
                Ok(_) | Err(_) => {}
            }
        }
        self.record(
            vec![
                from.change(Some(moved), None),
                to.change(to.found, Some(moved)),
            ],
            false,
        );
        if let Some(replaced) = to.found {
            self.unlink_at(&to, replaced, time)?;
        }
        self.link_at(&to, moved, time)?;
        if let Some(inode) = self.inodes.get_mut(&moved) {
            inode.path = path;
        }
        if is_dir {
            self.directory_mut(moved)?.parent = to.parent;
        }
        self.unlink_at(&from, moved, time)
    }

    /// Whether `inner` is the directory `outer`, or inside of it.
    fn is_inside(&self, inner: Ino, outer: Ino) -> bool {
        let mut at = inner;
        loop {
            if at == outer {
                return true;
            }
            match self.directory(at) {
                Ok(directory) if at != ROOT => at = directory.parent,
                Ok(_) | Err(_) => return false,
            }
        }
    }

    pub(in crate::sys::simulated) fn hard_link(
        &mut self,
        original: At<'_>,
        link: At<'_>,
        time: Duration,
    ) -> Result<(), i32> {
        let original = self.find(original, false)?;
        let place = self.new_entry(link, false)?;
        if self.directory(original).is_ok() {
            return Err(EPERM);
        }
        self.record(vec![place.change(None, Some(original))], false);
        self.link_at(&place, original, time)
    }

    pub(in crate::sys::simulated) fn symlink(
        &mut self,
        target: &[u8],
        link: At<'_>,
        time: Duration,
    ) -> Result<(), i32> {
        let place = self.new_entry(link, false)?;
        if target.is_empty() {
            return Err(ENOENT);
        }
        self.create(&place, Node::Symlink(target.to_vec()), 0o777, time)
            .map(drop)
    }

    /// Creates the file of a Unix socket.
    pub(in crate::sys::simulated) fn make_socket(
        &mut self,
        path: &[u8],
        time: Duration,
    ) -> Result<Ino, i32> {
        let place = self.new_entry(At::root(path), false)?;
        self.create(&place, Node::Socket, 0o755, time)
    }

    pub(in crate::sys::simulated) fn set_permissions(
        &mut self,
        path: &[u8],
        mode: u32,
        time: Duration,
    ) -> Result<(), i32> {
        let found = self.find(At::root(path), true)?;
        let inode = self.inodes.get_mut(&found).ok_or(ENOENT)?;
        inode.mode = mode & 0o7777;
        inode.times.changed = time;
        Ok(())
    }

    /// Copies content and permissions. Returns the number of bytes.
    pub(in crate::sys::simulated) fn copy(
        &mut self,
        from: &[u8],
        to: &[u8],
        time: Duration,
    ) -> Result<u64, i32> {
        let from = self.find(At::root(from), true)?;
        let inode = self.inodes.get(&from).ok_or(ENOENT)?;
        let Node::File(content) = &inode.node else {
            return Err(EINVAL);
        };
        let (bytes, mode) = (content.read(0, usize::MAX), inode.mode);
        let path = String::from_utf8_lossy(to).into_owned();
        let place = self.walk(At::root(to), true)?;
        if place.must_be_dir {
            return Err(EISDIR);
        }
        let to = match place.found {
            Some(found) => found,
            None => self.make_file(&place, mode, time)?,
        };
        let free = self.free_pages();
        let inode = self.inodes.get_mut(&to).ok_or(ENOENT)?;
        let Node::File(content) = &mut inode.node else {
            return Err(EISDIR);
        };
        let freed = content.pages();
        content.set_len(0, &mut self.disk.stream.rng);
        let len = bytes.len();
        let free = free.map(|free| free + freed);
        inode.path = path;
        let fitting = self.disk.before_write(content, &inode.path, 0, len, free)?;
        content.write(0, &bytes[..fitting], &mut self.disk.stream.rng);
        if fitting < len && free.is_some() {
            return Err(ENOSPC);
        }
        inode.mode = mode;
        inode.modified(time);
        Ok(bytes.len() as u64)
    }

    /// Creates an empty file at a place without one.
    pub(super) fn make_file(
        &mut self,
        place: &Place,
        mode: u32,
        time: Duration,
    ) -> Result<Ino, i32> {
        self.create(place, Node::File(Content::default()), mode, time)
    }

    /// Creates a file of any type at a place without one.
    fn create(&mut self, place: &Place, node: Node, mode: u32, time: Duration) -> Result<Ino, i32> {
        let made = self.add(node, mode, time);
        self.record(vec![place.change(None, Some(made))], true);
        self.link_at(place, made, time)?;
        Ok(made)
    }

    fn link_at(&mut self, place: &Place, ino: Ino, time: Duration) -> Result<(), i32> {
        let directory = self.directory_mut(place.parent)?;
        directory.entries.insert(place.name.clone(), ino);
        if let Some(inode) = self.inodes.get_mut(&place.parent) {
            inode.modified(time);
        }
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.links += 1;
            inode.times.changed = time;
        }
        Ok(())
    }

    fn unlink_at(&mut self, place: &Place, ino: Ino, time: Duration) -> Result<(), i32> {
        self.directory_mut(place.parent)?
            .entries
            .remove(&place.name);
        if let Some(inode) = self.inodes.get_mut(&place.parent) {
            inode.modified(time);
        }
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.links -= 1;
            inode.times.changed = time;
        }
        self.release(ino);
        Ok(())
    }
}

impl Place {
    fn change(&self, before: Option<Ino>, after: Option<Ino>) -> Entry {
        Entry {
            dir: self.parent,
            name: self.name.clone(),
            before,
            after,
        }
    }
}
