//! The families of faults, and their counts: a run with faults that never occur has tested nothing.

use std::{collections::BTreeMap, fmt};

use super::{
    completions::{CompletionCounts, CompletionFaults},
    files::{DiskCounts, DiskFaults},
    network::{NetworkCounts, NetworkFaults},
    world::World,
};

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident $name:literal,)*) => {
        /// A family of faults of hosts, disks, networks and completions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $family,)*
        }

        impl Fault {
            /// All families.
            pub const ALL: &'static [Self] = &[$(Self::$family,)*];

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$family => $name,)*
                }
            }
        }
    };
}

families! {
    /// A crash of a running program, also by a restart.
    Crash "crash",
    /// A loss of power.
    PowerLoss "loss of power",
    /// A loss of power that has lost an unsynced change.
    UnsyncedLoss "loss of unsynced changes",
    /// A read that has failed at a bad sector.
    ReadError "read error",
    /// A write that has failed with EIO.
    WriteError "write error",
    /// A sync that has failed.
    SyncError "sync error",
    /// A read with fewer bytes than possible.
    ShortRead "short read",
    /// A write of a part of its bytes.
    ShortWrite "short write",
    /// A flipped bit.
    BitRot "flipped bit",
    /// A write that has failed with ENOSPC.
    DiskFull "full disk",
    /// A stall of an operation of a disk.
    DiskStall "stall of a disk",
    /// A packet that was lost by chance, or in a full queue.
    Loss "lost packet",
    /// A packet that has met a partition, a held link or a host without power.
    Blocked "blocked packet",
    /// A duplicated datagram.
    Duplicate "duplicated datagram",
    /// A reordered datagram.
    Reorder "reordered datagram",
    /// A slow packet.
    SlowPacket "slow packet",
    /// A clog of a link.
    Clog "clogged link",
    /// A connection that was reset by chance.
    Reset "reset connection",
    /// A completion that came late.
    LateCompletion "late completion",
    /// A receive from a stream with fewer bytes than possible.
    ShortReceive "short receive",
    /// A send of fewer bytes than possible to a stream.
    ShortSend "short send",
    /// A cancel that took effect late.
    LateCancel "late cancel",
    /// An accept that has failed with ECONNABORTED.
    AbortedAccept "aborted accept",
    /// An operation that has failed for lack of descriptors or memory.
    NoResources "lack of resources",
    /// A change of a name that has failed with EINTR.
    Interrupted "interrupted change of a name",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl DiskFaults {
    /// The families that may occur with these settings.
    pub(super) fn families(&self) -> impl Iterator<Item = Fault> {
        let has_limit = self.capacity.is_some();
        possible([
            (Fault::ReadError, self.read_error > 0.0),
            (Fault::WriteError, self.write_error > 0.0),
            (Fault::SyncError, self.sync_error > 0.0),
            (Fault::ShortRead, self.short_read > 0.0),
            (Fault::ShortWrite, self.short_write > 0.0 || has_limit),
            (Fault::BitRot, self.bit_rot > 0.0),
            (Fault::DiskFull, has_limit),
            (Fault::DiskStall, self.stall_chance > 0.0),
        ])
    }
}

impl NetworkFaults {
    /// The families that may occur with these settings.
    pub(super) fn families(&self) -> impl Iterator<Item = Fault> {
        possible([
            (Fault::Loss, self.loss > 0.0 || self.bandwidth.is_some()),
            (Fault::Duplicate, self.duplicate > 0.0),
            (Fault::Reorder, self.reorder > 0.0),
            (Fault::SlowPacket, self.slow > 0.0),
            (Fault::Clog, self.clog > 0.0),
            (Fault::Reset, self.reset > 0.0),
        ])
    }
}

impl CompletionFaults {
    /// The families that may occur with these settings.
    pub(super) fn families(&self) -> impl Iterator<Item = Fault> {
        possible([
            (Fault::LateCompletion, self.late > 0.0),
            (Fault::ShortReceive, self.short_read > 0.0),
            (Fault::ShortSend, self.short_write > 0.0),
            (Fault::LateCancel, self.late_cancel > 0.0),
            (Fault::AbortedAccept, self.aborted_accept > 0.0),
            (Fault::NoResources, self.no_resources > 0.0),
            (Fault::Interrupted, self.interrupted > 0.0),
        ])
    }
}

fn possible<const N: usize>(families: [(Fault, bool); N]) -> impl Iterator<Item = Fault> {
    let families = families.into_iter();
    families.filter_map(|(fault, is_possible)| is_possible.then_some(fault))
}

impl World {
    /// The families that were set at any time, with the numbers of their faults since the begin.
    pub fn fault_counts(&self) -> BTreeMap<Fault, u64> {
        let hosts = 0..self.state().hosts.len();
        let disks: Vec<DiskCounts> = hosts.clone().map(|host| self.disk_counts(host)).collect();
        let completions: Vec<CompletionCounts> =
            hosts.map(|host| self.completion_counts(host)).collect();
        let network = self.network_counts();
        let state = self.state();
        let count = |fault| occurrences(fault, state.crashes, &disks, &network, &completions);
        let set = state.faults_set.iter();
        set.map(|&fault| (fault, count(fault))).collect()
    }
}

fn occurrences(
    fault: Fault,
    crashes: u64,
    disks: &[DiskCounts],
    network: &NetworkCounts,
    completions: &[CompletionCounts],
) -> u64 {
    let disks = |count: fn(&DiskCounts) -> u64| disks.iter().map(count).sum();
    let completions = |count: fn(&CompletionCounts) -> u64| completions.iter().map(count).sum();
    match fault {
        Fault::Crash => crashes,
        Fault::PowerLoss => disks(|counts| counts.power_losses),
        Fault::UnsyncedLoss => disks(|counts| counts.lossy_power_losses),
        Fault::ReadError => disks(|counts| counts.read_errors),
        Fault::WriteError => disks(|counts| counts.write_errors),
        Fault::SyncError => disks(|counts| counts.sync_errors),
        Fault::ShortRead => disks(|counts| counts.short_reads),
        Fault::ShortWrite => disks(|counts| counts.short_writes),
        Fault::BitRot => disks(|counts| counts.flipped_bits),
        Fault::DiskFull => disks(|counts| counts.full),
        Fault::DiskStall => disks(|counts| counts.stalls),
        Fault::Loss => network.lost,
        Fault::Blocked => network.blocked,
        Fault::Duplicate => network.duplicated,
        Fault::Reorder => network.reordered,
        Fault::SlowPacket => network.slow,
        Fault::Clog => network.clogs,
        Fault::Reset => network.resets,
        Fault::LateCompletion => completions(|counts| counts.late),
        Fault::ShortReceive => completions(|counts| counts.short_reads),
        Fault::ShortSend => completions(|counts| counts.short_writes),
        Fault::LateCancel => completions(|counts| counts.late_cancels),
        Fault::AbortedAccept => completions(|counts| counts.aborted_accepts),
        Fault::NoResources => completions(|counts| counts.no_resources),
        Fault::Interrupted => completions(|counts| counts.interrupted),
    }
}
