//! The plain system call, for the rows where nothing is simpler.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::Contender;
use crate::{
    cost::{Cost, Meter},
    rows::{
        Load,
        file::{BLOCK, Places},
        names::name,
    },
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "pread",
    setting: "one plain system call after the other",
    echo: None,
    pairs: None,
    file: Some(file),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: None,
    spawn: None,
    blocking: None,
    turns: None,
    sleep: None,
};

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    let file = File::open(path)?;
    let mut block = vec![0; BLOCK];
    let meter = Meter::start()?;
    for index in 0..load.width {
        let mut places = Places::new(index);
        for _ in 0..load.each() {
            file.read_exact_at(&mut block, places.next())?;
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
