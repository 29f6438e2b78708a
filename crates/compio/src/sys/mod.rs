//! The platform switch of this crate: what std and the driver do not give under one name.

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(crate) use unix::{is_dir, is_file, is_symlink, open_flags, path_to_c};
