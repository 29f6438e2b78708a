//! The platform switch of this crate: what std and the driver do not give under one name.

#[cfg(all(feature = "net", unix, not(target_os = "linux")))]
mod bsd;
#[cfg(all(feature = "fs", unix))]
mod file;
#[cfg(all(feature = "net", target_os = "linux"))]
mod linux;

#[cfg(all(feature = "net", unix, not(target_os = "linux")))]
pub(crate) use bsd::abstract_address;
#[cfg(all(feature = "fs", unix))]
pub(crate) use file::{is_dir, is_file, is_symlink, open_flags, path_to_c};
#[cfg(all(feature = "net", target_os = "linux"))]
pub(crate) use linux::abstract_address;
