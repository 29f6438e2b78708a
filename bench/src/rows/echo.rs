//! Echo: the contender serves, the [client](crate::client) sends requests, over TCP, Unix sockets
//! and UDP.
//!
//! The server accepts `width` connections, starts its [`Meter`](crate::cost::Meter), echoes all
//! bytes on each, and stops the meter when all of them have closed. Over UDP it is a single socket
//! and a single task, and it ends after `count` datagrams.

use std::io;

use tempfile::TempDir;

use crate::{
    client::{self, Answered, Manner},
    contender::Contender,
    cost::Cost,
    row::{Column, Row},
    workload::{Load, Serve},
};

/// The size of a server's buffer per connection, in bytes.
pub const BUFFER: usize = 4096;

/// See the module.
pub const TCP: Row = Row {
    about: "TCP on loopback, 128 B a request, one outstanding request per connection; server on \
            core 0, client on core 1.",
    widths: &[1, 50, 500],
    shown: &[1, 50],
    count: |width| if width == 1 { 4_000 } else { 50_000 },
    columns: COLUMNS,
    has: |contender| contender.echo.is_some(),
    run: |contender, load| over_tcp(contender, load, Manner::Echo),
    ..Row::new("echo", "connections")
};

/// See the module.
pub const UNIX: Row = Row {
    about: "The same over Unix stream sockets.",
    widths: &[1, 50],
    shown: &[50],
    count: |width| if width == 1 { 6_000 } else { 60_000 },
    columns: COLUMNS,
    has: |contender| contender.unix.is_some(),
    run: over_unix,
    ..Row::new("unix", "connections")
};

/// See the module.
pub const UDP: Row = Row {
    about: "UDP on loopback, 128 B a datagram; that many clients with one outstanding request each, \
            one socket and one task to answer them all.",
    widths: &[1, 50],
    shown: &[50],
    count: |width| if width == 1 { 4_000 } else { 40_000 },
    columns: COLUMNS,
    has: |contender| contender.udp.is_some(),
    run: over_udp,
    ..Row::new("udp", "clients")
};

/// TCP again, for the growth of cost.
pub const SCALE_ALL: Row = Row {
    about: "Echo over TCP, every connection asking at once.",
    widths: SCALE,
    count: |width| if width == 1 { 3_000 } else { 20_000 },
    columns: COLUMNS,
    has: |contender| contender.echo.is_some(),
    run: |contender, load| over_tcp(contender, load, Manner::Echo),
    ..Row::new("scale-connections", "connections")
};

/// TCP again, for the cost of idle connections.
pub const SCALE_ONE: Row = Row {
    about: "Echo over TCP, one request at a time, each on the next connection: the others wait.",
    widths: SCALE,
    count: |width| if width > 3_000 { 10_000 } else { 3_000 },
    columns: COLUMNS,
    has: |contender| contender.echo.is_some(),
    run: |contender, load| over_tcp(contender, load, Manner::EchoInTurn),
    ..Row::new("scale-connections-idle", "connections")
};

const SCALE: &[usize] = &[1, 10, 100, 1_000, 10_000];

const COLUMNS: &[Column] = &[
    Column::new("server CPU per request", "µs"),
    Column::new("requests per second", ""),
    Column::new("latency p50", "µs"),
    Column::new("latency p99", "µs"),
];

fn over_tcp(contender: &Contender, load: Load, manner: Manner) -> io::Result<Vec<f64>> {
    let serve = contender.echo.expect("the contender supports this row");
    over_ip(serve, load, manner)
}

fn over_udp(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let serve = contender.udp.expect("the contender supports this row");
    over_ip(serve, load, Manner::EchoUdp)
}

fn over_ip(serve: Serve, load: Load, manner: Manner) -> io::Result<Vec<f64>> {
    let mut client = None;
    let cost = serve(load, &mut |address| {
        client = Some(client::start(manner, &address.to_string(), load)?);
        Ok(())
    })?;
    values(client, &cost, load)
}

fn over_unix(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let serve = contender.unix.expect("the contender supports this row");
    let dir = TempDir::new()?;
    let path = dir.path().join("socket");
    let name = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut client = None;
    let cost = serve(load, &path, &mut || {
        client = Some(client::start(Manner::EchoUnix, name, load)?);
        Ok(())
    })?;
    values(client, &cost, load)
}

fn values(client: Option<client::Client>, cost: &Cost, load: Load) -> io::Result<Vec<f64>> {
    let client = client.ok_or_else(|| io::Error::other("the server never listened"))?;
    let Answered {
        per_second,
        p50,
        p99,
    } = client::finish(client)?;
    Ok(vec![load.micros(cost.cpu), per_second, p50, p99])
}
