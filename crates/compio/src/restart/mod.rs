//! Restarts without downtime, on unix: listening sockets that pass from one process to the next.
//!
//! A server that closes its listener loses connections: the kernel resets those that it has queued, and refuses
//! new ones until the next process listens. Neither happens if the next process inherits the same sockets. There are
//! two ways, and a program can support both:
//!
//! - **A supervisor owns the sockets** and passes them to each process that it starts: socket units of systemd, and
//!   other programs with the same protocol (`sd_listen_fds(3)`). [`inherited_listeners`] takes them.
//! - **The program starts its own [`Successor`]**, which inherits the sockets by the same protocol. When it has called
//!   [`notify_ready`], the old process shuts its server down: it stops accepting, and serves its
//!   connections to their ends.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use compio::{
//!     cores::Server,
//!     io::AsyncWriteExt,
//!     net::TcpStream,
//!     restart::{self, Successor},
//!     signal::unix::{SignalKind, signal},
//!     time::timeout,
//! };
//!
//! async fn serve(mut stream: TcpStream) {
//!     let _ = stream.write_all("hello").await;
//! }
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let inherited = restart::inherited_listeners()?.take_tcp("http")?;
//!     let server = if inherited.is_empty() {
//!         Server::bind("127.0.0.1:8080").await?
//!     } else {
//!         Server::from_listeners(inherited)
//!     };
//!     let server = server.start(serve)?;
//!     let mut hangup = signal(SignalKind::hangup())?;
//!     restart::notify_ready().await?;
//!     loop {
//!         hangup.recv().await?;
//!         let successor = Successor::same_program()?.server("http", &server)?;
//!         match timeout(Duration::from_secs(10), successor.start()).await {
//!             Ok(Ok(_)) => break,
//!             // The old process continues to serve.
//!             Ok(Err(error)) => eprintln!("restart: {error}"),
//!             Err(_) => eprintln!("restart: the new process is not ready in time"),
//!         }
//!     }
//!     server.shutdown_timeout(Duration::from_secs(30)).await
//! }
//! ```
//!
//! # Losses
//!
//! A listening socket has a queue of connections in the kernel, which belongs to no process. As long as one process
//! has the socket open, nothing in the queue is lost, and neither are connections whose handshake has not completed.
//! So a restart loses nothing if the successor inherits **all** sockets of an address and accepts from each.
//! A socket from which no process accepts keeps its part of the connections waiting: a process of fewer workers
//! must not leave one out. [`Server::from_listeners`](crate::cores::Server::from_listeners) accepts from all.
//!
//! Binding the same address with `SO_REUSEPORT` in both processes is no substitute. When the old process
//! closes its sockets, Linux resets the connections in their queues, unless `net.ipv4.tcp_migrate_req` is set (since
//! 5.14, off by default).
//!
//! # Which process has the PID
//!
//! The successor is a child of the old process, with another PID. A supervisor that watches the old one takes its
//! end for the end of the service: systemd then kills the successor, and a container ends with its first process.
//! There, let the supervisor own the sockets, and restart the service.

mod inherited;
mod successor;

pub use self::{
    inherited::{InheritedListeners, inherited_listeners, notify_ready},
    successor::Successor,
};

/// The process for which the variables are meant.
const PID: &str = "LISTEN_PID";
/// The number of listeners.
const COUNT: &str = "LISTEN_FDS";
/// Their names, with colons between them.
const NAMES: &str = "LISTEN_FDNAMES";
/// The descriptor to which a successor writes when it is ready.
const READY: &str = "COMPIO_READY_FD";

/// systemd's limit of the length of a name in bytes.
const NAME_MAX: usize = 255;

/// Whether a listener may have this name.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(is_part)
}
