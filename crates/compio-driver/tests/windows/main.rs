//! What only Windows has, through the driver's public doors.

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
