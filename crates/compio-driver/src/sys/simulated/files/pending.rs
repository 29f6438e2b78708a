//! Changes of directories that no sync has made durable.
//!
//! A change may become durable alone, except for its dependencies: earlier changes of the same names, of the same
//! inodes, and of the directories in which it is. File systems order these, too. So a renamed file has its old name or
//! the new one, whatever survives.
//!
//! A creation does not need the name of its directory: both are lost if that name is never synced.

use std::mem;

use super::{FileSystem, Ino, Node, faults::Survivor};
use crate::sys::simulated::injector::listed;

/// The most changes that wait. Beyond it the oldest becomes durable, as by the write-back of a kernel.
const PENDING_MAX: usize = 256;

/// A change that becomes durable as a whole.
#[derive(Debug)]
pub(super) struct Change {
    entries: Vec<Entry>,
    /// It makes an inode.
    is_creation: bool,
}

/// Whether a change becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    No,
    Itself,
    /// A later change depends on it.
    Dependency,
}

/// The change of a name.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) dir: Ino,
    pub(super) name: Vec<u8>,
    pub(super) before: Option<Ino>,
    pub(super) after: Option<Ino>,
}

impl Entry {
    fn inodes(&self) -> impl Iterator<Item = Ino> {
        [self.before, self.after].into_iter().flatten()
    }

    fn shares_with(&self, earlier: &Self) -> bool {
        let is_same_name = self.dir == earlier.dir && self.name == earlier.name;
        is_same_name
            || self
                .inodes()
                .any(|ino| ino == earlier.dir || earlier.inodes().any(|other| other == ino))
    }
}

impl Change {
    fn touches(&self, dir: Ino) -> bool {
        self.entries.iter().any(|entry| entry.dir == dir)
    }

    fn depends_on(&self, earlier: &Self, needs_directory: bool) -> bool {
        let mut pairs = self
            .entries
            .iter()
            .flat_map(|entry| earlier.entries.iter().map(move |other| (entry, other)));
        pairs.any(|(entry, other)| {
            let is_of_directory = needs_directory && other.inodes().any(|ino| ino == entry.dir);
            is_of_directory || entry.shares_with(other)
        })
    }
}

impl FileSystem {
    /// Adds a change. The caller executes it in the cache.
    pub(super) fn record(&mut self, entries: Vec<Entry>, is_creation: bool) {
        let change = Change {
            entries,
            is_creation,
        };
        self.count_pending(&change, true);
        self.pending.push(change);
        if self.pending.len() > PENDING_MAX {
            // The oldest one depends on no other.
            let oldest = self.pending.remove(0);
            self.apply(&oldest);
            self.count_pending(&oldest, false);
            self.release_all(&oldest);
        }
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync_dir(&mut self, dir: Ino) {
        self.persist(|_, change| change.touches(dir));
    }

    /// Makes those changes durable that the survivor of a loss of power has, and forgets the others. Returns whether there are others.
    pub(super) fn keep_survivors(&mut self, survivor: Survivor) -> bool {
        let fates: Vec<bool> = match survivor {
            Survivor::Durable => vec![false; self.pending.len()],
            Survivor::Cache => vec![true; self.pending.len()],
            Survivor::Mixed => self
                .pending
                .iter()
                .map(|_| self.disk.stream.rng.coin())
                .collect(),
        };
        self.persist(|index, _| fates[index]);
        let disk = &self.disk;
        let text = || self.text_of_pending();
        if !self.pending.is_empty() && !disk.stream.permits_loss(disk.site, 0, text) {
            self.persist(|_, _| true);
        }
        let dropped = mem::take(&mut self.pending);
        for change in &dropped {
            self.count_pending(change, false);
            self.release_all(change);
        }
        !dropped.is_empty()
    }

    /// The text of a loss of unsynced names. It has the number 0, which is no inode.
    fn text_of_pending(&self) -> String {
        let entries = self.pending.iter().flat_map(|change| &change.entries);
        let names = entries.map(|entry| String::from_utf8_lossy(&entry.name));
        let names: Vec<_> = names.collect();
        format!("loss of unsynced changes of names: {}", listed(&names))
    }

    /// Makes these changes durable, with their dependencies.
    fn persist(&mut self, is_chosen: impl Fn(usize, &Change) -> bool) {
        let all = mem::take(&mut self.pending);
        let choose = |(index, change)| match is_chosen(index, change) {
            true => Choice::Itself,
            false => Choice::No,
        };
        let mut choices: Vec<Choice> = all.iter().enumerate().map(choose).collect();
        // A dependency is earlier, so one pass from the end reaches all of them.
        for later in (1..all.len()).rev() {
            if choices[later] == Choice::No {
                continue;
            }
            let is_dependency = choices[later] == Choice::Dependency;
            let needs_directory = is_dependency || !all[later].is_creation;
            for earlier in 0..later {
                if all[later].depends_on(&all[earlier], needs_directory) {
                    choices[earlier] = Choice::Dependency;
                }
            }
        }
        let mut done = Vec::new();
        for (change, choice) in all.into_iter().zip(choices) {
            if choice != Choice::No {
                self.apply(&change);
                done.push(change);
            } else {
                self.pending.push(change);
            }
        }
        for change in done {
            self.count_pending(&change, false);
            self.release_all(&change);
        }
    }

    fn apply(&mut self, change: &Change) {
        for entry in &change.entries {
            let Some(Node::Directory(directory)) =
                self.inodes.get_mut(&entry.dir).map(|inode| &mut inode.node)
            else {
                continue;
            };
            let before = match entry.after {
                Some(after) => directory.durable.insert(entry.name.clone(), after),
                None => directory.durable.remove(&entry.name),
            };
            if let Some(inode) = entry.after.and_then(|after| self.inodes.get_mut(&after)) {
                inode.durable_links += 1;
            }
            if let Some(inode) = before.and_then(|before| self.inodes.get_mut(&before)) {
                inode.durable_links -= 1;
            }
        }
    }

    /// Counts the change in its inodes, which live as long as it waits.
    fn count_pending(&mut self, change: &Change, is_added: bool) {
        let inodes = change.entries.iter();
        for ino in inodes.flat_map(|entry| entry.inodes().chain([entry.dir])) {
            let Some(inode) = self.inodes.get_mut(&ino) else {
                continue;
            };
            if is_added {
                inode.pending += 1;
            } else {
                inode.pending -= 1;
            }
        }
    }

    fn release_all(&mut self, change: &Change) {
        for entry in &change.entries {
            for ino in entry.inodes().chain([entry.dir]) {
                self.release(ino);
            }
        }
    }
}
