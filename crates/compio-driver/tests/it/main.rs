//! The driver, through its public doors, against the real kernel.

mod abandon;
mod fs;
mod futures;
mod net;
mod notify;
mod pool;
mod pushed;
mod readiness;
mod shutdown;
mod support;
