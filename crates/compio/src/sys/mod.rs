//! The platform switch of this crate: what std and the driver do not give under one name, and the
//! methods that only one kind of system has.
//!
//! Each system has an `fs` and a `net` with the same words in it.

#[cfg(all(feature = "net", unix, not(target_os = "linux")))]
#[path = "unix/bsd.rs"]
mod dialect;
#[cfg(all(feature = "net", target_os = "linux"))]
#[path = "unix/linux.rs"]
mod dialect;
#[cfg(all(feature = "fs", unix))]
#[path = "unix/fs.rs"]
mod fs;
#[cfg(all(feature = "fs", windows))]
#[path = "windows/fs.rs"]
mod fs;
#[cfg(all(feature = "net", unix))]
#[path = "unix/net.rs"]
mod net;
#[cfg(all(feature = "net", windows))]
#[path = "windows/net.rs"]
mod net;

#[cfg(feature = "fs")]
pub(crate) use fs::{SystemOptions, is_dir, is_file, is_symlink, open, open_async};
#[cfg(feature = "net")]
pub use net::UnixSocketAddr;
#[cfg(feature = "net")]
pub(crate) use net::{
    MSG_PEEK, MSG_TRUNC, native_address, path_address, reuse_old_ports, sender_address,
    unix_address, unix_domain,
};
