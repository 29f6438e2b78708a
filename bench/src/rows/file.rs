//! Random reads of a file in the page cache, so that the path to the kernel is the main cost.

use std::io::{self, Write};

use tempfile::NamedTempFile;

use crate::{
    contender::Contender,
    row::{Column, Row},
    workload::{Load, Numbers},
};

/// The size of a read, in bytes.
pub const BLOCK: usize = 4096;
const BLOCKS: u64 = 16 * 1024;
/// The size of the file, in bytes.
pub const FILE_SIZE: u64 = BLOCKS * BLOCK as u64;

/// See the module.
pub const ROW: Row = Row {
    about: "4 KiB reads at random places of a cached 64 MiB file.",
    widths: &[1, 32],
    shown: &[1, 32],
    count: |_| 32 * 3_000,
    columns: &[
        Column::new("CPU per read", "ns"),
        Column::new("wall per read", "ns"),
    ],
    has: |contender| contender.file.is_some(),
    run,
    ..Row::new("file", "tasks")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let read = contender.file.expect("the contender supports this row");
    let file = cached_file()?;
    let cost = read(load, file.path())?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// The file offsets of one task.
pub struct Places(Numbers);

impl Places {
    /// The offsets of task `index`.
    pub fn new(index: usize) -> Self {
        Self(Numbers::new(index))
    }

    /// The next offset, in bytes from the start of the file.
    pub fn next(&mut self) -> u64 {
        self.0.below(BLOCKS) * BLOCK as u64
    }
}

/// A file whose pages are all in the page cache, because they have just been written.
fn cached_file() -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let megabyte = vec![0xA5; 1 << 20];
    for _ in 0..FILE_SIZE >> 20 {
        file.write_all(&megabyte)?;
    }
    Ok(file)
}
