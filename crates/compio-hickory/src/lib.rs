//! DNS on compio: a resolver that asks name servers itself, by [hickory](hickory_resolver).
//!
//! [`HickoryResolver`] is a [`Resolve`] for [`Connector`](compio::net::Connector). The resolver of the system,
//! [`SystemResolver`](compio::net::SystemResolver), runs `getaddrinfo` on threads. This one sends its queries from
//! the runtime: it uses no threads, caches answers as long as their time to live, and a dropped look-up sends no
//! further queries. It reads the hosts file and `resolv.conf`, but no other sources of the system, such as mDNS
//! or `nsswitch.conf`.
//!
//! ```no_run
//! use compio::net::{Connector, TcpStream};
//! use compio_hickory::HickoryResolver;
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let connector = Connector::with_resolver(HickoryResolver::from_system()?);
//!     let stream: TcpStream = connector.connect("example.org", 80).await?;
//!     println!("connected to {}", stream.peer_addr()?);
//!     Ok(())
//! }
//! ```
//!
//! [`Provider`] runs any other part of hickory on compio, for instance look-ups of MX records.

#![forbid(unsafe_code)]

mod provider;

use std::{fmt, io, marker::PhantomData, net::SocketAddr, rc::Rc};

use compio::net::Resolve;
use hickory_resolver::{Resolver, net::NetError};

pub use hickory_resolver;

pub use crate::provider::{DnsTcpStream, DnsTime, DnsUdpSocket, Provider, Spawner};

/// A resolver that asks name servers.
///
/// A clone shares the cache and the connections to the name servers. It belongs to the runtime that uses it
/// first, and is not [`Send`]: make one on each thread.
#[derive(Clone)]
pub struct HickoryResolver {
    resolver: Resolver<Provider>,
    /// Sockets stay on their thread.
    _not_send: PhantomData<Rc<()>>,
}

impl HickoryResolver {
    /// Uses the configuration of the system: `/etc/resolv.conf` and the hosts file, or the registry on Windows.
    ///
    /// It blocks while it reads these files.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub fn from_system() -> io::Result<Self> {
        let builder = Resolver::builder(Provider).map_err(io_error)?;
        Ok(Self::from(builder.build().map_err(io_error)?))
    }

    /// The resolver of hickory, for other types of records.
    pub fn get_ref(&self) -> &Resolver<Provider> {
        &self.resolver
    }
}

/// A resolver with a configuration of its own: other name servers, time limits, search domains.
///
/// ```
/// use std::time::Duration;
///
/// use compio_hickory::{
///     HickoryResolver, Provider,
///     hickory_resolver::{
///         Resolver,
///         config::{NameServerConfig, ResolverConfig},
///     },
/// };
///
/// let server = NameServerConfig::udp_and_tcp([127, 0, 0, 53].into());
/// let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
/// let mut builder = Resolver::builder_with_config(config, Provider);
/// builder.options_mut().timeout = Duration::from_secs(1);
/// let resolver = HickoryResolver::from(builder.build().unwrap());
/// # drop(resolver);
/// ```
impl From<Resolver<Provider>> for HickoryResolver {
    fn from(resolver: Resolver<Provider>) -> Self {
        Self {
            resolver,
            _not_send: PhantomData,
        }
    }
}

impl Resolve for HickoryResolver {
    /// The addresses of a host in the order of hickory's `ip_strategy`, IPv6 first by default.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](io::ErrorKind::NotFound): the name does not exist, or has no address.
    /// - [`TimedOut`](io::ErrorKind::TimedOut): no name server has answered in time.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the host is not a domain name.
    /// - Errors of the sockets, and [`Other`](io::ErrorKind::Other): a name server has refused the query.
    ///
    /// # Cancellation
    ///
    /// The look-up sends no further queries.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.resolver.lookup_ip(host).await.map_err(io_error)?;
        Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// The error of a look-up, as std gives them.
fn io_error(error: NetError) -> io::Error {
    let kind = if error.is_no_records_found() {
        io::ErrorKind::NotFound
    } else if let NetError::Io(error) = &error {
        error.kind()
    } else if matches!(error, NetError::Timeout) {
        io::ErrorKind::TimedOut
    } else if matches!(error, NetError::Proto(_)) {
        io::ErrorKind::InvalidInput
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, error)
}

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HickoryResolver")
            .field(&self.resolver)
            .finish()
    }
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
