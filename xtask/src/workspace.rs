//! The packages, features and examples of the workspace, from `cargo metadata`. A new one is
//! covered without a change here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::run::Outcome;

/// Packages whose features compile C code, for which a foreign system needs a compiler of its own.
const WITH_C: [&str; 1] = ["compio-tls"];

/// Packages whose tests compile C code, on Linux alone.
const TESTS_WITH_C: [&str; 3] = ["compio-http", "compio-axum", "compio-ws"];

/// Packages with a dependency that loads functions of ntdll by name: `parking_lot`, below hickory's cache and crossterm.
const WITH_NTDLL: [&str; 2] = ["compio-console", "compio-hickory"];

/// The members of the workspace, and its paths.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    packages: Vec<Package>,
}

/// One member.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) folder: PathBuf,
    is_published: bool,
}

impl Package {
    /// Whether its features compile C code.
    pub(crate) fn compiles_c(&self) -> bool {
        WITH_C.contains(&self.name.as_str())
    }

    /// Whether its tests compile C code for this system.
    pub(crate) fn tests_compile_c(&self, target: &str) -> bool {
        target.contains("linux") && TESTS_WITH_C.contains(&self.name.as_str())
    }

    /// Whether it is built and tested for Windows.
    pub(crate) fn is_tested_on_windows(&self) -> bool {
        !self.compiles_c() && !WITH_NTDLL.contains(&self.name.as_str())
    }

    /// Its Rust files.
    pub(crate) fn sources(&self) -> Outcome<Vec<PathBuf>> {
        rust_files(&self.folder.join("src"))
    }
}

/// The Rust files in a folder and below.
fn rust_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

impl Workspace {
    /// Runs `cargo metadata`.
    pub(crate) fn load() -> Outcome<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let metadata = serde_json::from_slice(&output.stdout);
        let metadata: Value = metadata.map_err(|error| format!("cargo metadata: {error}"))?;
        Self::read(&metadata).ok_or("cargo metadata prints something unknown".into())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The published packages under `crates/`: all but the fixtures of the tests.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        let crates = self.root.join("crates");
        self.packages
            .iter()
            .filter(move |package| package.is_published && package.folder.starts_with(&crates))
    }

    /// The features of a package; none if there is no such package.
    pub(crate) fn features(&self, package: &str) -> &[String] {
        let package = self.packages.iter().find(|found| found.name == package);
        package.map_or(&[], |package| &package.features)
    }

    /// The examples that belong to no crate. The step `services` runs the others.
    pub(crate) fn examples(&self) -> impl Iterator<Item = &str> {
        self.packages
            .iter()
            .filter(|package| !package.is_published)
            .flat_map(|package| package.examples.iter().map(String::as_str))
    }

    fn read(metadata: &Value) -> Option<Self> {
        let packages = metadata["packages"].as_array()?;
        Some(Self {
            root: metadata["workspace_root"].as_str()?.into(),
            target: metadata["target_directory"].as_str()?.into(),
            packages: packages.iter().map(Package::read).collect::<Option<_>>()?,
        })
    }
}

impl Package {
    fn read(package: &Value) -> Option<Self> {
        let is_example = |target: &&Value| target["kind"][0] == "example";
        let name = |target: &Value| target["name"].as_str().map(str::to_owned);
        let targets = package["targets"].as_array()?;
        Some(Self {
            name: name(package)?,
            features: package["features"].as_object()?.keys().cloned().collect(),
            examples: targets
                .iter()
                .filter(is_example)
                .map(name)
                .collect::<Option<_>>()?,
            folder: Path::new(package["manifest_path"].as_str()?)
                .parent()?
                .into(),
            // An empty list of registries is `publish = false`.
            is_published: package["publish"]
                .as_array()
                .is_none_or(|to| !to.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn this_workspace_has_the_crate_with_its_features_and_the_examples() {
        let workspace = Workspace::load().unwrap();
        let compio = workspace.crates().find(|package| package.name == "compio");
        let features = &compio.unwrap().features;
        assert!(features.contains(&"runtime".into()) && features.contains(&"default".into()));
        assert!(workspace.examples().any(|example| example == "quickstart"));
        for name in ["xtask", "compio-testkit"] {
            assert!(workspace.crates().all(|package| package.name != name));
        }
    }
}
