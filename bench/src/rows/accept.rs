//! The cost of accepting and closing a connection.
//!
//! The [client](crate::client) keeps `width` attempts in flight: it connects, waits until the
//! server has closed, resets its own end, so that no port stays in `TIME_WAIT`, and connects again.

use std::io;

use crate::{
    client::{self, Answered, Manner},
    contender::Contender,
    row::{Column, Row},
    workload::Load,
};

/// See the module.
pub const ROW: Row = Row {
    about: "TCP on loopback: accept a connection and close it, one after the other; that many \
            attempts at once.",
    widths: &[1, 64],
    shown: &[64],
    count: |width| if width == 1 { 3_000 } else { 64 * 250 },
    columns: &[
        Column::new("server CPU per connection", "µs"),
        Column::new("connections per second", ""),
    ],
    has: |contender| contender.accept.is_some(),
    run,
    ..Row::new("accept", "attempts")
};

fn run(contender: &Contender, load: Load) -> io::Result<Vec<f64>> {
    let serve = contender.accept.expect("the contender supports this row");
    let mut client = None;
    let cost = serve(load, &mut |address| {
        client = Some(client::start(Manner::Accept, &address.to_string(), load)?);
        Ok(())
    })?;
    let client = client.ok_or_else(|| io::Error::other("the server never listened"))?;
    let Answered { per_second, .. } = client::finish(client)?;
    Ok(vec![load.micros(cost.cpu), per_second])
}
