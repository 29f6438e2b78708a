//! Connections to host names: resolution, and attempts that overlap.

use std::{
    future::{Future, poll_fn},
    io, mem,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use compio_driver::os_calls::resolve;

use super::{
    TcpStream,
    address::{look_up, no_address},
};
use crate::time::{Sleep, sleep};

/// The time between two attempts, as RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Resolves host names. [`Connector`] uses it.
///
/// ```
/// use std::{io, net::SocketAddr};
///
/// use compio::net::{Connector, Resolve};
///
/// /// Knows one host.
/// struct Fixed;
///
/// impl Resolve for Fixed {
///     async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
///         match host {
///             "db.internal" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
///             _ => Err(io::Error::new(io::ErrorKind::NotFound, "unknown host")),
///         }
///     }
/// }
///
/// compio::task::block_on(async {
///     let connector = Connector::with_resolver(Fixed);
///     assert!(connector.connect("elsewhere", 80).await.is_err());
/// });
/// ```
#[expect(async_fn_in_trait, reason = "futures stay on their thread")]
pub trait Resolve {
    /// The addresses of a host, with this port, the preferred one first.
    ///
    /// # Errors
    ///
    /// The host is unknown, or the resolver cannot be reached.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

impl<R: Resolve + ?Sized> Resolve for &R {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (**self).resolve(host, port).await
    }
}

/// The resolver of the system: getaddrinfo(3).
///
/// It runs on threads of its own. All runtimes of the process share at most 32, and further names wait. So a name
/// server that does not answer takes no thread from files and from
/// [`spawn_blocking`](crate::task::spawn_blocking). The crate `compio-hickory` resolves without threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        look_up(move || resolve::host(&host, port)).await
    }
}

/// Connects to host names by the algorithm of RFC 8305, "Happy Eyeballs".
///
/// It alternates between the address families of a host, and begins with the family of its first address. Each
/// further attempt starts when an attempt has failed, or after 250 ms. The first connection wins, and the other attempts
/// are cancelled. So an address that does not answer delays a connection by 250 ms, not by minutes.
///
/// [`TcpStream::connect`] does the same for names, with the resolver of the system.
///
/// ```no_run
/// use compio::net::Connector;
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let stream = Connector::new().connect("example.com", 80).await?;
///     println!("connected to {}", stream.peer_addr()?);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Connector<R = SystemResolver> {
    resolver: R,
    attempt_delay: Duration,
}

impl Connector {
    /// A connector with the resolver of the system.
    pub fn new() -> Self {
        Self::with_resolver(SystemResolver)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Resolve> Connector<R> {
    /// A connector with this resolver.
    pub fn with_resolver(resolver: R) -> Self {
        Self {
            resolver,
            attempt_delay: ATTEMPT_DELAY,
        }
    }

    /// The time after which the next attempt starts beside a slow one. RFC 8305 recommends 100 ms to 2 s.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay;
        self
    }

    /// Connects to a host, which may be an IP address.
    ///
    /// # Cancellation
    ///
    /// All attempts are cancelled, and a connection that was established is closed.
    ///
    /// # Errors
    ///
    /// The error of the resolver; [`InvalidInput`](io::ErrorKind::InvalidInput) if it returns no address; or the error
    /// of the attempt that failed last, for instance `ConnectionRefused`.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.resolver.resolve(host, port).await?,
        };
        connect_first(addresses, self.attempt_delay).await
    }
}

/// Connects to the first of the addresses that answers, with the delays of [`Connector::new`].
pub(super) async fn connect_by_name(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    connect_first(addresses, ATTEMPT_DELAY).await
}

async fn connect_first(addresses: Vec<SocketAddr>, delay: Duration) -> io::Result<TcpStream> {
    let mut attempts = Attempts {
        addresses: alternate_families(addresses).into_iter(),
        running: Vec::new(),
        delay,
        next: sleep(Duration::ZERO),
        last_error: None,
    };
    poll_fn(|cx| attempts.poll(cx)).await
}

/// Alternates between the families, beginning with the first address. The order within a family stays.
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first_ipv4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let is_of_first = |address: &SocketAddr| address.is_ipv4() == is_first_ipv4;
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_of_first);
    let mut second = second.into_iter();
    let mut alternated = Vec::with_capacity(first.len() + second.len());
    for address in first {
        alternated.push(address);
        alternated.extend(second.next());
    }
    alternated.extend(second);
    alternated
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// The attempts to connect to the addresses of one host.
struct Attempts {
    addresses: std::vec::IntoIter<SocketAddr>,
    running: Vec<Attempt>,
    delay: Duration,
    /// Ends when the next attempt is due.
    next: Sleep,
    last_error: Option<io::Error>,
}

impl Attempts {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            let mut has_failed = false;
            for mut attempt in mem::take(&mut self.running) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        self.last_error = Some(error);
                        has_failed = true;
                    }
                    Poll::Pending => self.running.push(attempt),
                }
            }
            let is_due = has_failed
                || self.running.is_empty()
                || Pin::new(&mut self.next).poll(cx).is_ready();
            if is_due && let Some(address) = self.addresses.next() {
                self.running.push(Box::pin(TcpStream::connect_to(address)));
                self.next = sleep(self.delay);
            } else if self.running.is_empty() {
                return Poll::Ready(Err(self.last_error.take().unwrap_or_else(no_address)));
            } else {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::alternate_families;

    #[test]
    fn families_alternate_from_first_one() {
        let parse = |list: &str| list.split(' ').map(|a| a.parse().unwrap()).collect();
        let check = |from: &str, to: &str| {
            let to: Vec<_> = parse(to);
            assert_eq!(alternate_families(parse(from)), to);
        };
        check(
            "[::1]:1 [::2]:1 1.1.1.1:1 2.2.2.2:1",
            "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1",
        );
        check("1.1.1.1:1 2.2.2.2:1 [::1]:1", "1.1.1.1:1 [::1]:1 2.2.2.2:1");
        check(
            "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1",
            "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1",
        );
        check("[::2]:1 [::1]:1", "[::2]:1 [::1]:1");
        assert!(alternate_families(Vec::new()).is_empty());
    }
}
