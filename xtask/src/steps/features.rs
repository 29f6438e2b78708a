//! Each published crate with no feature, with each alone, and with all: the library must build
//! without a warning, and the remaining tests must pass. The features are read from the manifests.

use crate::{
    run::{Outcome, Run},
    workspace::Package,
};

pub(crate) fn run(run: &mut Run) -> Outcome {
    for package in run.workspace().crates() {
        for choice in choices(package) {
            let cargo = |words| run.cargo(words).arguments([&package.name]).words(&choice);
            // Only the library: dev-dependencies may enable features.
            cargo("clippy --lib -p").words("-- -D warnings").run()?;
            cargo("test -p").run()?;
        }
    }
    Ok(())
}

/// The combinations of features to build with, as words for cargo.
fn choices(package: &Package) -> Vec<String> {
    let none = "--no-default-features".to_owned();
    let each = package
        .features
        .iter()
        .map(|f| format!("{none} --features {f}"));
    let mut choices = vec![none.clone()];
    choices.extend(each);
    // With no feature or one, this covers all features.
    if package.features.len() > 1 {
        choices.push("--all-features".into());
    }
    choices
}
