//! What is asked of a file system by name: attributes, and another name. A kernel does neither
//! asynchronously, so that each costs a thread, a runtime's or the kernel's own; or it is a plain call,
//! and all else waits for the disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Column, Load, Row};
use crate::cost::Cost;

/// See the module.
pub const METADATA: Row = Row {
    name: "metadata",
    about: "Ask for the attributes of a file by its path.",
    width_name: "tasks",
    widths: &[1, 32],
    count: |width| if width == 1 { 100_000 } else { 320_000 },
    columns: COLUMNS,
    has: |contender| contender.metadata.is_some(),
    run: |contender, load| run(contender.metadata, load),
};

/// See the module.
pub const RENAME: Row = Row {
    name: "rename",
    about: "Give a file another name in the same directory.",
    width_name: "tasks",
    widths: &[1, 32],
    count: |width| if width == 1 { 64_000 } else { 160_000 },
    columns: COLUMNS,
    has: |contender| contender.rename.is_some(),
    run: |contender, load| run(contender.rename, load),
};

const COLUMNS: &[Column] = &[
    Column {
        name: "CPU per call",
        unit: "ns",
    },
    Column {
        name: "wall per call",
        unit: "ns",
    },
];

fn run(work: Option<fn(Load, &Path) -> io::Result<Cost>>, load: Load) -> io::Result<Vec<f64>> {
    let work = work.expect("asked only of those who have it");
    let dir = TempDir::new()?;
    for index in 0..load.width {
        fs::write(name(dir.path(), index, 0), "content")?;
    }
    let cost = work(load, dir.path())?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// The path of task `index`'s file when it has been renamed that often: there are two by turns.
pub fn name(dir: &Path, index: usize, times: usize) -> PathBuf {
    dir.join(format!("{index}-{}", times % 2))
}
