//! Paths: from names to inodes. Relative paths begin at `/`, the current directory of each host.

use std::collections::VecDeque;

use libc::{EEXIST, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR};

use super::{Directory, FileSystem, Ino, Node, ROOT};

/// The most symbolic links in a path, and the longest name, as on Linux.
const LINKS_MAX: usize = 40;
const NAME_MAX: usize = 255;

/// A path, and the directory at which it begins if it is relative.
#[derive(Debug, Clone, Copy)]
pub(in crate::sys::simulated) struct At<'a> {
    pub(super) start: Ino,
    pub(super) path: &'a [u8],
}

/// The end of a path: an entry of a directory, which may be missing.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parent: Ino,
    /// Empty for the root, and for a path that ends with `.` or `..`.
    pub(super) name: Vec<u8>,
    pub(super) found: Option<Ino>,
    /// The path ends with a slash. The caller checks it.
    pub(super) must_be_dir: bool,
}

impl<'a> At<'a> {
    /// In the current directory.
    pub(in crate::sys::simulated) fn root(path: &'a [u8]) -> Self {
        Self { start: ROOT, path }
    }
}

impl FileSystem {
    /// Finds the end of a path. All its other parts exist. A symbolic link at the end is followed only if `follows`.
    pub(super) fn walk(&self, at: At<'_>, follows: bool) -> Result<Place, i32> {
        let At { start, path } = at;
        if path.is_empty() {
            return Err(ENOENT);
        }
        let mut at = if path[0] == b'/' { ROOT } else { start };
        let mut must_be_dir = path.ends_with(b"/");
        let mut rest: VecDeque<Vec<u8>> = parts(path).collect();
        let mut links = 0;
        let mut name = Vec::new();
        let mut parent = at;
        while let Some(part) = rest.pop_front() {
            if part.len() > NAME_MAX {
                return Err(ENAMETOOLONG);
            }
            let directory = self.directory(at)?;
            if part == b"." || part == b".." {
                if part == b".." {
                    at = directory.parent;
                }
                (parent, name) = (at, Vec::new());
                continue;
            }
            let is_last = rest.is_empty();
            let found = directory.entries.get(&part).copied();
            let Some(found) = found else {
                // A directory that has been removed gets no entries.
                if !is_last || !self.is_linked(at) {
                    return Err(ENOENT);
                }
                return Ok(Place {
                    parent: at,
                    name: part,
                    found: None,
                    must_be_dir,
                });
            };
            if let Some(target) = self.target(found)
                && (!is_last || follows || must_be_dir)
            {
                links += 1;
                if links > LINKS_MAX {
                    return Err(ELOOP);
                }
                if target.starts_with(b"/") {
                    at = ROOT;
                }
                must_be_dir |= is_last && target.ends_with(b"/");
                for part in parts(target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
                (parent, name) = (at, Vec::new());
                continue;
            }
            (parent, name) = (at, part);
            at = found;
        }
        Ok(Place {
            parent,
            name,
            found: Some(at),
            must_be_dir,
        })
    }

    /// An entry to be created, renamed or removed. No symbolic link at the end is followed, also not before a slash.
    pub(super) fn entry(&self, at: At<'_>) -> Result<Place, i32> {
        let slashes = at.path.iter().rev().take_while(|byte| **byte == b'/');
        let len = at.path.len() - slashes.count();
        // The root keeps its slash.
        let path = &at.path[..len.max(1).min(at.path.len())];
        Ok(Place {
            must_be_dir: len < at.path.len(),
            ..self.walk(At { path, ..at }, false)?
        })
    }

    /// The place of a new entry, which does not exist.
    pub(super) fn new_entry(&self, at: At<'_>, is_dir: bool) -> Result<Place, i32> {
        let place = self.entry(at)?;
        match place.found {
            Some(_) => Err(EEXIST),
            None if place.must_be_dir && !is_dir => Err(ENOENT),
            None => Ok(place),
        }
    }

    fn is_linked(&self, ino: Ino) -> bool {
        self.inodes.get(&ino).is_some_and(|inode| inode.links > 0)
    }

    /// The file at a path.
    pub(in crate::sys::simulated) fn find(&self, at: At<'_>, follows: bool) -> Result<Ino, i32> {
        self.existing(&self.walk(at, follows)?)
    }

    /// The file of a place.
    pub(super) fn existing(&self, place: &Place) -> Result<Ino, i32> {
        let found = place.found.ok_or(ENOENT)?;
        if place.must_be_dir {
            self.directory(found)?;
        }
        Ok(found)
    }

    pub(super) fn directory(&self, ino: Ino) -> Result<&Directory, i32> {
        match self.inodes.get(&ino).map(|inode| &inode.node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_) | Node::Symlink(_) | Node::Socket) => Err(ENOTDIR),
            None => Err(ENOENT),
        }
    }

    pub(super) fn directory_mut(&mut self, ino: Ino) -> Result<&mut Directory, i32> {
        match self.inodes.get_mut(&ino).map(|inode| &mut inode.node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_) | Node::Symlink(_) | Node::Socket) => Err(ENOTDIR),
            None => Err(ENOENT),
        }
    }

    fn target(&self, ino: Ino) -> Option<&[u8]> {
        match &self.inodes.get(&ino)?.node {
            Node::Symlink(target) => Some(target),
            Node::File(_) | Node::Directory(_) | Node::Socket => None,
        }
    }

    /// The target of a symbolic link.
    pub(in crate::sys::simulated) fn read_link(&self, at: At<'_>) -> Result<Vec<u8>, i32> {
        let ino = self.find(at, false)?;
        self.target(ino).map(<[u8]>::to_vec).ok_or(libc::EINVAL)
    }

    /// The absolute path without symbolic links.
    pub(in crate::sys::simulated) fn canonicalize(&self, path: &[u8]) -> Result<Vec<u8>, i32> {
        let place = self.walk(At::root(path), true)?;
        self.existing(&place)?;
        let mut names = vec![place.name];
        let mut at = place.parent;
        while at != ROOT {
            let parent = self.directory(at)?.parent;
            let entries = &self.directory(parent)?.entries;
            let entry = entries.iter().find(|(_, ino)| **ino == at);
            names.push(entry.ok_or(ENOENT)?.0.clone());
            at = parent;
        }
        names.retain(|name| !name.is_empty());
        names.reverse();
        Ok([b"/", names.join(&b'/').as_slice()].concat())
    }
}

/// The parts of a path.
fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/');
    parts.filter(|part| !part.is_empty()).map(<[u8]>::to_vec)
}
