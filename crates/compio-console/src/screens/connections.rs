//! Connections: the sockets with an operation in flight, by descriptor and addresses.

use std::collections::HashMap;

use super::{
    Data, Sheet,
    in_flight::{Waiting, name_of, operations},
};
use crate::{
    format,
    table::{Cell, Column, Row, RowKey},
};

pub(super) const COLUMNS: [Column; 9] = [
    Column::text("protocol", "prot", 4, 4),
    Column::path("local", "local", 14, 0),
    Column::path("peer", "peer", 14, 0),
    Column::number("worker", "wrk", 1),
    Column::text("descriptor", "descr", 5, 6),
    Column::text("operations", "ops", 6, 0),
    Column::number("task", "task", 0),
    Column::path("name or spawn", "name or spawn", 8, 5),
    Column::number("longest wait", "wait", 0),
];

pub(super) const LONGEST: usize = 8;

/// Begins of the objects that are sockets.
const PROTOCOLS: [&str; 3] = ["tcp", "unix", "udp"];

/// Kinds of operations that one row names.
const MAX_KINDS: usize = 8;

/// The operations of one socket.
struct Connection<'a> {
    first: Waiting<'a>,
    object: &'a str,
    /// The first kinds, each one once, with its count.
    kinds: Vec<(&'a str, usize)>,
    /// Operations of other kinds.
    others: usize,
    longest: f64,
}

pub(super) fn sheet(data: &Data<'_>) -> Sheet {
    let mut connections = Vec::<Connection<'_>>::new();
    let mut indexes = HashMap::new();
    for waiting in operations(data) {
        let Some(object) = &waiting.wait.object else {
            continue;
        };
        let object = object.as_str();
        if !PROTOCOLS
            .iter()
            .any(|protocol| object.starts_with(protocol))
        {
            continue;
        }
        let key = (waiting.runtime, &waiting.wait.descriptor, object);
        let index = *indexes.entry(key).or_insert(connections.len());
        match connections.get_mut(index) {
            Some(connection) => connection.add(waiting),
            None => connections.push(Connection::new(waiting, object)),
        }
    }
    let mut below = vec!["Connections without a waiting operation are not shown.".to_owned()];
    below.extend(data.notes_on_answers());
    Sheet {
        rows: connections.iter().map(Connection::row).collect(),
        below,
        empty: "No socket with an operation in flight.",
        ..Sheet::default()
    }
}

impl<'a> Connection<'a> {
    fn new(first: Waiting<'a>, object: &'a str) -> Self {
        Self {
            object,
            kinds: vec![(first.kind, 1)],
            others: 0,
            longest: first.wait.since,
            first,
        }
    }

    fn add(&mut self, waiting: Waiting<'a>) {
        let has_room = self.kinds.len() < MAX_KINDS;
        let mut kinds = self.kinds.iter_mut();
        match kinds.find(|(kind, _)| *kind == waiting.kind) {
            Some((_, count)) => *count += 1,
            None if has_room => self.kinds.push((waiting.kind, 1)),
            None => self.others += 1,
        }
        if waiting.wait.since > self.longest {
            self.longest = waiting.wait.since;
            self.first = waiting;
        }
    }

    fn row(&self) -> Row {
        let runtime = self.first.runtime;
        let descriptor = self.first.wait.descriptor.as_ref();
        let descriptor = descriptor.map_or(format::UNKNOWN, |text| text.as_str());
        let (protocol, local, peer) = parts(self.object);
        let kinds = self.kinds.iter().map(|(kind, count)| match count {
            1 => (*kind).to_owned(),
            _ => format!("{count} {kind}"),
        });
        let others = (self.others > 0).then(|| format!("{} others", self.others));
        let kinds: Vec<_> = kinds.chain(others).collect();
        let task = self.first.task;
        Row {
            key: RowKey::Connection {
                runtime,
                descriptor: descriptor.into(),
                object: self.object.into(),
            },
            cells: vec![
                Cell::text(protocol),
                Cell::text(local),
                Cell::text(peer),
                Cell::id(runtime),
                Cell::text(descriptor),
                Cell::text(kinds.join(", ")),
                Cell::number(
                    task.map(|task| task.id),
                    |id| id as f64,
                    |id| id.to_string(),
                ),
                Cell::text(task.map_or(format::UNKNOWN, name_of)),
                Cell::seconds(Some(self.longest)),
            ],
        }
    }
}

/// Splits `tcp LOCAL -> PEER` and `unix datagram LOCAL`.
fn parts(object: &str) -> (&str, &str, &str) {
    let (own, peer) = object
        .split_once(" -> ")
        .unwrap_or((object, format::UNKNOWN));
    let start = if own.starts_with("unix datagram ") {
        5
    } else {
        0
    };
    let space = own[start..].find(' ').map(|index| start + index);
    match space {
        Some(space) => (&own[..space], &own[space + 1..], peer),
        None => (own, format::UNKNOWN, peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_has_protocol_and_addresses() {
        for (object, expected) in [
            (
                "tcp 127.0.0.1:80 -> [::1]:9",
                ("tcp", "127.0.0.1:80", "[::1]:9"),
            ),
            ("udp 0.0.0.0:53", ("udp", "0.0.0.0:53", "-")),
            (
                "unix datagram /run/a b -> (unnamed)",
                ("unix datagram", "/run/a b", "(unnamed)"),
            ),
            ("tcp", ("tcp", "-", "-")),
            ("unix datagram ", ("unix datagram", "", "-")),
        ] {
            assert_eq!(parts(object), expected);
        }
    }
}
