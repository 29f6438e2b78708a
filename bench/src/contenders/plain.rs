//! Plain system calls, for the rows where nothing is simpler.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    rows::{
        disk::{self, aligned_block, open_direct, open_to_write},
        file::{BLOCK, Places},
        names::name,
    },
    workload::Load,
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "plain",
    setting: "one plain system call after the other",
    file: Some(file),
    direct: Some(direct),
    fsync: Some(fsync),
    metadata: Some(metadata),
    rename: Some(rename),
    ..Contender::NONE
};

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    read(load, &File::open(path)?)
}

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    read(load, &open_direct(path)?)
}

fn read(load: Load, file: &File) -> io::Result<Cost> {
    let (mut block, begin) = aligned_block();
    let block = &mut block[begin..begin + BLOCK];
    let meter = Meter::start()?;
    for index in 0..load.width {
        let mut places = Places::new(index);
        for _ in 0..load.each() {
            file.read_exact_at(block, places.next())?;
        }
    }
    meter.stop()
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    let files = (0..load.width).map(|index| open_to_write(dir, index));
    let files = files.collect::<io::Result<Vec<_>>>()?;
    let block = [b'x'; BLOCK];
    let meter = Meter::start()?;
    for times in 0..load.each() {
        for file in &files {
            file.write_all_at(&block, disk::place_of(times))?;
            file.sync_data()?;
        }
    }
    meter.stop()
}

fn metadata(load: Load, dir: &Path) -> io::Result<Cost> {
    let meter = Meter::start()?;
    for index in 0..load.width {
        let path = name(dir, index, 0);
        for _ in 0..load.each() {
            fs::metadata(&path)?;
        }
    }
    meter.stop()
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    let meter = Meter::start()?;
    for index in 0..load.width {
        let names = [name(dir, index, 0), name(dir, index, 1)];
        for times in 0..load.each() {
            fs::rename(&names[times % 2], &names[(times + 1) % 2])?;
        }
    }
    meter.stop()
}
