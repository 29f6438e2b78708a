//! The scenarios: known faults of completion-based runtimes, tested from outside.
//!
//! Each runs in a process of its own and prints one line with its outcome.

mod accept;
mod descriptors;
mod drops;
mod memory;
mod reads;
mod shutdown;
mod signals;
mod tasks;
mod writes;

use crate::{
    contender::Contender,
    contenders::{Glommio, Monoio, Poll, RegistryCompio, Tokio, TokioUring, Uring},
};

/// The names of the columns: the contenders, in order.
pub const CONTENDERS: &[&str] = &[
    "compio, io_uring",
    "compio, readiness",
    "tokio",
    "monoio",
    "glommio",
    "tokio-uring",
    "registry compio",
];

/// Quotes from each contender's documentation.
pub const DOCUMENTED: &[(&str, &str)] = &[
    ("compio", Uring::DOCUMENTED),
    ("tokio", Tokio::DOCUMENTED),
    ("monoio", Monoio::DOCUMENTED),
    ("glommio", Glommio::DOCUMENTED),
    ("tokio-uring", TokioUring::DOCUMENTED),
    ("registry compio", RegistryCompio::DOCUMENTED),
];

/// A row of the table.
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    /// The text of the table.
    pub what: &'static str,
    /// Runs it on the contender of that index.
    pub run: fn(usize),
}

macro_rules! scenarios {
    ($($name:literal, $what:literal, $($run:ident)::+;)+) => {
        /// Every row, in the table's order.
        pub const SCENARIOS: &[Scenario] = &[$(
            Scenario {
                name: $name,
                what: $what,
                run: |contender| match contender {
                    0 => $($run)::+::<Uring>(),
                    1 => $($run)::+::<Poll>(),
                    2 => $($run)::+::<Tokio>(),
                    3 => $($run)::+::<Monoio>(),
                    4 => $($run)::+::<Glommio>(),
                    5 => $($run)::+::<TokioUring>(),
                    6 => $($run)::+::<RegistryCompio>(),
                    _ => panic!("there are seven"),
                },
            },
        )+];
    };
}

scenarios! {
    "accept-race", "`select` of accept and a 1 ms timer in a loop, 300 clients at random moments", accept::race;
    "accept-before", "accept dropped after a client had come, before the runtime looked; 30 times", accept::before;
    "accept-after", "accept dropped, then a client comes before the runtime runs again; 30 times", accept::after;
    "accept-later", "accept dropped, then a client comes 3 ms later; 30 times", accept::later;
    "accept-unpolled", "accept whose client came, and the runtime saw it, dropped without another poll; 30 times", accept::unpolled;
    "accept-cancel", "as `accept-race`, given up by the API that is made for it instead of a drop", accept::cancelled;
    "read-race", "`select` of read and a 1 ms timer in a loop, 300 messages of 100 bytes at random moments", reads::race;
    "read-before", "read dropped after its bytes had come, before the runtime looked; 30 times 100 bytes", reads::before;
    "read-after", "read dropped, then its bytes come before the runtime runs again; 30 times 100 bytes", reads::after;
    "read-later", "read dropped, then bytes come 3 ms later; 30 times 100 bytes", reads::later;
    "read-unpolled", "read whose bytes came, and the runtime saw it, dropped without another poll; 30 times 100 bytes", reads::unpolled;
    "read-cancel", "as `read-race`, given up by the API that is made for it instead of a drop", reads::cancelled;
    "exact-drop", "timeout around `read_exact` of 8 bytes, of which 5 have come; 20 times", reads::exact;
    "exact-cancel", "the same, given up by the API that is made for it", reads::exact_cancelled;
    "buffered-before", "a buffered reader's `fill_buf` dropped after its bytes had come, before the runtime looked; 30 times 100 bytes", reads::buffered_before;
    "buffered-unpolled", "the same, after the runtime saw it", reads::buffered_unpolled;
    "write-large", "`write_all` of 16 MiB to a peer that does not read, dropped after 20 ms; then 4 bytes more; once", writes::large;
    "write-small", "a write of 10 bytes dropped after its first poll; 20 times", writes::small;
    "drop-socket", "dropping a read of a silent socket: how long the thread is blocked (worst of 5)", drops::socket;
    "drop-fifo-read", "the same of a FIFO without data, read as a file", drops::fifo_read;
    "drop-terminal-read", "the same of a terminal without input, read as a file", drops::terminal_read;
    "drop-fifo-open", "the same of an open, to write, of a FIFO without a reader", drops::fifo_open;
    "end-sockets", "runtime dropped with 8 reads, 8 accepts and 8 timers in flight", shutdown::sockets;
    "end-fifo-read", "runtime dropped with a FIFO's read in flight", shutdown::fifo_read;
    "end-terminal-read", "runtime dropped with a terminal's read in flight", shutdown::terminal_read;
    "end-fifo-open", "runtime dropped with a FIFO's open, to write, in flight", shutdown::fifo_open;
    "end-blocking", "runtime dropped with blocking work that takes 1 s", shutdown::blocking;
    "late-stream", "listener and stream dropped after their runtime", shutdown::late_stream;
    "late-read", "pending read dropped after its runtime", shutdown::late_read;
    "end-memory", "runtime dropped with a read in flight, then the peer writes: does freed memory change?", memory::shutdown;
    "forget-memory", "pending read leaked by `mem::forget`, stream dropped, then the peer writes: does freed memory change?", memory::forgotten;
    "drop-memory", "pending read dropped, and in the same moment the peer writes; 50 times: does freed memory change?", memory::dropped;
    "reuse-drop", "read and its stream dropped, the next connection gets the number: are its bytes its own? 30 times", descriptors::reused;
    "reuse-forget", "the same with the read leaked by `mem::forget`", descriptors::reused_forgotten;
    "cloexec", "descriptors that a child process inherits, of a runtime with an accepted socket and an opened file", descriptors::inherited;
    "emfile", "accept with no descriptor left, then with one again", descriptors::exhausted;
    "waker-dead", "a task's waker woken and dropped on another thread when the runtime is gone", tasks::waker;
    "handle-dead", "a join handle polled and dropped on another thread when the runtime is gone", tasks::handle;
    "wake-remote", "a sleeping runtime woken 200 times by another thread", tasks::remote;
    "panic-task", "a task panics", tasks::panic;
    "unpolled", "a read, a write and an accept that are made and never polled", tasks::unpolled;
    "signals", "a signal each millisecond, handler without SA_RESTART, during reads, writes, timers and file reads for 400 ms", signals::storm;
}
