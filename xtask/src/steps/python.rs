//! Packages of Python that a step needs.

use std::path::PathBuf;

use super::debian;
use crate::run::Run;

/// The Python of a virtual environment in the target directory with these packages (words). `None` if they
/// cannot be installed.
pub(super) fn with_packages(run: &Run, packages: &str) -> Option<PathBuf> {
    let folder = run.workspace().target().join("xtask/python");
    let python = folder.join("bin/python");
    if !python.exists() {
        let make = || run.program("python3").words("-m venv").path(&folder).run();
        if make().is_err() {
            debian::install(run, "python3-venv");
            make().ok()?;
        }
    }
    let install = run
        .program(&python)
        .words("-m pip install -q")
        .words(packages);
    match install.run() {
        Ok(()) => Some(python),
        Err(error) => {
            println!("not installed: {error}");
            None
        }
    }
}
