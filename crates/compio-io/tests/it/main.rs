//! Public behaviour of `compio-io`, one module per topic.

mod buffered_read;
mod buffered_write;
mod buffers;
mod copying;
mod duplex;
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
mod vectored;
mod writing;
