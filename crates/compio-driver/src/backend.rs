//! The names of backends, and the reason of a selection.

use std::{fmt, io, str::FromStr};

use crate::sys;

/// A kernel interface that this crate can drive.
///
/// [`FromStr`] parses the names `io-uring`, `iocp` and `poll`. Other spellings of io_uring are
/// `io_uring` and `uring`, and `epoll` means `poll`.
///
/// ```
/// use compio::driver::BackendKind;
///
/// assert_eq!("io_uring".parse::<BackendKind>().unwrap(), BackendKind::IoUring);
/// assert_eq!(BackendKind::IoUring.to_string(), "io-uring");
/// assert!("select".parse::<BackendKind>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// Linux's io_uring.
    IoUring,
    /// Windows' completion ports. They need Windows 10 or Windows Server 2016, as std does: all calls that the
    /// backend relies on are older. On older builds of Windows 10, less is there: timers of high resolution need
    /// 1803, and coalesced datagrams 2004.
    Iocp,
    /// Readiness (epoll, kqueue, event ports), and a thread pool for requests without readiness.
    Poll,
    /// A kernel in memory. Drivers that are made in a host of `compio::sim` have it, and no others: it cannot be
    /// chosen.
    #[cfg(feature = "sim")]
    Simulated,
}

/// Which backend runs, and why.
#[derive(Debug, Clone)]
pub struct Backend {
    pub(crate) kind: BackendKind,
    pub(crate) why: String,
}

impl Backend {
    /// The kind of the backend.
    pub fn kind(&self) -> BackendKind {
        self.kind
    }

    /// The reason of the selection, in words.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.why)
    }
}

impl BackendKind {
    /// The backend that `COMPIO_BACKEND` names, if it is set.
    pub(crate) fn from_env() -> io::Result<Option<Self>> {
        let Some(name) = std::env::var_os("COMPIO_BACKEND") else {
            return Ok(None);
        };
        if name.is_empty() {
            return Ok(None);
        }
        let kind = Self::named(&name.to_string_lossy()).ok_or_else(|| {
            let message = format!("COMPIO_BACKEND is {}: {}", name.display(), Self::choice());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(Some(kind))
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "io-uring" | "io_uring" | "uring" => Some(Self::IoUring),
            "iocp" => Some(Self::Iocp),
            "poll" | "epoll" => Some(Self::Poll),
            _ => None,
        }
    }

    /// The names to choose from on this system.
    pub(crate) fn choice() -> String {
        let names: Vec<_> = sys::BACKENDS.iter().map(Self::to_string).collect();
        format!("it must be {}", names.join(" or "))
    }
}

impl FromStr for BackendKind {
    type Err = io::Error;

    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if no backend has this name. The message lists the
    /// backends of this system.
    fn from_str(name: &str) -> io::Result<Self> {
        Self::named(name).ok_or_else(|| {
            let message = format!("no backend is called {name:?}: {}", Self::choice());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io-uring",
            Self::Iocp => "iocp",
            Self::Poll => "poll",
            #[cfg(feature = "sim")]
            Self::Simulated => "simulated",
        })
    }
}
