//! The platform switch of this crate: code that std and the driver do not give under one name, and
//! methods that only one kind of system has.
//!
//! Each system has an `fs`, a `net`, a `process` and a `signal` with the same names.

#[cfg(all(
    feature = "signal",
    unix,
    any(not(target_os = "linux"), compio_portable)
))]
#[path = "unix/self_pipe_socket.rs"]
mod self_pipe;
#[cfg(all(feature = "signal", target_os = "linux", not(compio_portable)))]
#[path = "unix/self_pipe_eventfd.rs"]
mod self_pipe;

#[cfg(all(feature = "console", unix))]
#[path = "unix/console/mod.rs"]
pub mod console;
#[cfg(all(feature = "process", unix, not(target_os = "linux")))]
#[path = "unix/exit_kqueue.rs"]
mod exit_event;
#[cfg(all(feature = "process", target_os = "linux"))]
#[path = "unix/exit_pidfd.rs"]
mod exit_event;
#[cfg(all(feature = "process", unix))]
#[path = "unix/exit_thread.rs"]
mod exit_thread;
#[cfg(all(feature = "fs", unix))]
#[path = "unix/fs.rs"]
mod fs;
#[cfg(all(feature = "fs", windows))]
#[path = "windows/fs.rs"]
mod fs;
#[cfg(all(feature = "fs", unix))]
#[path = "unix/metadata.rs"]
mod metadata;
#[cfg(all(feature = "fs", windows))]
#[path = "windows/metadata.rs"]
mod metadata;
#[cfg(all(feature = "net", unix))]
#[path = "unix/net.rs"]
mod net;
#[cfg(all(feature = "net", windows))]
#[path = "windows/net.rs"]
mod net;
#[cfg(all(feature = "fs", unix))]
#[path = "unix/pipe.rs"]
mod pipe;
#[cfg(all(feature = "fs", windows))]
#[path = "windows/pipe.rs"]
mod pipe;
#[cfg(all(feature = "net", unix, any(not(target_os = "linux"), compio_portable)))]
#[path = "unix/bsd.rs"]
mod platform;
#[cfg(all(feature = "net", target_os = "linux", not(compio_portable)))]
#[path = "unix/linux.rs"]
mod platform;
#[cfg(all(feature = "signal", unix))]
#[path = "unix/print_dumps.rs"]
mod print_dumps;
#[cfg(all(feature = "process", unix))]
#[path = "unix/process.rs"]
mod process;
#[cfg(all(feature = "process", windows))]
#[path = "windows/process.rs"]
mod process;
#[cfg(all(feature = "signal", unix))]
#[path = "unix/signal.rs"]
mod signal;
#[cfg(all(feature = "signal", windows))]
#[path = "windows/signal.rs"]
mod signal;
#[cfg(all(feature = "fs", target_os = "linux", not(compio_portable)))]
#[path = "unix/splice.rs"]
mod splice;
#[cfg(all(feature = "fs", unix))]
#[path = "unix/stdio.rs"]
mod stdio;
#[cfg(all(feature = "fs", windows))]
#[path = "windows/stdio.rs"]
mod stdio;

#[cfg(feature = "fs")]
pub(crate) use fs::{
    SystemDirOptions, file_len, hard_link, open_async, open_direct, remove_dir, remove_file, rename,
};
#[cfg(all(feature = "fs", unix))]
pub(crate) use fs::{open_flags, path_to_c};
#[cfg(feature = "fs")]
pub(crate) use metadata::{Attributes, Entry, Kind};
#[cfg(feature = "net")]
pub use net::UnixSocketAddr;
#[cfg(feature = "net")]
pub(crate) use net::{
    LISTENERS_HAVE_READINESS, MSG_TRUNC, OUT_OF_RESOURCES, duplicate_listener, native_address,
    path_address, reuse_old_ports, sender_address, unix_address, unix_domain,
};
#[cfg(all(feature = "net", windows))]
pub(crate) use net::{share_address, shares_address};
#[cfg(feature = "fs")]
pub(crate) use pipe::{StdFd, wait_readable, wait_writable};
#[cfg(all(feature = "net", unix))]
pub(crate) use platform::{share_address, shares_address};
#[cfg(feature = "fs")]
pub(crate) use stdio::{Input, Output, Which};

#[cfg(feature = "process")]
pub(crate) use process::{Exit, abandon, own, stdio_to_read, stdio_to_write, sweep};
#[cfg(feature = "signal")]
pub(crate) use signal::wait_for_ctrl_c;

/// Public names of `fs` that only some systems have.
#[cfg(feature = "fs")]
pub(crate) mod fs_here {
    #[cfg(unix)]
    pub use super::fs::symlink;
    #[cfg(windows)]
    pub use super::fs::{symlink_dir, symlink_file};
}

/// Public names of `pipe` that only some systems have, and the types of their arguments.
#[cfg(feature = "fs")]
pub(crate) mod pipe_here {
    pub use compio_driver::op::Position;

    #[cfg(unix)]
    pub use super::pipe::OpenOptions;
    #[cfg(all(target_os = "linux", not(compio_portable)))]
    pub use super::splice::splice;
}

/// The signals or console events of one kind of system.
#[cfg(feature = "signal")]
pub(crate) mod signals {
    /// Signals of unix. Empty on other systems.
    pub mod unix {
        #[cfg(unix)]
        pub use crate::sys::{
            print_dumps::print_dumps,
            signal::{Signal, SignalKind, signal},
        };
    }

    /// Console events of Windows. Empty on other systems.
    pub mod windows {
        #[cfg(windows)]
        pub use crate::sys::signal::{
            CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close,
            ctrl_logoff, ctrl_shutdown,
        };
    }
}
