//! The file system of a host, in memory.
//!
//! Each file and each directory has two images: the page cache, which reads and writes use, and the durable image,
//! which a sync updates from the cache. The loss of power replaces the cache by the durable image and a part of the
//! unsynced changes ([`FileSystem::lose_unsynced`]). The sync of a file makes its content durable, the sync of a
//! directory its entries.
//!
//! `content.rs` has the pages of a file, `tree.rs` paths and directories, `changes.rs` their changes, `pending.rs` the
//! unsynced ones, `handles.rs` open files, `requests.rs` the requests, `faults.rs` the settings and draws of faults, `slow.rs`
//! operations that take time.

mod changes;
mod content;
mod faults;
mod handles;
mod pending;
mod requests;
mod slow;
mod tree;

use std::{collections::BTreeMap, time::Duration};

pub use self::faults::{DiskCounts, DiskFaults, Unsynced};
use self::{content::Content, faults::Disk, handles::Handle, pending::Change};
pub(super) use self::{content::SECTOR, handles::DirEntry, slow::Finish, tree::At};
use super::{
    descriptors::FileId,
    injector::{FaultStream, Site},
};

/// An inode number.
pub(super) type Ino = u64;

/// The inode of `/`.
const ROOT: Ino = 1;

#[derive(Debug)]
pub(super) struct FileSystem {
    inodes: BTreeMap<Ino, Inode>,
    last_ino: Ino,
    open: BTreeMap<FileId, Handle>,
    last_file: FileId,
    /// The unsynced changes of directories, from the oldest on.
    pending: Vec<Change>,
    disk: Disk,
}

#[derive(Debug)]
struct Inode {
    node: Node,
    /// Permission bits.
    mode: u32,
    /// The number of names.
    links: u32,
    /// The number of names in durable images of directories.
    durable_links: u32,
    /// The number of entries in unsynced changes of directories.
    pending: u32,
    /// The number of open files.
    opens: u32,
    times: Times,
    /// The path of its last open, copy or rename, for the texts of faults.
    path: String,
}

#[derive(Debug)]
enum Node {
    File(Content),
    Directory(Directory),
    Symlink(Vec<u8>),
    /// The name of a Unix socket.
    Socket,
}

#[derive(Debug, Default)]
struct Directory {
    entries: BTreeMap<Vec<u8>, Ino>,
    durable: BTreeMap<Vec<u8>, Ino>,
    parent: Ino,
}

/// Times since 1970.
#[derive(Debug, Clone, Copy)]
struct Times {
    accessed: Duration,
    modified: Duration,
    changed: Duration,
    created: Duration,
}

/// The attributes of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) ino: Ino,
    /// Type and permissions.
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) len: u64,
    pub(super) accessed: Duration,
    pub(super) modified: Duration,
    pub(super) changed: Duration,
    pub(super) created: Duration,
}

impl FileSystem {
    /// An empty root directory and `/tmp`, both durable.
    pub(super) fn new(time: Duration, stream: FaultStream, site: Site) -> Self {
        let mut files = Self {
            inodes: BTreeMap::new(),
            last_ino: ROOT,
            open: BTreeMap::new(),
            last_file: 0,
            pending: Vec::new(),
            disk: Disk::new(stream, site),
        };
        let root = Directory {
            parent: ROOT,
            ..Directory::default()
        };
        let mut root = Inode::new(Node::Directory(root), 0o755, time);
        (root.links, root.durable_links) = (1, 1);
        files.inodes.insert(ROOT, root);
        let tmp = files.make_dir(At::root(b"/tmp"), 0o777, time);
        debug_assert_eq!(tmp, Ok(()));
        files.sync_dir(ROOT);
        files
    }

    fn add(&mut self, node: Node, mode: u32, time: Duration) -> Ino {
        self.last_ino += 1;
        self.inodes
            .insert(self.last_ino, Inode::new(node, mode, time));
        self.last_ino
    }

    /// Removes an inode without names and open files.
    fn release(&mut self, ino: Ino) {
        let is_unused = self.inodes.get(&ino).is_some_and(|inode| {
            inode.links + inode.durable_links + inode.pending + inode.opens == 0
        });
        if !is_unused {
            return;
        }
        let Some(removed) = self.inodes.remove(&ino) else {
            return;
        };
        // A directory that was made durable, but whose own name was not.
        if let Node::Directory(directory) = removed.node {
            for inner in directory.durable.into_values() {
                if let Some(inode) = self.inodes.get_mut(&inner) {
                    inode.durable_links -= 1;
                    inode.links = inode.links.saturating_sub(1);
                }
                self.release(inner);
            }
        }
    }

    /// Makes the cached state of a file or of a directory durable.
    fn sync_inode(&mut self, ino: Ino) -> Result<(), i32> {
        let Some(inode) = self.inodes.get_mut(&ino) else {
            return Ok(());
        };
        match &mut inode.node {
            Node::File(content) => self.disk.sync(content, &inode.path),
            Node::Symlink(_) | Node::Socket => Ok(()),
            // The changes stay, so a later sync makes them durable.
            Node::Directory(_) if self.disk.fails_sync(&inode.path) => Err(libc::EIO),
            Node::Directory(_) => {
                self.sync_dir(ino);
                Ok(())
            }
        }
    }

    /// Replaces the cache by the image that a loss of power leaves. All files are closed.
    pub(super) fn lose_unsynced(&mut self) {
        let survivor = self.disk.survivor();
        self.open.clear();
        for inode in self.inodes.values_mut() {
            inode.opens = 0;
        }
        let mut is_lossy = self.keep_survivors(survivor);
        for (ino, inode) in &mut self.inodes {
            inode.links = inode.durable_links;
            match &mut inode.node {
                Node::File(content) => {
                    // The content of a file without a name is lost in any case.
                    let permits = |text| {
                        inode.links == 0
                            || self.disk.stream.permits_loss(self.disk.site, *ino, || text)
                    };
                    is_lossy |= content.lose_power(survivor, &inode.path, permits);
                }
                Node::Directory(directory) => directory.entries = directory.durable.clone(),
                Node::Symlink(_) | Node::Socket => {}
            }
        }
        let all: Vec<Ino> = self.inodes.keys().copied().collect();
        for ino in all {
            self.release(ino);
        }
        self.restore_parents();
        self.disk.counts.power_losses += 1;
        self.disk.counts.lossy_power_losses += u64::from(is_lossy);
    }

    /// Sets the parents of all directories: renames may have been undone.
    fn restore_parents(&mut self) {
        let children = |(ino, inode): (&Ino, &Inode)| match &inode.node {
            Node::Directory(directory) => {
                let children = directory.entries.values();
                children.map(|child| (*child, *ino)).collect()
            }
            Node::File(_) | Node::Symlink(_) | Node::Socket => Vec::new(),
        };
        let all: Vec<(Ino, Ino)> = self.inodes.iter().flat_map(children).collect();
        for (child, parent) in all {
            if let Ok(directory) = self.directory_mut(child) {
                directory.parent = parent;
            }
        }
    }

    fn attributes_of(&self, ino: Ino) -> Result<Attributes, i32> {
        let inode = self.inodes.get(&ino).ok_or(libc::ENOENT)?;
        let (kind, len, links) = match &inode.node {
            Node::File(content) => (libc::S_IFREG, content.len(), inode.links),
            Node::Directory(_) => (libc::S_IFDIR, 4096, inode.links + 1),
            Node::Symlink(target) => (libc::S_IFLNK, target.len() as u64, inode.links),
            Node::Socket => (libc::S_IFSOCK, 0, inode.links),
        };
        Ok(Attributes {
            ino,
            mode: kind | inode.mode,
            links,
            len,
            accessed: inode.times.accessed,
            modified: inode.times.modified,
            changed: inode.times.changed,
            created: inode.times.created,
        })
    }
}

impl Inode {
    fn new(node: Node, mode: u32, time: Duration) -> Self {
        Self {
            node,
            mode: mode & 0o7777,
            links: 0,
            durable_links: 0,
            pending: 0,
            opens: 0,
            times: Times {
                accessed: time,
                modified: time,
                changed: time,
                created: time,
            },
            path: String::new(),
        }
    }

    fn modified(&mut self, time: Duration) {
        self.times.modified = time;
        self.times.changed = time;
    }
}

#[cfg(test)]
mod tests;
