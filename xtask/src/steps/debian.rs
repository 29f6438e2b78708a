//! Debian packages that a step needs.

use crate::run::Run;

/// Installs packages (words), but only on CI, never on a contributor's machine. The caller checks
/// whether they are available afterwards.
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
