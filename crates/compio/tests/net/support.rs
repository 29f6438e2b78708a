//! Shared helpers of the tests.

#[path = "../support/run.rs"]
mod run;
#[path = "../support/tcp.rs"]
mod tcp;

pub(crate) use compio_testkit::{
    LONG, buffer::pattern, check::check_kind, future::begin, socket::deserted,
};
#[cfg(unix)]
pub(crate) use run::bounded;
pub(crate) use run::run;
pub(crate) use tcp::{listener, tcp_pair};
