//! The rows: a database, and the number of requests in flight on its one connection.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Database {
    Postgres,
    Redis,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) database: Database,
    /// The tasks that make requests, each of them one after the other. All share a connection.
    pub(crate) users: u32,
    /// The requests of all users.
    pub(crate) count: u32,
}

const fn row(
    name: &'static str,
    title: &'static str,
    database: Database,
    users: u32,
    count: u32,
) -> Row {
    Row {
        name,
        title,
        database,
        users,
        count,
    }
}

pub(crate) const ROWS: [Row; 4] = [
    row("redis", "Redis GET, sequential", Database::Redis, 1, 30_000),
    row(
        "redis-64",
        "Redis GET, 64 in flight",
        Database::Redis,
        64,
        320_000,
    ),
    row(
        "postgres",
        "Postgres SELECT, sequential",
        Database::Postgres,
        1,
        16_000,
    ),
    row(
        "postgres-64",
        "Postgres SELECT, 64 in flight",
        Database::Postgres,
        64,
        64_000,
    ),
];

pub(crate) fn by_name(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}
