//! The library of `compio-console`, a terminal program that shows the inside of a running program of compio.
//!
//! The program is observed over a Unix socket, by the protocol of its feature `console`: one JSON object for each line. This
//! crate does not depend on compio. It has its own threads: one for the connection, one for keys.
//!
//! The binary is the product. Of the library, [`once`] is of use in other programs:
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//!
//! let socket = Path::new("/run/keyvalue/console.sock");
//! println!("{}", compio_console::once::of_program(socket, Duration::from_secs(1))?);
//! # Ok::<(), String>(())
//! ```
//!
//! # Code map
//!
//! `protocol.rs` the lines of the program, `line.rs` their limit of length, `text.rs` the escapes of all of their strings;
//! `client.rs` the thread of the connection; `model.rs` the latest data and rates, `histogram.rs` percentiles; `screens/` the
//! content of each screen, `table.rs` and `draw.rs` its drawing, `format.rs` numbers; `app.rs` the state, `view.rs` order,
//! filter and selection of a screen, `keys.rs` the meaning of keys; `record.rs` and `replay.rs` recordings; `once.rs` the
//! overview without a terminal; `terminal.rs` the loop; `sys/` the socket and signals.

pub mod app;
pub mod client;
pub mod command_line;
mod draw;
mod format;
mod histogram;
pub mod keys;
mod line;
pub mod model;
pub mod once;
pub mod protocol;
mod record;
pub mod replay;
pub mod screens;
pub mod sys;
mod table;
pub mod terminal;
pub mod text;
mod view;
