//! Each published crate with no feature, with each alone, and with all: the library must build without a
//! warning, and so must its tests. The tests run without features; `test` and `backends` run them with all.
//! Features add API and never change behaviour (invariant 6), so that a run with one feature shows nothing
//! else. The features are read from the manifests.

use crate::{
    run::{Outcome, Run},
    workspace::Package,
};

const NONE: &str = "--no-default-features";
const ALL: &str = "--all-features";

pub(crate) fn run(run: &mut Run) -> Outcome {
    for package in run.workspace().crates() {
        for features in choices(package) {
            let clippy = |targets| {
                let clippy = run.cargo("clippy").words(targets);
                let clippy = clippy.arguments(["-p", &package.name]).words(&features);
                clippy.words("-- -D warnings").run()
            };
            // First the library alone: dev-dependencies may enable features.
            clippy("--lib")?;
            // `clippy` checks all targets with all features.
            if features != ALL {
                clippy("--all-targets")?;
            }
        }
        // Otherwise `test` has run the same.
        if !package.features.is_empty() {
            let test = run.cargo("test").arguments(["-p", &package.name]);
            test.words(NONE).run()?;
        }
    }
    Ok(())
}

/// The combinations of features to build with, as words for cargo.
fn choices(package: &Package) -> Vec<String> {
    let mut choices = Vec::new();
    if !package.features.is_empty() {
        let each = package.features.iter();
        choices.push(NONE.to_owned());
        choices.extend(each.map(|feature| format!("{NONE} --features {feature}")));
    }
    choices.push(ALL.to_owned());
    choices
}
