//! Debian packages that a step needs.

use std::{fs, path::PathBuf};

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

/// The root of the files of a package in the target directory. The package is not installed: none of its services
/// starts. `None` if it cannot be downloaded.
pub(super) fn unpack(run: &Run, package: &str) -> Option<PathBuf> {
    let folder = run.workspace().target().join("xtask/debian").join(package);
    let root = folder.join("root");
    if root.exists() {
        return Some(root);
    }
    fs::create_dir_all(&folder).ok()?;
    let at = folder.to_str()?;
    let download = || {
        let apt = run.program("apt-get").words("download -q");
        apt.words(package).folder(at).run()
    };
    let unpack = || {
        let files = fs::read_dir(&folder).map_err(|error| error.to_string())?;
        let mut files = files.filter_map(|file| Some(file.ok()?.path()));
        let file = files.find(|file| file.extension().is_some_and(|end| end == "deb"));
        let file = file.ok_or("no package".to_owned())?;
        // Only a complete folder gets this name.
        let partial = folder.join("partial");
        let unpack = run.program("dpkg-deb").words("-x").path(&file);
        unpack.path(&partial).run()?;
        fs::rename(&partial, &root).map_err(|error| error.to_string())
    };
    let downloaded = download().or_else(|error| {
        if !run.on_ci() {
            return Err(error);
        }
        run.program("apt-get").words("update -q").run()?;
        download()
    });
    match downloaded.and_then(|()| unpack()) {
        Ok(()) => Some(root),
        Err(error) => {
            println!("not unpacked: {error}");
            None
        }
    }
}
