//! The disks of simulated hosts, for programs.

use std::rc::Rc;

use compio_driver::os::simulated::{HostId, World};

use super::{DiskCounts, DiskFaults, Error, here::find};

/// The disk of a host, to set its faults during a run. [`Simulation::disk`](super::Simulation::disk) sets them before it.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{
///     fs::File,
///     io::AsyncWriteAtExt,
///     sim::{self, DiskFaults, Simulation},
///     time::sleep,
/// };
///
/// async fn database() -> std::io::Result<()> {
///     let log = File::create("/log")?;
///     log.write_all_at("begin", 0).await.0?;
///     // Its name is durable with the directory.
///     log.sync_all().await?;
///     File::open("/")?.sync_all().await?;
///     std::future::pending().await
/// }
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().seed(7).build();
///     simulation.host("db-1", database);
///     simulation.client("operator", async {
///         let disk = sim::disk("db-1")?;
///         // Each family of faults is off or on, by the seed. This program wants no errors of syncs.
///         disk.set(DiskFaults {
///             sync_error: 0.0,
///             ..disk.draw()
///         });
///         sleep(Duration::from_secs(1)).await;
///         sim::power_loss("db-1")?;
///         sim::restart("db-1")
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # The model
///
/// | event | result |
/// |---|---|
/// | [`crash`](super::crash) of a program | The page cache stays. All files are as the program has left them. |
/// | [`power_loss`](super::power_loss) | The durable image stays, with a part of the unsynced changes: [`Unsynced`](super::Unsynced). |
/// | `sync_all`, `sync_data` of a file | Content and length are durable. |
/// | a write with `O_DSYNC` or `O_SYNC` | The whole content and the length are durable at its end. |
/// | an unsynced write | Kept with a probability of 3/8, dropped with 3/8, torn with 2/8. |
/// | a torn write | Each of its sectors of 512 bytes, and the length, is kept or dropped by itself: any subset. |
/// | the length after a torn append | The old or the new one, or one that ends after any of its sectors. |
/// | a kept sector | It has the content of the page cache at that write, so earlier writes to it are kept too. |
/// | an unsynced `set_len`, an open that truncates | Kept with a probability of 1/2. A later write that is kept keeps it too. |
/// | `sync_all` of a directory | Its names are durable, by [`File`](crate::fs::File) or [`Dir`](crate::fs::Dir). |
/// | an unsynced change of names | Kept or dropped, independent of the content of files. |
/// | an unsynced rename | The old or the new name, atomic across directories. Never both, never neither. |
/// | changes of one name or of one file | In their order: a later one that is kept keeps the earlier ones too. |
/// | a new file in a new directory | It is lost without a sync of the parent of the directory. |
/// | more than 256 unsynced changes of names | The oldest becomes durable. |
/// | [`read_error`](DiskFaults::read_error) | A sector is bad until a write of the whole sector, or a truncation. Pages with unsynced changes are not read from the disk. |
/// | [`sync_error`](DiskFaults::sync_error) of a file | EIO once. Its unsynced pages are lost, also for later syncs. The cache has the new content or, with a probability of 1/2, the old one. The length is not lost. |
/// | `sync_error` of a directory | EIO. Its changes wait for a later sync. |
/// | [`bit_rot`](DiskFaults::bit_rot) | A bit of a page without unsynced changes is flipped, without an error. |
/// | [`capacity`](DiskFaults::capacity) | A write stores the bytes that fit, or fails with ENOSPC (`StorageFull`). |
/// | a slow disk | Reads and syncs take effect at their end, writes at their begin or their end. |
///
/// Families of faults are independent, and each chance of 0.0 switches one off. [`Disk::draw`] switches each off in half of the
/// seeds: a program that meets all faults always is not tested without them.
///
/// The file system has a random stream of its own for each host, by seed and name.
///
/// # Not modelled
///
/// - Misdirected writes, lost writes after a successful sync, and torn sectors.
/// - Garbage in the place of a lost sector.
/// - ENOSPC at a sync, for names, and of inodes.
/// - Errors of changes of names, of opens and of directory listings.
/// - The loss of symbolic link targets, permissions and times: they are durable at once.
/// - A device cache that lies about a flush. `O_DIRECT` makes no difference.
/// - Faults of the reads of `fs::copy`.
/// - The time of opens, of changes of names of lengths and of `fs::copy`.
///
/// # Sources
///
/// - Pillai et al., All File Systems Are Not Created Equal, OSDI 2014: file systems differ in the order of names and content.
/// - Rebello et al., Can Applications Recover from fsync Failures?, USENIX ATC 2020: pages are clean after a failed sync.
/// - FoundationDB, `AsyncFileNonDurable`, and TigerBeetle, `storage.zig`: the fates of unsynced writes, and faults by the seed.
///
/// # Errors
///
/// [`UnknownHost`](super::ErrorKind::UnknownHost), and [`OutsideOfHost`](super::ErrorKind::OutsideOfHost) outside of a simulated
/// host.
pub fn disk(host: &str) -> Result<Disk, Error> {
    let (world, host) = find(host)?;
    Ok(Disk { world, host })
}

/// The disk of a host, made by [`disk`].
#[derive(Debug)]
pub struct Disk {
    world: Rc<World>,
    host: HostId,
}

impl Disk {
    /// Replaces the faults, for operations from now on. Bad sectors and flipped bits stay.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if a range is empty.
    #[track_caller]
    pub fn set(&self, faults: DiskFaults) {
        self.world.set_disk_faults(self.host, faults);
    }

    /// The faults as they are set.
    pub fn faults(&self) -> DiskFaults {
        self.world.disk_faults(self.host)
    }

    /// Faults by the seed, to be [set](Self::set): each family is off with a probability of one half. The capacity has no limit.
    /// Each call draws others.
    pub fn draw(&self) -> DiskFaults {
        self.world.draw_disk_faults(self.host)
    }

    /// The operations and the faults since the begin of the simulation, over all restarts. A test can assert that it met a fault.
    pub fn counts(&self) -> DiskCounts {
        self.world.disk_counts(self.host)
    }
}
