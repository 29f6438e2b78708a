//! The plain system call, for the one row where nothing is simpler.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::Contender;
use crate::{
    cost::{Cost, Meter},
    rows::{
        Load,
        file::{BLOCK, Places},
    },
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "pread",
    setting: "one pread(2) after the other",
    echo: None,
    pairs: None,
    file: Some(file),
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
