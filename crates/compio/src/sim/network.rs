//! The network between simulated hosts, for programs.

use std::rc::Rc;

use compio_driver::os::simulated::{Fault, HostId, LinkState, World};

use super::{
    Error, NetworkCounts, NetworkFaults,
    here::{find, find_in, here},
};

/// Cuts the links between two hosts or groups of hosts, in both directions, until a [`repair`]. Packets on the way are lost, too. Links
/// inside of a group stay.
///
/// ```
/// use std::{io, time::Duration};
///
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::{TcpListener, TcpStream},
///     sim::{self, Simulation},
///     time,
/// };
///
/// async fn echo() -> io::Result<()> {
///     let listener = TcpListener::bind("0.0.0.0:7").await?;
///     let (mut stream, _) = listener.accept().await?;
///     let (read, bytes) = stream.read_exact([0; 5]).await;
///     read?;
///     stream.write_all(bytes).await.0
/// }
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().seed(7).build();
///     simulation.host("server", echo);
///     simulation.client("client", async {
///         let mut stream = TcpStream::connect("server:7").await?;
///         sim::partition("client", ["server"])?;
///         stream.write_all("hello").await.0?;
///         time::sleep(Duration::from_secs(10)).await;
///         sim::repair("client", ["server"])?;
///         // TCP repeats the lost packet.
///         let (read, answer) = stream.read_exact([0; 5]).await;
///         read?;
///         assert_eq!(&answer, b"hello");
///         Ok::<_, Box<dyn std::error::Error>>(())
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// [`UnknownHost`](super::ErrorKind::UnknownHost), and [`OutsideOfHost`](super::ErrorKind::OutsideOfHost) outside of a simulated
/// host.
pub fn partition(some: impl Hosts, others: impl Hosts) -> Result<(), Error> {
    change(&some, &others, true, LinkState::Partitioned)
}

/// As [`partition`], for packets from the first hosts to the second ones only.
///
/// A stream whose data pass and whose acknowledgements do not is repeated until it fails with `TimedOut`, though the peer has received
/// the data.
///
/// # Errors
///
/// As for [`partition`].
pub fn partition_oneway(from: impl Hosts, to: impl Hosts) -> Result<(), Error> {
    change(&from, &to, false, LinkState::Partitioned)
}

/// Opens the links between two hosts or groups of hosts, in both directions, after a [`partition`] or a [`hold`].
///
/// TCP sends lost packets at its next retransmission: after a partition of `t` seconds, this takes up to `t` seconds, and 120 seconds at
/// most.
///
/// # Errors
///
/// As for [`partition`].
pub fn repair(some: impl Hosts, others: impl Hosts) -> Result<(), Error> {
    change(&some, &others, true, LinkState::Open)
}

/// As [`repair`], for packets from the first hosts to the second ones only.
///
/// # Errors
///
/// As for [`partition`].
pub fn repair_oneway(from: impl Hosts, to: impl Hosts) -> Result<(), Error> {
    change(&from, &to, false, LinkState::Open)
}

/// Holds all packets between two hosts or groups of hosts, in both directions, until a [`release`]. None is lost. As in a partition,
/// TCP fails with `TimedOut` after some 15 minutes, and a connect after 127 seconds.
///
/// # Errors
///
/// As for [`partition`].
pub fn hold(some: impl Hosts, others: impl Hosts) -> Result<(), Error> {
    change(&some, &others, true, LinkState::Held)
}

/// Delivers the packets that were [held](hold), and opens the links. Held datagrams arrive at once, packets of TCP after the time of
/// one packet.
///
/// # Errors
///
/// As for [`partition`].
pub fn release(some: impl Hosts, others: impl Hosts) -> Result<(), Error> {
    repair(some, others)
}

fn change(from: &impl Hosts, to: &impl Hosts, both: bool, state: LinkState) -> Result<(), Error> {
    let (world, caller) = here()?;
    let find_all = |hosts: Vec<&str>| -> Result<Vec<HostId>, Error> {
        let found = hosts.into_iter().map(|name| find_in(&world, name));
        found.collect()
    };
    let groups = [from.names(), to.names()].map(|names| names.join(", "));
    let (from, to) = (find_all(from.names())?, find_all(to.names())?);
    let mut links = Vec::new();
    for &one in &from {
        // A host has no link with itself.
        for &other in to.iter().filter(|other| **other != one) {
            links.push((one, other));
            if both {
                links.push((other, one));
            }
        }
    }
    let name = match state {
        LinkState::Open => None,
        LinkState::Partitioned => Some("partition"),
        LinkState::Held => Some("hold"),
    };
    if let Some(name) = name {
        let [from, to] = groups;
        let text = match both {
            true => format!("{name} between {from} and {to}"),
            false => format!("{name} from {from} to {to}"),
        };
        if !world.permits_call(Fault::Blocked, caller, &links, text) {
            return Ok(());
        }
    }
    for (from, to) in links {
        world.set_link(from, to, state);
    }
    Ok(())
}

/// A host by its name, or a group of hosts: a `&str`, a `String`, and arrays, slices and vectors of them.
///
/// Only the types of this list implement it.
pub trait Hosts: sealed::Names {}

impl<T: sealed::Names + ?Sized> Hosts for T {}

mod sealed {
    pub trait Names {
        fn names(&self) -> Vec<&str>;
    }

    impl Names for str {
        fn names(&self) -> Vec<&str> {
            vec![self]
        }
    }

    impl Names for String {
        fn names(&self) -> Vec<&str> {
            vec![self]
        }
    }

    impl<T: Names> Names for [T] {
        fn names(&self) -> Vec<&str> {
            self.iter().flat_map(T::names).collect()
        }
    }

    impl<T: Names, const N: usize> Names for [T; N] {
        fn names(&self) -> Vec<&str> {
            self.as_slice().names()
        }
    }

    impl<T: Names> Names for Vec<T> {
        fn names(&self) -> Vec<&str> {
            self.as_slice().names()
        }
    }

    impl<T: Names + ?Sized> Names for &T {
        fn names(&self) -> Vec<&str> {
            (**self).names()
        }
    }
}

/// The network of the simulation, to set its faults during a run. [`Simulation::network`](super::Simulation::network) sets them before
/// it.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{
///     net::UdpSocket,
///     sim::{self, NetworkFaults, Simulation},
///     time,
/// };
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().seed(7).build();
///     simulation.host("sink", || async {
///         let _socket = UdpSocket::bind("0.0.0.0:9").await?;
///         std::future::pending::<std::io::Result<()>>().await
///     });
///     simulation.client("client", async {
///         let network = sim::network()?;
///         // Each family of faults is off or on, by the seed. This program wants no resets.
///         network.set(NetworkFaults {
///             reset: 0.0,
///             ..network.draw()
///         });
///         // One link loses each second packet.
///         sim::link("client", "sink")?.set(NetworkFaults {
///             loss: 0.5,
///             ..NetworkFaults::default()
///         });
///         let socket = UdpSocket::bind("0.0.0.0:0").await?;
///         for _ in 0..100 {
///             socket.send_to("datagram", "sink:9").await.0?;
///             time::sleep(Duration::from_millis(10)).await;
///         }
///         assert!(network.counts().lost > 10);
///         // The program has to recover without help.
///         network.calm();
///         Ok::<_, Box<dyn std::error::Error>>(())
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # The model
///
/// | event | result |
/// |---|---|
/// | [`partition`], [`partition_oneway`] | Packets that arrive in it are lost, also those on the way. |
/// | TCP in a partition | The sender repeats after 0.2, 0.6, 1.4, … seconds: each wait is twice as long, up to 120 seconds. Later data wait behind it. |
/// | a repair in time | All bytes arrive once and in order, at the next retransmission. |
/// | 15 retransmissions without an answer, 924.6 seconds | The sender fails with ETIMEDOUT (`TimedOut`). Its peer is not told: it fails if it sends. |
/// | data that arrive, but not their acknowledgement | The peer has them. The sender repeats them, and fails as above. |
/// | a connection without unacknowledged data | It does not notice a partition. There are no keepalive probes. |
/// | a connect in a partition | It repeats after 1, 3, 7, … seconds, and fails with ETIMEDOUT after 127 seconds. |
/// | a close in a partition | Its FIN is repeated as data. A reset is sent once, and lost. |
/// | a host without power | As a partition. After its restart, data of old connections are answered by a reset. |
/// | UDP in a partition | Datagrams are lost, without an error. |
/// | [`hold`], [`release`] | Datagrams and resets wait. TCP repeats at the release, a connect at its next attempt. |
/// | reads of a stream | The sender learns of the room in parts of 1460 bytes, or of half of a smaller receive buffer: small reads cause no small packets. |
/// | [`loss`](NetworkFaults::loss) | A lost segment of TCP is repeated as above. Pure acknowledgements and resets are not lost by chance. |
/// | [`duplicate`](NetworkFaults::duplicate), [`reorder`](NetworkFaults::reorder) | Only datagrams. TCP hides them. |
/// | [`latency`](NetworkFaults::latency), [`slow`](NetworkFaults::slow) | The time of each packet. TCP keeps the order, so later packets wait for a slow one. |
/// | [`bandwidth`](NetworkFaults::bandwidth) | A queue for each direction of a link, which all connections share. Each packet has 40 bytes of headers. Datagrams that would wait more than a second are lost. Retransmissions take no bandwidth. |
/// | [`clog`](NetworkFaults::clog) | Nothing leaves one direction for a while, nothing is lost. |
/// | [`reset`](NetworkFaults::reset) | Both sides fail with ECONNRESET (`ConnectionReset`) when a segment arrives. Bytes that were not received are lost. |
/// | [`mtu`](NetworkFaults::mtu) | A longer datagram is sent in fragments, as Linux does without `IP_MTU_DISCOVER`: `EMSGSIZE` only above 65,507 bytes. |
/// | a write of TCP that is longer than a packet | Two segments, cut by the seed. So one read may get a part of a write. |
/// | segments that arrive together, because the first is slower | One read may get several writes. |
/// | packets inside of a host | No faults, 20 µs. |
///
/// Families of faults are independent, and each chance of 0.0 switches one off. [`Network::draw`] switches each off in half of the
/// seeds: a program that meets all faults always is not tested without them.
///
/// Faults have a random stream of their own: they do not change the draws of latencies and hosts. A link has a state only after a call
/// that names it, or with a limited bandwidth or a clog, so that a network of many hosts needs no memory for each pair.
///
/// # Not modelled
///
/// - Congestion control, slow start, fast retransmission, selective acknowledgements.
/// - Corrupt packets: the checksum of TCP and UDP turns them into losses.
/// - Keepalive probes and `TCP_USER_TIMEOUT`.
/// - ICMP errors other than an unreachable port of UDP.
///
/// # Sources
///
/// - RFC 9293, section 3.8.6.2.2, about announcements of room.
/// - tcp(7) of Linux, `tcp_retries2` and `tcp_syn_retries`, with their defaults.
/// - TigerBeetle, `vopr.zig`, and FoundationDB, `sim2`: families of faults by the seed, clogged links, rare slow packets.
/// - turmoil: the names of `partition`, `repair`, `hold` and `release`.
///
/// # Errors
///
/// [`OutsideOfHost`](super::ErrorKind::OutsideOfHost) outside of a simulated host.
pub fn network() -> Result<Network, Error> {
    let (world, _) = here()?;
    Ok(Network { world })
}

/// The network of a simulation, made by [`network`].
#[derive(Debug)]
pub struct Network {
    world: Rc<World>,
}

impl Network {
    /// Replaces the faults of all links without faults of their own, for packets from now on.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, if a range is empty, if the bandwidth is 0, or if the MTU is less than 68.
    #[track_caller]
    pub fn set(&self, faults: NetworkFaults) {
        self.world.set_network_faults(faults);
    }

    /// The faults as they are set.
    pub fn faults(&self) -> NetworkFaults {
        self.world.network_faults()
    }

    /// Faults by the seed, to be [set](Self::set) here or on a [`Link`]: each family is off with a probability of one half. Each call
    /// draws others.
    pub fn draw(&self) -> NetworkFaults {
        self.world.draw_network_faults()
    }

    /// The begin of a calm phase: opens and releases all links, and removes all faults, also of single links. A program that does not
    /// recover after it has an error.
    pub fn calm(&self) {
        self.world.calm_network();
    }

    /// The packets and the faults since the begin of the simulation, over all links. A test can assert that it met a fault.
    pub fn counts(&self) -> NetworkCounts {
        self.world.network_counts()
    }
}

/// The link between two hosts, to set its faults. [`Simulation::link`](super::Simulation::link) sets them before the run. See
/// [`network`] for the model.
///
/// # Errors
///
/// As for [`partition`].
pub fn link(from: &str, to: &str) -> Result<Link, Error> {
    let (world, from) = find(from)?;
    let to = find_in(&world, to)?;
    Ok(Link { world, from, to })
}

/// The link between two hosts, made by [`link`].
#[derive(Debug)]
pub struct Link {
    world: Rc<World>,
    from: HostId,
    to: HostId,
}

impl Link {
    /// Replaces the faults of both directions, for packets from now on. They take the place of the faults of the network.
    ///
    /// # Panics
    ///
    /// As [`Network::set`].
    #[track_caller]
    pub fn set(&self, faults: NetworkFaults) {
        self.world
            .set_link_faults(self.to, self.from, Some(faults.clone()));
        self.set_oneway(faults);
    }

    /// Replaces the faults of packets from the first host to the second one.
    ///
    /// # Panics
    ///
    /// As [`Network::set`].
    #[track_caller]
    pub fn set_oneway(&self, faults: NetworkFaults) {
        self.world.set_link_faults(self.from, self.to, Some(faults));
    }

    /// Removes the link's own faults: both directions have the faults of the network.
    pub fn unset(&self) {
        self.world.set_link_faults(self.from, self.to, None);
        self.world.set_link_faults(self.to, self.from, None);
    }

    /// The faults of packets from the first host to the second one.
    pub fn faults(&self) -> NetworkFaults {
        self.world.link_faults(self.from, self.to)
    }
}
