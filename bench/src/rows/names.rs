//! Path operations: metadata and rename. No kernel runs them asynchronously. So each takes a thread,
//! of the runtime or of the kernel, or it is a plain call and blocks all other tasks.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    cost::Cost,
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const METADATA: Row = Row {
    about: "Ask for the attributes of a file by its path.",
    widths: &[1, 32],
    shown: &[32],
    count: |width| if width == 1 { 20_000 } else { 64_000 },
    columns: COLUMNS,
    has: |contender| contender.metadata.is_some(),
    run: |contender, load| run(contender.metadata, load),
    ..Row::new("metadata", "tasks")
};

/// See the module.
pub const RENAME: Row = Row {
    about: "Give a file another name in the same directory.",
    widths: &[1, 32],
    shown: &[32],
    count: |width| if width == 1 { 12_000 } else { 32_000 },
    columns: COLUMNS,
    has: |contender| contender.rename.is_some(),
    run: |contender, load| run(contender.rename, load),
    ..Row::new("rename", "tasks")
};

const COLUMNS: &[Column] = &[
    Column::new("CPU per call", "ns"),
    Column::new("wall per call", "ns"),
];

fn run(work: Option<fn(Load, &Path) -> io::Result<Cost>>, load: Load) -> io::Result<Vec<f64>> {
    let work = work.expect("the contender supports this row");
    let dir = TempDir::new()?;
    for index in 0..load.width {
        fs::write(name(dir.path(), index, 0), "content")?;
    }
    let cost = work(load, dir.path())?;
    Ok(vec![load.nanos(cost.cpu), load.nanos(cost.wall)])
}

/// The path of task `index`'s file after `times` renames: two names alternate.
pub fn name(dir: &Path, index: usize, times: usize) -> PathBuf {
    dir.join(format!("{index}-{}", times % 2))
}
