//! Name resolution: from host names to socket addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    slice,
};

use compio_driver::{op::Blocking, os_calls::resolve};

use crate::runtime::submit;

/// A value that converts to socket addresses, as [`std::net::ToSocketAddrs`]. A host name is looked
/// up on another thread, so that no task waits for it.
pub trait ToSocketAddrs: sealed::Lookup {}

impl<T: sealed::Lookup + ?Sized> ToSocketAddrs for T {}

pub(super) mod sealed {
    use std::net::SocketAddr;

    /// The addresses as far as they are known without a lookup.
    #[derive(Debug)]
    pub enum Target {
        /// The common case, which costs no memory.
        One(SocketAddr),
        Several(Vec<SocketAddr>),
        /// Needs a lookup, as `host:port`.
        Name(String),
        /// Needs a lookup.
        HostAndPort(String, u16),
    }

    pub trait Lookup {
        fn target(&self) -> Target;
    }
}

use sealed::{Lookup, Target};

/// The addresses of a target.
pub(super) enum Addresses {
    One(SocketAddr),
    Several(Vec<SocketAddr>),
    /// Found by a lookup.
    OfName(Vec<SocketAddr>),
}

impl Addresses {
    pub(super) fn as_slice(&self) -> &[SocketAddr] {
        match self {
            Self::One(address) => slice::from_ref(address),
            Self::Several(addresses) | Self::OfName(addresses) => addresses,
        }
    }
}

/// Looks a host up on another thread: all its addresses, in the resolver's order.
///
/// ```
/// use compio::net::lookup_host;
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         for address in lookup_host("localhost:80").await? {
///             println!("{address}");
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// A lookup that a thread has started continues, and its result is discarded.
///
/// # Errors
///
/// The error of the resolver; [`InvalidInput`](io::ErrorKind::InvalidInput) if a string has no
/// port.
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr> + use<T>> {
    Ok(match resolve(&host).await? {
        Addresses::One(address) => vec![address],
        Addresses::Several(addresses) | Addresses::OfName(addresses) => addresses,
    }
    .into_iter())
}

/// All addresses of the target, in the resolver's order.
pub(super) async fn resolve(address: &(impl ToSocketAddrs + ?Sized)) -> io::Result<Addresses> {
    match address.target() {
        Target::One(address) => Ok(Addresses::One(address)),
        Target::Several(addresses) => Ok(Addresses::Several(addresses)),
        Target::Name(name) => look_up(move || resolve::host_with_port(&name))
            .await
            .map(Addresses::OfName),
        Target::HostAndPort(host, port) => look_up(move || resolve::host(&host, port))
            .await
            .map(Addresses::OfName),
    }
}

pub(super) async fn look_up<F>(lookup: F) -> io::Result<Vec<SocketAddr>>
where
    F: FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    // Not a task: dropping the future takes the lookup out of the thread pool's queue.
    match submit(Blocking::resolving(lookup)).await? {
        Ok(found) => found,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The first address.
pub(super) async fn first(address: &(impl ToSocketAddrs + ?Sized)) -> io::Result<SocketAddr> {
    let addresses = resolve(address).await?;
    addresses
        .as_slice()
        .first()
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send to"))
}

/// Tries each address of a target in turn; the last error counts.
pub(super) async fn each<T>(
    address: &(impl ToSocketAddrs + ?Sized),
    attempt: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    each_of(resolve(address).await?.as_slice(), attempt).await
}

/// Tries each address in turn; the last error counts.
pub(super) async fn each_of<T>(
    addresses: &[SocketAddr],
    mut attempt: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last_error = None;
    for address in addresses {
        match attempt(*address).await {
            Ok(value) => return Ok(value),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(no_address))
}

/// The error of a host without addresses, as of std.
pub(super) fn no_address() -> io::Error {
    let text = "could not resolve to any addresses";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

macro_rules! known {
    ($($type:ty),* $(,)?) => {$(
        impl Lookup for $type {
            fn target(&self) -> Target {
                Target::One(SocketAddr::from(*self))
            }
        }
    )*};
}

known!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
);

impl Lookup for [SocketAddr] {
    fn target(&self) -> Target {
        Target::Several(self.to_vec())
    }
}

impl Lookup for str {
    fn target(&self) -> Target {
        match self.parse() {
            Ok(address) => Target::One(address),
            Err(_) => Target::Name(self.into()),
        }
    }
}

impl Lookup for String {
    fn target(&self) -> Target {
        self.as_str().target()
    }
}

impl Lookup for (&str, u16) {
    fn target(&self) -> Target {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Target::One(SocketAddr::new(ip, port)),
            Err(_) => Target::HostAndPort(host.into(), port),
        }
    }
}

impl Lookup for (String, u16) {
    fn target(&self) -> Target {
        (self.0.as_str(), self.1).target()
    }
}

impl<T: Lookup + ?Sized> Lookup for &T {
    fn target(&self) -> Target {
        (**self).target()
    }
}
