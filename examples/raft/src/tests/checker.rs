//! The invariants of Raft, checked over all nodes after each step.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use compio::sim::{assert_always, assert_sometimes};

use super::NODES;
use crate::{message::Entry, node::Observer, raft::Raft};

const ONE_LEADER: &str = "a term has at most one leader";
const COMPLETE: &str = "a new leader has all committed entries";
const KEPT: &str = "a committed entry is neither lost nor changed";
const MATCHING: &str = "entries of one index and term are equal, with all before them";
pub(super) const ACKNOWLEDGED: &str = "acknowledged values are in the log, once and in their order";
/// All that a run has to evaluate.
pub(super) const ALWAYS: [&str; 5] = [ONE_LEADER, COMPLETE, KEPT, MATCHING, ACKNOWLEDGED];

/// The history of a cluster.
#[derive(Default)]
struct History {
    /// By term.
    leaders: BTreeMap<u64, usize>,
    committed: Vec<Entry>,
    /// All entries that a node has ever had, by index and term, with the terms of those before them.
    entries: BTreeMap<(usize, u64), (Entry, u64)>,
    /// The log of each node at its last step, and the number of its committed entries.
    nodes: [(Vec<u64>, usize); NODES],
}

/// The checks of a cluster.
#[derive(Clone, Default)]
pub(super) struct Checker {
    history: Rc<RefCell<History>>,
}

impl Checker {
    /// The observer of a node.
    pub(super) fn at(&self, node: usize) -> impl Observer + use<> {
        let checker = self.clone();
        AtNode { checker, node }
    }

    /// Whether all nodes know all committed entries.
    pub(super) fn nodes_agree(&self) -> bool {
        let history = self.history.borrow();
        let mut nodes = history.nodes.iter();
        nodes.all(|(_, committed)| *committed == history.committed.len())
    }
}

struct AtNode {
    checker: Checker,
    node: usize,
}

impl Observer for AtNode {
    fn recovered(&self, torn: usize) {
        assert_sometimes(torn > 0, "a torn tail is recovered");
        let mut history = self.checker.history.borrow_mut();
        // Entries without a sync may be lost.
        history.nodes[self.node] = (Vec::new(), 0);
    }

    fn stepped(&self, raft: &Raft) {
        let history = &mut *self.checker.history.borrow_mut();
        history.check_leader(raft);
        let unchanged = history.check_entries(self.node, raft.entries());
        history.check_commits(raft, unchanged);
    }
}

impl History {
    fn check_leader(&mut self, raft: &Raft) {
        let term = raft.term();
        if !raft.is_leader() {
            return;
        }
        let last = self.leaders.last_key_value();
        // A late vote may make a leader of an old term, which can commit nothing.
        if last.is_none_or(|(last, _)| *last < term) {
            assert_sometimes(
                last.is_some_and(|(_, leader)| *leader != raft.id()),
                "the leader changes",
            );
            assert_always(raft.entries().starts_with(&self.committed), COMPLETE);
        }
        let leader = *self.leaders.entry(term).or_insert(raft.id());
        assert_always(leader == raft.id(), ONE_LEADER);
    }

    fn check_commits(&mut self, raft: &Raft, unchanged: usize) {
        let committed = raft.committed();
        let (_, seen) = &mut self.nodes[raft.id()];
        let from = (*seen).min(unchanged);
        *seen = committed.len();
        for (index, entry) in committed.iter().enumerate().skip(from) {
            match self.committed.get(index) {
                Some(known) => assert_always(known == entry, KEPT),
                None => self.committed.push(entry.clone()),
            }
        }
    }

    /// Returns the number of entries that are as before.
    fn check_entries(&mut self, node: usize, log: &[Entry]) -> usize {
        let terms: Vec<u64> = log.iter().map(|entry| entry.term).collect();
        let (known, _) = &mut self.nodes[node];
        let common = known
            .iter()
            .zip(&terms)
            .take_while(|(known, term)| known == term)
            .count();
        assert_sometimes(common < known.len(), "an entry is overwritten");
        *known = terms;
        for (index, entry) in log.iter().enumerate().skip(common) {
            let before = index.checked_sub(1).map_or(0, |before| log[before].term);
            let known = self
                .entries
                .entry((index, entry.term))
                .or_insert_with(|| (entry.clone(), before));
            assert_always(known.0 == *entry && known.1 == before, MATCHING);
        }
        common
    }
}
