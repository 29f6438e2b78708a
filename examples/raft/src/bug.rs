//! Planted bugs, which the simulation has to find. No program can switch them on: only tests have them.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Messages and answers are sent before their records are durable.
    AnswersBeforeSync,
    /// The vote of a term is not stored, so that a node votes again after a restart.
    ForgetsVote,
    /// The recovery does not check the checksum of the last record.
    TrustsLastRecord,
}

impl Bug {
    /// Whether this is the bug. Statically false in programs.
    pub(crate) fn is(self, bug: Self) -> bool {
        cfg!(test) && self == bug
    }
}
