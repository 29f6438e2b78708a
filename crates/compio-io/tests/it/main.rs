//! Public behaviour of `compio-io`, one module per topic.

mod aligned;
mod buffered_read;
mod buffered_write;
mod buffers;
#[cfg(feature = "framed")]
mod codecs;
mod copying;
mod duplex;
#[cfg(feature = "framed")]
mod framed;
#[cfg(feature = "futures-io")]
mod futures_io;
mod kernel;
mod lines;
mod memory;
mod numbers;
mod parts;
mod polled;
mod positioned;
mod reading;
mod script;
mod seeking;
mod slices;
#[cfg(feature = "tokio")]
mod tokio_io;
mod vectored;
mod writing;
