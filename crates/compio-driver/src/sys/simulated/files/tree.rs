//! Paths: from names to inodes. Relative paths begin at `/`, the current directory of each host.

use std::collections::VecDeque;

use libc::{ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR};

use super::{Directory, FileSystem, Ino, Node, ROOT};

/// The most symbolic links in a path, and the longest name, as on Linux.
const LINKS_MAX: usize = 40;
const NAME_MAX: usize = 255;

/// The end of a path: an entry of a directory, which may be missing.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parent: Ino,
    /// Empty for the root, and for a path that ends with `.` or `..`.
    pub(super) name: Vec<u8>,
    pub(super) found: Option<Ino>,
    /// The path ends with a slash.
    pub(super) must_be_dir: bool,
}

impl FileSystem {
    /// Finds the end of a path. All its other parts exist. A symbolic link at the end is followed only if `follows`.
    pub(super) fn walk(&self, start: Ino, path: &[u8], follows: bool) -> Result<Place, i32> {
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
            if part == b".." {
                at = directory.parent;
                (parent, name) = (at, Vec::new());
                continue;
            }
            let is_last = rest.is_empty();
            let found = directory.entries.get(&part).copied();
            let Some(found) = found else {
                if !is_last {
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
        if must_be_dir {
            self.directory(at)?;
        }
        Ok(Place {
            parent,
            name,
            found: Some(at),
            must_be_dir,
        })
    }

    /// The file at a path.
    pub(in crate::sys::simulated) fn find(&self, path: &[u8], follows: bool) -> Result<Ino, i32> {
        self.walk(ROOT, path, follows)?.found.ok_or(ENOENT)
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
    pub(in crate::sys::simulated) fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, i32> {
        let ino = self.find(path, false)?;
        self.target(ino).map(<[u8]>::to_vec).ok_or(libc::EINVAL)
    }

    /// The absolute path without symbolic links.
    pub(in crate::sys::simulated) fn canonicalize(&self, path: &[u8]) -> Result<Vec<u8>, i32> {
        let place = self.walk(ROOT, path, true)?;
        place.found.ok_or(ENOENT)?;
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

/// The parts of a path except `.`.
fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts.map(<[u8]>::to_vec)
}
