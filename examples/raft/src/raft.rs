//! Raft's rules, without input and output: "In Search of an Understandable Consensus Algorithm", Ongaro and Ousterhout.
//!
//! A node passes messages, requests and the time. It stores `records` first, and sends `messages` then.

use std::{
    collections::BTreeSet,
    mem,
    time::{Duration, Instant},
};

use crate::{
    bug::Bug,
    log::Saved,
    message::{Body, Entry, Message, NodeId, Record},
};

/// The time after which a leader repeats its claim.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// The least time without a leader after which a node becomes a candidate. The most is twice as long.
const ELECTION_MS: u64 = 150;
/// The most entries of a message.
const BATCH: usize = 32;

#[derive(Debug)]
enum Role {
    Follower,
    Candidate {
        votes: BTreeSet<NodeId>,
    },
    /// By node: the next index to send, and the last index that is known to match.
    Leader {
        next: Vec<u64>,
        matched: Vec<u64>,
    },
}

/// The state of a node.
#[derive(Debug)]
pub(crate) struct Raft {
    id: NodeId,
    nodes: usize,
    bug: Bug,
    random: u64,
    now: Instant,
    deadline: Instant,
    role: Role,
    leader: Option<NodeId>,
    saved: Saved,
    commit: u64,
    records: Vec<Record>,
    messages: Vec<(NodeId, Message)>,
}

impl Raft {
    /// A follower. `random` is for the times of elections, which have to differ between nodes.
    pub(crate) fn new(
        id: NodeId,
        nodes: usize,
        saved: Saved,
        random: u64,
        now: Instant,
        bug: Bug,
    ) -> Self {
        let mut raft = Self {
            id,
            nodes,
            bug,
            random: random | 1,
            now,
            deadline: now,
            role: Role::Follower,
            leader: None,
            saved,
            commit: 0,
            records: Vec::new(),
            messages: Vec::new(),
        };
        raft.postpone_election();
        raft
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn term(&self) -> u64 {
        self.saved.term
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// The leader of the term, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.saved.entries
    }

    /// The entries that are never lost.
    pub(crate) fn committed(&self) -> &[Entry] {
        &self.saved.entries[..self.commit as usize]
    }

    /// The time of the next [`tick`](Self::tick).
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The records to be stored, and then the messages to be sent.
    pub(crate) fn take_output(&mut self) -> (Vec<Record>, Vec<(NodeId, Message)>) {
        (mem::take(&mut self.records), mem::take(&mut self.messages))
    }

    /// Moves the clock.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = now;
        if now < self.deadline {
            return;
        }
        if self.is_leader() {
            self.replicate();
            return;
        }
        self.enter_term(self.term() + 1, Some(self.id));
        self.role = Role::Candidate {
            votes: BTreeSet::new(),
        };
        self.postpone_election();
        self.count_vote(self.id);
        let (last_index, last_term) = self.last();
        self.send_all(|| Body::RequestVote {
            last_index,
            last_term,
        });
    }

    /// Adds an entry. Returns its index, or `None` if another node has to do so.
    pub(crate) fn propose(&mut self, client: u64, sequence: u64, value: Vec<u8>) -> Option<u64> {
        if !self.is_leader() {
            return None;
        }
        let index = self.last().0 + 1;
        let term = self.term();
        self.put(
            index,
            Entry {
                term,
                client,
                sequence,
                value,
            },
        );
        self.replicate();
        self.confirm(self.id, index);
        Some(index)
    }

    /// Handles a message of another node.
    pub(crate) fn receive(&mut self, message: Message) {
        let Message { from, term, body } = message;
        if term > self.term() {
            self.enter_term(term, None);
            self.role = Role::Follower;
        }
        let is_current = term == self.term();
        match body {
            Body::RequestVote {
                last_index,
                last_term,
            } => {
                let (index, term) = self.last();
                let is_complete = (last_term, last_index) >= (term, index);
                let is_free = self.saved.voted_for.is_none_or(|node| node == from);
                let is_granted = is_current && is_free && is_complete;
                if is_granted {
                    self.enter_term(self.term(), Some(from));
                    self.postpone_election();
                }
                self.send(from, Body::Vote { is_granted });
            }
            Body::Vote { is_granted } if is_current && is_granted => self.count_vote(from),
            Body::Append {
                previous,
                entries,
                commit,
            } if is_current => {
                self.role = Role::Follower;
                self.leader = Some(from);
                self.postpone_election();
                let body = self.accept(previous, entries, commit);
                self.send(from, body);
            }
            // The answer has the new term, so that an old leader steps down.
            Body::Append { .. } => self.send(from, Body::Mismatch { hint: 0 }),
            Body::Appended { matched } if is_current => self.confirm(from, matched),
            Body::Mismatch { hint } if is_current => {
                if let Role::Leader { next, matched } = &mut self.role {
                    let first = hint + 1;
                    // A late answer, or a second one, needs no second message.
                    if (matched[from] + 1..next[from]).contains(&first) {
                        next[from] = first;
                        self.send_entries(from);
                    }
                }
            }
            Body::Vote { .. } | Body::Appended { .. } | Body::Mismatch { .. } => {}
        }
    }

    /// Takes over the entries of the leader.
    fn accept(&mut self, previous: (u64, u64), entries: Vec<Entry>, commit: u64) -> Body {
        let (before, term) = previous;
        if self.term_at(before) != Some(term) {
            return Body::Mismatch {
                hint: self.last().0.min(before.saturating_sub(1)),
            };
        }
        let matched = before + entries.len() as u64;
        for (index, entry) in (before + 1..).zip(entries) {
            // A message may be old: entries after its own ones stay if they match.
            if self.term_at(index) != Some(entry.term) {
                self.put(index, entry);
            }
        }
        self.commit = self.commit.max(commit.min(matched));
        Body::Appended { matched }
    }

    /// The log of a node matches up to this index.
    fn confirm(&mut self, node: NodeId, index: u64) {
        let last = self.last().0;
        let Role::Leader { next, matched } = &mut self.role else {
            return;
        };
        matched[node] = matched[node].max(index);
        next[node] = next[node].max(index + 1);
        let has_more = next[node] <= last;
        let mut sorted = matched.clone();
        sorted.sort_unstable();
        // A majority has at least this index.
        let common = sorted[(self.nodes - 1) / 2];
        // The number of nodes commits no entry of an earlier term: section 5.4.2 of the paper.
        if common > self.commit && self.term_at(common) == Some(self.term()) {
            self.commit = common;
        }
        if has_more {
            self.send_entries(node);
        }
    }

    fn count_vote(&mut self, from: NodeId) {
        let Role::Candidate { votes } = &mut self.role else {
            return;
        };
        votes.insert(from);
        if votes.len() <= self.nodes / 2 {
            return;
        }
        let next = vec![self.last().0 + 1; self.nodes];
        self.role = Role::Leader {
            next,
            matched: vec![0; self.nodes],
        };
        self.leader = Some(self.id);
        // An entry of its own term commits those of earlier ones.
        self.propose(0, 0, Vec::new());
    }

    /// Sends new entries to all, or a heartbeat.
    fn replicate(&mut self) {
        self.deadline = self.now + HEARTBEAT;
        for node in self.others() {
            self.send_entries(node);
        }
    }

    fn send_entries(&mut self, to: NodeId) {
        let Role::Leader { next, .. } = &mut self.role else {
            return;
        };
        let first = next[to] as usize;
        let entries: Vec<Entry> = self.saved.entries[first - 1..]
            .iter()
            .take(BATCH)
            .cloned()
            .collect();
        // If the message is lost, the next one does not match, and the answer sets it back.
        next[to] += entries.len() as u64;
        let before = first as u64 - 1;
        let previous = (before, self.term_at(before).expect("an index of its log"));
        self.send(
            to,
            Body::Append {
                previous,
                entries,
                commit: self.commit,
            },
        );
    }

    fn enter_term(&mut self, term: u64, voted_for: Option<NodeId>) {
        if term != self.term() {
            self.leader = None;
        }
        (self.saved.term, self.saved.voted_for) = (term, voted_for);
        let voted_for = voted_for.filter(|_| !self.bug.is(Bug::ForgetsVote));
        self.records.push(Record::Vote { term, voted_for });
    }

    /// Puts an entry at an index, in the place of all from there on.
    fn put(&mut self, index: u64, entry: Entry) {
        self.saved.entries.truncate(index as usize - 1);
        self.saved.entries.push(entry.clone());
        self.records.push(Record::Entry { index, entry });
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        match index {
            0 => Some(0),
            _ => self
                .entries()
                .get(index as usize - 1)
                .map(|entry| entry.term),
        }
    }

    /// Index and term of the last entry.
    fn last(&self) -> (u64, u64) {
        let term = self.entries().last().map_or(0, |entry| entry.term);
        (self.entries().len() as u64, term)
    }

    fn postpone_election(&mut self) {
        // Xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let millis = ELECTION_MS + self.random % ELECTION_MS;
        self.deadline = self.now + Duration::from_millis(millis);
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.id;
        (0..self.nodes).filter(move |node| *node != id)
    }

    fn send(&mut self, to: NodeId, body: Body) {
        let (from, term) = (self.id, self.term());
        self.messages.push((to, Message { from, term, body }));
    }

    fn send_all(&mut self, body: impl Fn() -> Body) {
        for node in self.others() {
            self.send(node, body());
        }
    }
}
