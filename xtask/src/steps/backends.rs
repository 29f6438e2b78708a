//! The tests on each backend, and with io_uring disabled or incomplete.

use std::{fs, path::Path};

use super::TEST;
use crate::run::{Outcome, Run};

/// Operations that an older kernel's io_uring may lack, and that plain calls replace.
const REPLACEABLE: &str = "OPENAT,STATX,FSYNC,SOCKET,SPLICE,\
                           RENAMEAT,UNLINKAT,MKDIRAT,LINKAT,SYMLINKAT,\
                           FTRUNCATE,BIND,LISTEN,PIPE,SENDMSG_ZC";

/// Tests that take half a minute and run no backend: those of compio-console's connection.
const WITHOUT_BACKEND: &str = "-- --skip on_sockets::";

/// Permission to set up a ring: 0 for all users, 2 for none.
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

pub(crate) fn run(run: &mut Run) -> Outcome {
    let test = |words| run.cargo(TEST).words(words).words(WITHOUT_BACKEND);
    // `test` runs on io_uring, if it is available.
    test("").variable("COMPIO_BACKEND", "poll").run()?;
    test("--tests")
        .variable("COMPIO_URING_WITHOUT", REPLACEABLE)
        .run()?;
    refused(run)
}

/// With io_uring disabled by the sysctl, for all processes of this machine during the step.
fn refused(run: &mut Run) -> Outcome {
    let before = fs::read_to_string(DISABLED);
    let permitted = before.as_deref().is_ok_and(|before| before.trim() == "0")
        && fs::write(DISABLED, "0").is_ok();
    if !permitted {
        // CI alone would miss nothing: the driver's tests disable it by seccomp as well.
        run.skip(
            "backends: io_uring refused by the sysctl",
            "it cannot be set here (not root, an older kernel, or refused already)",
        );
        return Ok(());
    }
    let _restore = Restore(Path::new(DISABLED), "0");
    println!("$ sysctl kernel.io_uring_disabled=2    # and 0 again afterwards");
    fs::write(DISABLED, "2").map_err(|error| format!("{DISABLED}: {error}"))?;
    run.cargo(TEST)
        .words("--tests")
        .words(WITHOUT_BACKEND)
        .run()
}

/// Restores the content of a file on drop.
struct Restore(&'static Path, &'static str);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.0, self.1) {
            eprintln!("{} could not be restored: {error}", self.0.display());
        }
    }
}
