//! Wine: its packages, a prefix of this project's own, and the end of all its processes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    run::{Line, Outcome, Run},
    steps::debian,
};

/// Wine, and the linker for its programs.
const PACKAGES: &str = "gcc-mingw-w64-x86-64 wine wine64";

pub(super) const GCC: &str = "x86_64-w64-mingw32-gcc";

/// A function that Rust's std needs and Wine 8 lacks.
const SHIM: &str = "xtask/wine/process_prng.c";
const SHIM_BUILT: &str = "drive_c/windows/system32/bcryptprimitives.dll";

/// Written last: a prefix without it is incomplete.
const STAMP: &str = "made-by";

/// The time limit for making a prefix, which normally takes five seconds.
const LIMIT: Duration = Duration::from_secs(180);

/// Wine with a prefix to run programs in. Its drop ends all programs in the prefix.
pub(super) struct Wine {
    prefix: PathBuf,
    server: Line,
}

impl Wine {
    /// `None` if the step is skipped.
    pub(super) fn find(run: &mut Run) -> Outcome<Option<Self>> {
        let there = |run: &Run| {
            let answers = |program| run.program(program).words("--version").quiet();
            let wine = answers("wine");
            wine.filter(|_| answers(GCC).is_some())
        };
        let mut version = there(run);
        if version.is_none() {
            debian::install(run, PACKAGES);
            version = there(run);
        }
        let why_not = format!("Wine or mingw is missing: `apt-get install {PACKAGES}`");
        if !run.require(version.is_some(), "windows-test", &why_not)? {
            return Ok(None);
        }
        let prefix = run.workspace().target().join("wine");
        let wine = Self {
            server: inside(&prefix, run.program("wineserver")),
            prefix,
        };
        // A killed run may have left processes.
        wine.end();
        wine.make(run, &version.unwrap_or_default())?;
        // Otherwise it ends with the last program, and a program that starts at this moment fails: "recvmsg: Connection
        // reset by peer".
        wine.server
            .clone()
            .words("--persistent")
            .run_within(LIMIT)?;
        Ok(Some(wine))
    }

    /// A command whose programs run in the prefix.
    pub(super) fn around(&self, line: Line) -> Line {
        inside(&self.prefix, line)
    }

    /// A program for Windows.
    pub(super) fn program(&self, run: &Run, program: &Path) -> Line {
        self.around(run.program("wine")).path(program)
    }

    /// A path as programs in the prefix see it.
    pub(super) fn path(path: &Path) -> String {
        format!("Z:{}", path.display())
    }

    /// Makes the prefix, unless a complete one by the same Wine with the same shim exists.
    fn make(&self, run: &Run, version: &str) -> Outcome {
        let shim = read(&run.workspace().root().join(SHIM))?;
        let stamp = self.prefix.join(STAMP);
        let made_by = format!("{version}\n{shim}");
        if fs::read_to_string(&stamp).is_ok_and(|text| text == made_by) {
            return Ok(());
        }
        let failed = |error| format!("{}: {error}", self.prefix.display());
        if self.prefix.exists() {
            fs::remove_dir_all(&self.prefix).map_err(failed)?;
        }
        fs::create_dir_all(&self.prefix).map_err(failed)?;
        self.around(run.program("wineboot"))
            .words("--init")
            // No questions about .NET and a browser, and no entries in the user's menus.
            .variable("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=")
            .run_within(LIMIT)?;
        // The registry is written when the server ends, which it does by itself.
        self.server.clone().words("--wait").run_within(LIMIT)?;
        // Newer versions have it.
        if !self.prefix.join(SHIM_BUILT).exists() {
            run.program(GCC)
                .words("-shared -O1 -Wall -Werror -s -o")
                .path(&self.prefix.join(SHIM_BUILT))
                .words(SHIM)
                .words("-ladvapi32")
                .run()?;
        }
        fs::write(&stamp, made_by).map_err(failed)
    }

    /// Ends only the programs of this prefix and its server.
    fn end(&self) {
        if self.prefix.exists() {
            // It fails if there is none.
            let _ = self.server.clone().words("--kill").quiet();
        }
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.end();
    }
}

/// In the prefix, and without Wine's messages about missing features.
fn inside(prefix: &Path, line: Line) -> Line {
    line.variable("WINEPREFIX", &prefix.display().to_string())
        .variable("WINEDEBUG", "-all")
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
