//! Files on a disk: reads that bypass the page cache, and syncs.
//!
//! Both need a real file system, so their files are in the directory of the results. `/tmp` may be
//! in memory. They are made once per session.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    place,
    row::{Column, Row},
    rows::file::{BLOCK, FILE_SIZE},
    workload::{Load, OnDisk},
};

/// See the module.
pub const DIRECT: Row = Row {
    about: "4 KiB reads with O_DIRECT at random places of a 64 MiB file. The disk is what the host \
            makes of it: on a virtual one, perhaps the host's memory.",
    widths: &[1, 64],
    shown: &[1, 64],
    count: |width| if width == 1 { 2_000 } else { 64 * 160 },
    columns: COLUMNS,
    has: |contender| contender.direct.is_some(),
    run: |contender, load| run(contender.direct, load, direct_file),
    ..Row::new("direct", "tasks")
};

/// See the module.
pub const FSYNC: Row = Row {
    about: "Write 4 KiB through the page cache, then sync_data; each task in a file of its own, \
            over blocks that are there already.",
    widths: &[64],
    shown: &[64],
    count: |_| 64 * 12,
    columns: COLUMNS,
    has: |contender| contender.fsync.is_some(),
    run: |contender, load| run(contender.fsync, load, directory_of_files),
    ..Row::new("fsync", "tasks")
};

const COLUMNS: &[Column] = &[
    Column::new("CPU per operation", "µs"),
    Column::new("wall per operation", "µs"),
];

/// Blocks of each file of the fsync row.
const BLOCKS: usize = 16;

/// The file offset of a task's write number `times`.
pub fn place_of(times: usize) -> u64 {
    (times % BLOCKS * BLOCK) as u64
}

/// The file of task `index`.
pub fn name_of(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("fsync-{index}"))
}

/// Opens the file of task `index` for writing.
pub fn open_to_write(dir: &Path, index: usize) -> io::Result<File> {
    OpenOptions::new().write(true).open(name_of(dir, index))
}

/// Opens a file for reads that bypass the page cache.
pub fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

/// Memory for a block that `O_DIRECT` accepts: a vector, and the offset of the block in it.
///
/// The vector has room for the block after its first aligned byte.
pub fn aligned_block() -> (Vec<u8>, usize) {
    let block = vec![0; 2 * BLOCK];
    let begin = block.as_ptr().align_offset(BLOCK);
    (block, begin)
}

fn run(
    work: Option<OnDisk>,
    load: Load,
    prepare: fn(&Path, Load) -> io::Result<PathBuf>,
) -> io::Result<Vec<f64>> {
    let work = work.expect("the contender supports this row");
    let path = prepare(&place::scratch(), load)?;
    let cost = work(load, &path)?;
    Ok(vec![load.micros(cost.cpu), load.micros(cost.wall)])
}

fn direct_file(dir: &Path, _: Load) -> io::Result<PathBuf> {
    let path = dir.join("direct");
    if path.metadata().map_or(0, |found| found.len()) != FILE_SIZE {
        let mut file = File::create(&path)?;
        let megabyte = vec![0xA5; 1 << 20];
        for _ in 0..FILE_SIZE >> 20 {
            file.write_all(&megabyte)?;
        }
        file.sync_all()?;
    }
    match open_direct(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(io::Error::other(format!(
            "the file system of {} refuses O_DIRECT: {error}",
            dir.display()
        ))),
    }
}

fn directory_of_files(dir: &Path, load: Load) -> io::Result<PathBuf> {
    for index in 0..load.width {
        let path = name_of(dir, index);
        if !path.exists() {
            let mut file = File::create(&path)?;
            file.write_all(&[0xA5; BLOCKS * BLOCK])?;
            file.sync_all()?;
        }
    }
    Ok(dir.into())
}
