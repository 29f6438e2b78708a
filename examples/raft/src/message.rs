//! The data types of the protocol.

use serde::{Deserialize, Serialize};

/// A node, by its position in the list of addresses.
pub(crate) type NodeId = usize;

/// An entry of the log. Its index is its position, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) client: u64,
    /// The number of the append of this client. 0 is an entry without a value: of a new leader, or of a read.
    pub(crate) sequence: u64,
    pub(crate) value: Vec<u8>,
}

/// A message of a node to another one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) from: NodeId,
    pub(crate) term: u64,
    pub(crate) body: Body,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    RequestVote {
        last_index: u64,
        last_term: u64,
    },
    Vote {
        is_granted: bool,
    },
    /// Entries after `previous`, which is an index and a term. Without entries it is a heartbeat.
    Append {
        previous: (u64, u64),
        entries: Vec<Entry>,
        commit: u64,
    },
    /// The logs match up to this index.
    Appended {
        matched: u64,
    },
    /// The logs differ at `previous`. The index may match.
    Mismatch {
        hint: u64,
    },
}

/// A frame to a node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Peer(Message),
    Append {
        client: u64,
        sequence: u64,
        value: Vec<u8>,
    },
    Read,
}

/// A frame to a client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Appended,
    /// All values in their order, with client and sequence.
    Values(Vec<(u64, u64, Vec<u8>)>),
    /// Another node leads, perhaps this one.
    NotLeader(Option<NodeId>),
}

/// A record of the log file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Record {
    Vote {
        term: u64,
        voted_for: Option<NodeId>,
    },
    /// Replaces the entry at this index and all after it.
    Entry { index: u64, entry: Entry },
}
