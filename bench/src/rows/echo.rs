//! TCP echo: the contender serves, the [client](crate::client) asks, on loopback.
//!
//! The server accepts `width` connections, starts its [`Meter`](crate::cost::Meter), gives back
//! whatever arrives on each, and stops the meter when all of them have closed.

use std::{io, net::SocketAddr};

use super::{Column, Load, Row};
use crate::{
    client::{self, Answered},
    contenders::Contender,
};

/// Bytes of a request, and of its reply.
pub const MESSAGE: usize = 128;
/// Bytes that a server has room for, per connection.
pub const BUFFER: usize = 4096;

/// See the module.
pub const ROW: Row = Row {
    name: "echo",
    about: "TCP on loopback, 128 B a request, one outstanding request per connection; server on \
            core 0, client on core 1.",
    width_name: "connections",
    widths: &[1, 50, 500],
    count: |width| if width == 1 { 20_000 } else { 300_000 },
    columns: &[
        Column {
            name: "server CPU per request",
            unit: "µs",
        },
        Column {
            name: "requests per second",
            unit: "",
        },
        Column {
            name: "latency p50",
            unit: "µs",
        },
        Column {
            name: "latency p99",
            unit: "µs",
        },
    ],
    has: |contender| contender.echo.is_some(),
    run,
};

/// What a contender calls once it listens, with its address.
pub type Listening<'a> = &'a mut dyn FnMut(SocketAddr) -> io::Result<()>;

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let serve = contender.echo.expect("asked only of those who have it");
    let mut client = None;
    let cost = serve(load, &mut |address| {
        client = Some(client::start(address, load)?);
        Ok(())
    })?;
    let client = client.ok_or_else(|| io::Error::other("the server never listened"))?;
    let Answered {
        per_second,
        p50,
        p99,
    } = client::finish(client)?;
    Ok(vec![load.micros(cost.cpu), per_second, p50, p99])
}
