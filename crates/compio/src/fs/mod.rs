//! Files.
//!
//! Reads and writes are positioned and take `&self`: any number may be under way on one file.

mod file;
mod metadata;
mod open_options;

pub use self::{file::File, metadata::Metadata, open_options::OpenOptions};
