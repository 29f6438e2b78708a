//! The course of a run as text: a line for each request, result and packet. Lines of two runs with one seed are equal, so
//! that a text comparison finds the first difference.

use std::io;

use super::{
    descriptors::SocketId,
    drivers::DriverId,
    network::{Datagram, Signal},
    world::{HostId, State},
};
use crate::request::RawResult;

impl State {
    /// Adds a line, if lines are wanted.
    pub(super) fn say(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.lines.is_none() {
            return;
        }
        let line = format!("{:?} {}", self.now, line(self));
        if let Some(lines) = &mut self.lines {
            lines.push((line, self.trace.hash()));
        }
    }

    pub(super) fn say_of_host(&mut self, host: HostId, event: &str) {
        self.say(|state| format!("{}: {event}", state.hosts[host].name));
    }

    pub(super) fn say_request(&mut self, driver: DriverId, kind: u64, index: u64, value: u64) {
        self.say(|state| {
            let host = &state.hosts[state.drivers.host(driver)].name;
            let name = request_name(kind);
            match index {
                0 => format!("{host}: {name} ({value})"),
                index => format!("{host}: {name} of #{index} ({value})"),
            }
        });
    }

    pub(super) fn say_result(&mut self, driver: DriverId, answer: RawResult, index: Option<u64>) {
        self.say(|state| {
            let host = &state.hosts[state.drivers.host(driver)].name;
            match (answer, index) {
                (Ok(_), Some(index)) => format!("{host}: result #{index}"),
                (Ok(value), None) => format!("{host}: result {value}"),
                (Err(code), _) => {
                    format!("{host}: error {}", io::Error::from_raw_os_error(code))
                }
            }
        });
    }

    pub(super) fn say_packet(&mut self, signal: &Signal) {
        self.say(|state| {
            let (at, what) = match signal {
                Signal::Syn { client, .. } => {
                    return format!("packet SYN of {}", state.socket_name(*client));
                }
                Signal::Datagram(datagram) => {
                    let Datagram { address, from, .. } = **datagram;
                    let len = datagram.bytes.len();
                    return format!("packet datagram of {len} bytes of {from} at {address}");
                }
                Signal::Established { client, .. } => (client, "SYN-ACK".to_owned()),
                Signal::Refused { client, .. } => (client, "RST for a connect".to_owned()),
                Signal::ConnectTimeout { client } => (client, "none: the connect ends".to_owned()),
                Signal::Retransmit { sender, .. } => {
                    return format!("retransmission of {}", state.socket_name(*sender));
                }
                Signal::Data { to, bytes, .. } => (to, format!("data of {} bytes", bytes.len())),
                Signal::Credit { to, len } => (to, format!("room for {len} bytes")),
                Signal::Fin { to } => (to, "FIN".to_owned()),
                Signal::Reset { to } => (to, "RST".to_owned()),
                Signal::Unreachable { sender } => (sender, "port unreachable".to_owned()),
            };
            format!("packet {what} at {}", state.socket_name(*at))
        });
    }

    /// Host, local and remote address of a socket.
    pub(super) fn socket_name(&self, id: SocketId) -> String {
        let Some(socket) = self.network.sockets.get(id) else {
            return self.endpoint_name(id);
        };
        let host = &self.hosts[socket.host].name;
        match (socket.local, socket.remote) {
            (Some(local), Some(remote)) => format!("{host} {local} (peer {remote})"),
            (Some(local), None) => format!("{host} {local}"),
            (None, _) => host.clone(),
        }
    }
}

/// The name of a request by its number in the trace.
fn request_name(kind: u64) -> &'static str {
    match kind {
        10 | 12 => "read",
        11 | 13 => "write",
        20 => "sync",
        21 => "open",
        22 | 23 => "stat",
        24 => "truncate",
        30 => "rename",
        31 => "remove",
        32 => "mkdir",
        33 => "link",
        40 => "connect",
        41 | 46 => "accept",
        42 | 44 | 47 | 48 => "receive",
        43 | 45 | 49 | 50 => "send",
        60 => "socket",
        61 => "bind",
        62 => "listen",
        63 => "shutdown",
        64 => "pipe",
        70 => "splice",
        71 => "poll",
        72 => "blocking work",
        _ => "nop",
    }
}
