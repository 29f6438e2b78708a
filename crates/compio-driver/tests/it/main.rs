//! The driver, through its public doors, against the real kernel.

mod abandon;
mod futures;
mod net;
mod notify;
mod pool;
mod pushed;
mod shutdown;
mod support;
