//! The memory of idle connections.
//!
//! The contender serves as in the echo row, each connection in a task of its own with a read in
//! flight. The [client](crate::client) sends one request on every connection, so that memory of the
//! first use is allocated, and then stays silent. The row reports the growth since the server began
//! to listen: the process's resident memory, and the slab memory of the whole system.

use std::{fs, io, sync::mpsc, thread, time::Duration};

use crate::{
    client::{self, Manner},
    row::{Column, Row},
    workload::{Load, Serve},
};

/// See the module.
pub const OWN: Row = Row {
    about: "TCP connections that wait for a request, each with a task and with a read into a buffer \
            of 4 KiB of its own; they have answered one. The kernel's part is of both ends, and of \
            the whole system: see that it hardly spreads before believing it.",
    has: |contender| contender.echo.is_some(),
    run: |contender, load| run(contender.echo, load),
    ..row("idle")
};

/// See the module.
pub const POOLED: Row = Row {
    about: "The same without a buffer while they wait: receives into a pool of buffers, or waiting \
            until there is something to read.",
    has: |contender| contender.echo_pooled.is_some(),
    run: |contender, load| run(contender.echo_pooled, load),
    ..row("idle-pooled")
};

const fn row(name: &'static str) -> Row {
    Row {
        widths: &[10_000],
        shown: &[10_000],
        count: |width| width,
        shortens: false,
        columns: COLUMNS,
        ..Row::new(name, "connections")
    }
}

const COLUMNS: &[Column] = &[
    Column::new("resident memory per connection", "B"),
    Column::new("kernel's per connection", "B"),
];

/// Buffers of the pool, of [`echo::BUFFER`](super::echo::BUFFER) bytes each: far fewer than
/// connections, because only busy ones need a buffer.
pub const POOL: u16 = 256;

/// Time for pending allocations and frees.
const SETTLE: Duration = Duration::from_millis(100);

fn run(serve: Option<Serve>, load: Load) -> io::Result<Vec<f64>> {
    let serve = serve.expect("the contender supports this row");
    // The observer's own thread exists before the first measurement of memory.
    let (give, take) = mpsc::sync_channel::<(client::Client, Memory)>(1);
    let observer = thread::spawn(move || -> io::Result<Vec<f64>> {
        let (mut client, before) = take.recv().map_err(io::Error::other)?;
        client::wait_for_silence(&mut client)?;
        thread::sleep(SETTLE);
        let now = Memory::now()?;
        client::finish(client)?;
        let each = |now: u64, before: u64| (now as f64 - before as f64) / load.width as f64;
        Ok(vec![
            each(now.resident, before.resident),
            each(now.kernel, before.kernel),
        ])
    });
    serve(load, &mut |address| {
        let before = Memory::now()?;
        let client = client::start(Manner::FallSilent, &address.to_string(), load)?;
        give.send((client, before)).map_err(io::Error::other)
    })?;
    observer
        .join()
        .map_err(|_| io::Error::other("the observer panicked"))?
}

/// In bytes.
struct Memory {
    /// The resident memory of this process.
    resident: u64,
    /// The kernel's slabs, of all processes.
    kernel: u64,
}

impl Memory {
    fn now() -> io::Result<Self> {
        Ok(Self {
            resident: resident()?,
            kernel: kib("/proc/meminfo", "Slab:")?,
        })
    }
}

/// The resident bytes of this process.
pub fn resident() -> io::Result<u64> {
    // Not `statm`: it omits the pages that threads have not yet accounted for.
    kib("/proc/self/smaps_rollup", "Rss:")
}

fn kib(path: &str, label: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(label))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    let kib = value.ok_or_else(|| io::Error::other(format!("no {label} in {path}")))?;
    Ok(kib * 1024)
}
