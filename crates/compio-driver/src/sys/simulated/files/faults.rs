//! The faults of a disk: their settings, and the draws.

use std::{ops::RangeInclusive, time::Duration};

use libc::{EIO, ENOSPC};

use super::{
    FileSystem, Node,
    content::{Content, PAGE, SECTOR},
};
use crate::sys::simulated::{
    families::Fault,
    injector::{FaultStream, Site},
    rng::Rng,
    world::{HostId, World},
};

/// The settings of a host's disk. The default has no faults except at a loss of power.
///
/// Each chance is a probability per operation: 0.0 is never, 1.0 is always.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskFaults {
    /// The state of unsynced changes after a loss of power. [`Unsynced::Drawn`] by default.
    pub unsynced: Unsynced,
    /// The chance that a read meets a new bad sector. Reads of the sector, and writes of a
    /// part of it, fail with EIO until a write of the whole sector.
    pub read_error: f64,
    /// The chance that a write, or a change of a file's length, fails with EIO. It has no effect then.
    pub write_error: f64,
    /// The chance that a sync fails with EIO. The unsynced pages of the file are lost then, and a later sync succeeds without them.
    pub sync_error: f64,
    /// The chance that a read returns fewer bytes than it could.
    pub short_read: f64,
    /// The chance that a write writes a part of its bytes.
    pub short_write: f64,
    /// The chance that a read meets a flipped bit. The bit stays flipped until a write to it.
    pub bit_rot: f64,
    /// The bytes that all files may have together, in pages of 4096 bytes. Further writes fail with ENOSPC. Without a limit by default.
    pub capacity: Option<u64>,
    /// The time of a read, a write or a sync: uniform in this range, zero by default.
    pub latency: RangeInclusive<Duration>,
    /// The chance that an operation takes a time of the range `stall` in addition.
    pub stall_chance: f64,
    /// The time of a stall: uniform in this range, 0.1 to 2 seconds by default.
    pub stall: RangeInclusive<Duration>,
}

/// The state of unsynced changes after a loss of power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsynced {
    /// By the seed: of all losses, one in eight loses all unsynced changes, and one in eight keeps all. Otherwise each change is kept,
    /// dropped or torn by itself.
    #[default]
    Drawn,
    /// All unsynced changes are lost.
    Lost,
    /// All unsynced changes are kept, except those of a failed sync.
    Kept,
}

/// The image of a file that a loss of power leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survivor {
    Durable,
    Cache,
    Mixed,
}

/// The fate of a change at the next loss of power, unless a sync comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
    Torn,
}

/// The operations and the faults of a host's disk since the begin: a test that met no faults has tested nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskCounts {
    /// Reads, with the failed ones.
    pub reads: u64,
    /// Writes, with the failed ones.
    pub writes: u64,
    /// Syncs of files, and writes of synchronous files, with the failed ones.
    pub syncs: u64,
    /// Reads that failed at a bad sector.
    pub read_errors: u64,
    /// Writes that failed with EIO, also at a bad sector of which they write a part.
    pub write_errors: u64,
    /// Syncs of files and directories that failed.
    pub sync_errors: u64,
    /// Writes that failed with ENOSPC.
    pub full: u64,
    /// Reads with fewer bytes than possible.
    pub short_reads: u64,
    /// Writes of a part of their bytes, also for the lack of room.
    pub short_writes: u64,
    /// Flipped bits.
    pub flipped_bits: u64,
    /// Operations with a stall.
    pub stalls: u64,
    /// Losses of power.
    pub power_losses: u64,
    /// Losses of power that lost an unsynced change.
    pub lossy_power_losses: u64,
}

/// The disk of a host.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) counts: DiskCounts,
    pub(super) faults: DiskFaults,
    pub(super) stream: FaultStream,
    pub(super) site: Site,
}

impl Default for DiskFaults {
    fn default() -> Self {
        Self {
            unsynced: Unsynced::Drawn,
            read_error: 0.0,
            write_error: 0.0,
            sync_error: 0.0,
            short_read: 0.0,
            short_write: 0.0,
            bit_rot: 0.0,
            capacity: None,
            latency: Duration::ZERO..=Duration::ZERO,
            stall_chance: 0.0,
            stall: Duration::from_millis(100)..=Duration::from_secs(2),
        }
    }
}

impl DiskFaults {
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if a range is empty.
    #[track_caller]
    fn check(&self) {
        let chances = [
            self.read_error,
            self.write_error,
            self.sync_error,
            self.short_read,
            self.short_write,
            self.bit_rot,
            self.stall_chance,
        ];
        for chance in chances {
            assert!(
                (0.0..=1.0).contains(&chance),
                "a chance of {chance} is not in 0.0..=1.0"
            );
        }
        for range in [&self.latency, &self.stall] {
            assert!(!range.is_empty(), "the range of a disk's times is empty");
        }
    }
}

impl Rng {
    pub(super) fn fate(&mut self) -> Fate {
        match self.below(8) {
            0..3 => Fate::Kept,
            3..6 => Fate::Dropped,
            _ => Fate::Torn,
        }
    }
}

impl Disk {
    pub(super) fn new(stream: FaultStream, site: Site) -> Self {
        Self {
            counts: DiskCounts::default(),
            faults: DiskFaults::default(),
            stream,
            site,
        }
    }

    /// The length of a read after the faults of this read. EIO at a bad sector.
    pub(super) fn before_read(
        &mut self,
        content: &mut Content,
        path: &str,
        offset: u64,
        max: usize,
    ) -> Result<usize, i32> {
        let (faults, stream, counts) = (&self.faults, &mut self.stream, &mut self.counts);
        counts.reads += 1;
        let possible = content.len().saturating_sub(offset).min(max as u64) as usize;
        let text = |part| format!("read of {part} and not {possible} bytes of {path}");
        let len = stream.part_of(
            possible,
            faults.short_read,
            Fault::ShortRead,
            self.site,
            text,
        );
        counts.short_reads += u64::from(len < possible);
        if len > 0
            && let Some(draw) = stream.draw(faults.read_error, Fault::ReadError, self.site)
        {
            let at = offset + stream.rng.below(len as u64);
            let text = || format!("bad sector {} of {path}", at / SECTOR);
            if !content.is_changed(at) && stream.occurs(&draw, text) {
                content.spoil(at);
            }
        }
        if len > 0
            && let Some(draw) = stream.draw(faults.bit_rot, Fault::BitRot, self.site)
        {
            let (at, bits) = (
                offset + stream.rng.below(len as u64),
                1 << stream.rng.below(8),
            );
            let text = || format!("flipped bit in byte {at} of {path}");
            if !content.is_changed(at) && stream.occurs(&draw, text) {
                counts.flipped_bits += u64::from(content.flip(at, bits));
            }
        }
        if content.is_bad(offset, len) {
            counts.read_errors += 1;
            return Err(EIO);
        }
        Ok(len)
    }

    /// The length of a write after the faults of this write, with this number of free pages.
    pub(super) fn before_write(
        &mut self,
        content: &Content,
        path: &str,
        offset: u64,
        len: usize,
        free: Option<u64>,
    ) -> Result<usize, i32> {
        self.counts.writes += 1;
        if self.fails_write(path) || content.needs_bad(offset, len) {
            self.counts.write_errors += 1;
            return Err(EIO);
        }
        let fitting = free.map_or(len, |free| content.fitting(offset, len, free));
        if fitting == 0 && len > 0 {
            self.counts.full += 1;
            return Err(ENOSPC);
        }
        let (chance, site) = (self.faults.short_write, self.site);
        let text = |part| format!("write of {part} and not {fitting} bytes to {path}");
        let written = self
            .stream
            .part_of(fitting, chance, Fault::ShortWrite, site, text);
        self.counts.short_writes += u64::from(written < len);
        Ok(written)
    }

    /// Draws whether a write fails.
    pub(super) fn fails_write(&mut self, path: &str) -> bool {
        let (chance, site) = (self.faults.write_error, self.site);
        let text = || format!("failed write to {path}");
        self.stream.chance(chance, Fault::WriteError, site, text)
    }

    /// Makes the content durable, or loses its unsynced pages.
    pub(super) fn sync(&mut self, content: &mut Content, path: &str) -> Result<(), i32> {
        self.counts.syncs += 1;
        if self.fails_sync(path) {
            // File systems differ: the cache has the new content, or the old one again.
            content.fail_sync(self.stream.rng.coin());
            return Err(EIO);
        }
        content.sync();
        Ok(())
    }

    /// Draws whether a sync fails.
    pub(super) fn fails_sync(&mut self, path: &str) -> bool {
        let (chance, site) = (self.faults.sync_error, self.site);
        let text = || format!("failed sync of {path}");
        let fails = self.stream.chance(chance, Fault::SyncError, site, text);
        self.counts.sync_errors += u64::from(fails);
        fails
    }

    /// The survivor of a loss of power.
    pub(super) fn survivor(&mut self) -> Survivor {
        match self.faults.unsynced {
            Unsynced::Lost => Survivor::Durable,
            Unsynced::Kept => Survivor::Cache,
            Unsynced::Drawn => match self.stream.rng.below(8) {
                0 => Survivor::Durable,
                1 => Survivor::Cache,
                _ => Survivor::Mixed,
            },
        }
    }

    /// The time of an operation. `None` for a disk that takes no time.
    pub(super) fn delay(&mut self) -> Option<Duration> {
        let stream = &mut self.stream;
        let mut delay = stream.rng.time_in(&self.faults.latency);
        if let Some(draw) = stream.draw(self.faults.stall_chance, Fault::DiskStall, self.site) {
            let stall = stream.rng.time_in(&self.faults.stall);
            if stream.occurs(&draw, || format!("stall of {stall:?}")) {
                self.counts.stalls += 1;
                delay += stall;
            }
        }
        (!delay.is_zero()).then_some(delay)
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    fn draw(&mut self) -> DiskFaults {
        let rng = &mut self.stream.rng;
        let mut rate = |max: f64| {
            let fraction = rng.fraction();
            if rng.coin() { fraction * max } else { 0.0 }
        };
        let mut faults = DiskFaults {
            read_error: rate(0.01),
            write_error: rate(0.05),
            sync_error: rate(0.05),
            short_read: rate(0.2),
            short_write: rate(0.2),
            bit_rot: rate(0.01),
            stall_chance: rate(0.02),
            ..DiskFaults::default()
        };
        if rng.coin() {
            faults.latency = Duration::from_micros(20)..=Duration::from_millis(10);
        }
        faults
    }
}

impl FileSystem {
    /// Ends all faults. Bad sectors and flipped bits stay.
    pub(in crate::sys::simulated) fn calm_disk(&mut self) {
        self.disk.faults = DiskFaults::default();
    }

    /// The number of pages that are left, unless there is no limit.
    pub(super) fn free_pages(&self) -> Option<u64> {
        let capacity = self.disk.faults.capacity? / PAGE as u64;
        let used = self.inodes.values().map(|inode| match &inode.node {
            Node::File(content) if inode.links + inode.opens > 0 => content.pages(),
            Node::File(_) | Node::Directory(_) | Node::Symlink(_) | Node::Socket => 0,
        });
        Some(capacity.saturating_sub(used.sum()))
    }
}

impl World {
    /// Replaces the settings of a host's disk. Bad sectors and flipped bits stay.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if a range is empty.
    #[track_caller]
    pub fn set_disk_faults(&self, host: HostId, faults: DiskFaults) {
        faults.check();
        let mut state = self.state();
        if !state.is_calm {
            state.faults_set.extend(faults.families());
            state.hosts[host].files.disk.faults = faults;
        }
    }

    /// The settings of a host's disk.
    pub fn disk_faults(&self, host: HostId) -> DiskFaults {
        self.state().hosts[host].files.disk.faults.clone()
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    pub fn draw_disk_faults(&self, host: HostId) -> DiskFaults {
        self.state().hosts[host].files.disk.draw()
    }

    /// The operations and faults of a host's disk.
    pub fn disk_counts(&self, host: HostId) -> DiskCounts {
        self.state().hosts[host].files.disk.counts
    }
}
