//! The executor as its users see it, by scenario.
#![cfg(not(loom))]

mod abort;
mod allocation;
mod fairness;
mod join;
mod main_waker;
mod panics;
mod reentrancy;
mod remote;
mod shutdown;
mod support;
