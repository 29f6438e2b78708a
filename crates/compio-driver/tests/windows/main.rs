//! The driver's public API for Windows only.

#![cfg(windows)]

mod connect;
mod control;
mod directory;
mod files;
mod packets;
mod pipes;
mod ports;
mod sockets;
mod soundness;
mod support;
