//! The contenders: one file each, all with the same list of functions.
//!
//! To add a contender: a file with a [`Contender`], and a line in [`CONTENDERS`]. Each gets the
//! settings that its own documentation recommends, and no others. Missing rows are in its
//! [`lacks`](Contender::lacks), with the reason.

use crate::contender::Contender;

#[cfg(feature = "this")]
mod compio;
mod glommio;
mod monoio;
mod plain;
mod raw;
mod registry_compio;
mod tokio;
mod tokio_uring;

/// Every contender, in the order of each round. The first with a row is the baseline of the row.
pub const CONTENDERS: &[&Contender] = &[
    &raw::CONTENDER,
    &tokio::CONTENDER,
    &monoio::CONTENDER,
    #[cfg(feature = "this")]
    &compio::CONTENDER,
    &registry_compio::CONTENDER,
    &glommio::CONTENDER,
    &tokio_uring::CONTENDER,
    &plain::CONTENDER,
];

/// Finds a contender by name.
pub fn find(name: &str) -> Option<&'static Contender> {
    CONTENDERS
        .iter()
        .copied()
        .find(|contender| contender.name == name)
}

#[cfg(test)]
mod tests {
    use super::CONTENDERS;
    use crate::rows::{self, ROWS};

    #[test]
    fn a_runtime_has_a_row_or_says_why_not() {
        for contender in CONTENDERS {
            let stands_in = matches!(contender.name, "raw" | "plain");
            for row in ROWS {
                let excused = contender.why_not(row.name).is_some();
                let (name, row_name) = (contender.name, row.name);
                if (row.has)(contender) {
                    assert!(!excused, "{name} has {row_name} and says why not");
                } else {
                    assert!(
                        excused || stands_in,
                        "{name} lacks {row_name} and does not say why"
                    );
                }
            }
        }
    }

    #[test]
    fn reasons_name_rows_that_exist() {
        for contender in CONTENDERS {
            for (name, _) in contender.lacks {
                assert!(rows::find(name).is_some(), "{}: {name}", contender.name);
            }
        }
    }
}
