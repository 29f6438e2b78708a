//! Packages of Debian that a step needs, where they may be installed.

use crate::run::Run;

/// Installs packages (words), but only on CI: a contributor's machine is the contributor's. Whether
/// they are there afterwards is for the caller to see.
pub(super) fn install(run: &Run, packages: &str) {
    if !run.on_ci() {
        return;
    }
    let apt = |words| {
        let apt = run.program("apt-get").words(words);
        apt.variable("DEBIAN_FRONTEND", "noninteractive")
    };
    let installed = apt("update -q").run().and_then(|()| {
        apt("install -qy --no-install-recommends")
            .words(packages)
            .run()
    });
    if let Err(error) = installed {
        println!("not installed: {error}");
    }
}
