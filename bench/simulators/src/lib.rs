//! The same programs, each with a planted fault, under the simulators of several runtimes.
//!
//! A program is generic over a [`System`], the few calls that all simulators have. Each binary implements it for one simulator, and
//! prints the number of seeds that find each fault. README.md has the commands, docs/simulation-peers.md the results.

mod observer;
pub mod programs;
mod report;
mod rng;
mod scenario;
mod system;

pub use self::{
    observer::{End, Observer},
    report::report,
    scenario::{DiskFaults, Fault, Host, Scenario},
    system::{System, operate},
};
