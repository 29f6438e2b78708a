//! The faults of networks: their settings, and the counts of a run.

use std::{ops::RangeInclusive, time::Duration};

use crate::sys::simulated::rng::Rng;

/// The settings of a network, or of one link. The default has no faults.
///
/// Each chance is a probability per packet: 0.0 is never, 1.0 is always. A segment of TCP is a packet, with the bytes of one
/// write. A write of more than an MTU has two segments. Packets inside of a host meet no faults.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkFaults {
    /// The chance that a packet is lost. TCP repeats its packets, so that a loss is a delay of 200 milliseconds or more.
    pub loss: f64,
    /// The chance that a datagram arrives twice. Each copy has a time of its own.
    pub duplicate: f64,
    /// The chance that a datagram takes a time of the range `reorder_by` in addition, so that later ones overtake it.
    pub reorder: f64,
    /// The additional time of a reordered datagram: uniform in this range, 1 to 20 milliseconds by default.
    pub reorder_by: RangeInclusive<Duration>,
    /// The time that a packet takes: uniform in this range. `None`, the default, is the range of the builder.
    pub latency: Option<RangeInclusive<Duration>>,
    /// The chance that a packet is slow: it takes a time of the range `slow_by` in addition. Later packets of its TCP stream wait for it.
    pub slow: f64,
    /// The additional time of a slow packet: uniform in this range, 10 to 100 milliseconds by default.
    pub slow_by: RangeInclusive<Duration>,
    /// The bytes per second of each direction of a link. Packets wait in a queue; a datagram that would wait for more than
    /// one second is lost. Without a limit by default.
    pub bandwidth: Option<u64>,
    /// The chance that a packet clogs its direction of the link: nothing leaves for a time of the range `clog_for`.
    pub clog: f64,
    /// The time of a clog: uniform in this range, 0.1 to 5 seconds by default.
    pub clog_for: RangeInclusive<Duration>,
    /// The chance that a segment of TCP meets a reset of its connection: both sides fail with ECONNRESET, and bytes are lost.
    pub reset: f64,
    /// The length of the longest packet with its headers, 1500 by default. A longer datagram is sent in fragments, as Linux does by
    /// default. It is lost with any of them. A longer write of TCP is sent in two segments.
    pub mtu: usize,
}

/// The packets and the faults of a network since the begin: a test that met no faults has tested nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkCounts {
    /// Packets between hosts, without retransmissions.
    pub packets: u64,
    /// Packets that were lost by [`loss`](NetworkFaults::loss), or in a full queue.
    pub lost: u64,
    /// Packets that met a partition, a held link or a host without power.
    pub blocked: u64,
    /// Retransmissions of TCP, also the lost ones.
    pub retransmissions: u64,
    /// Connections that failed with ETIMEDOUT after the last retransmission.
    pub timeouts: u64,
    /// Duplicated datagrams.
    pub duplicated: u64,
    /// Reordered datagrams.
    pub reordered: u64,
    /// Slow packets.
    pub slow: u64,
    /// Clogs of links.
    pub clogs: u64,
    /// Connections that were reset by [`reset`](NetworkFaults::reset).
    pub resets: u64,
}

impl Default for NetworkFaults {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(1)..=Duration::from_millis(20),
            latency: None,
            slow: 0.0,
            slow_by: Duration::from_millis(10)..=Duration::from_millis(100),
            bandwidth: None,
            clog: 0.0,
            clog_for: Duration::from_millis(100)..=Duration::from_secs(5),
            reset: 0.0,
            mtu: 1500,
        }
    }
}

impl NetworkFaults {
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, if a range is empty, if the bandwidth is 0, or if the MTU is less than 68.
    #[track_caller]
    pub(super) fn check(&self) {
        let chances = [
            self.loss,
            self.duplicate,
            self.reorder,
            self.slow,
            self.clog,
            self.reset,
        ];
        for chance in chances {
            assert!(
                (0.0..=1.0).contains(&chance),
                "a chance of {chance} is not in 0.0..=1.0"
            );
        }
        let ranges = [&self.reorder_by, &self.slow_by, &self.clog_for];
        for range in ranges.into_iter().chain(&self.latency) {
            assert!(!range.is_empty(), "the range of a network's times is empty");
        }
        assert!(self.bandwidth != Some(0), "a bandwidth of 0 moves nothing");
        assert!(self.mtu >= 68, "an MTU of {} is less than 68", self.mtu);
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut rate = |max: f64| {
            let fraction = rng.fraction();
            if rng.coin() { fraction * max } else { 0.0 }
        };
        let mut faults = Self {
            loss: rate(0.1),
            duplicate: rate(0.1),
            reorder: rate(0.2),
            slow: rate(0.02),
            clog: rate(0.005),
            reset: rate(0.001),
            ..Self::default()
        };
        let (has_latency, longest) = (rng.coin(), 1 + rng.below(100));
        if has_latency {
            faults.latency = Some(Duration::from_micros(100)..=Duration::from_millis(longest));
        }
        // From 8 KiB to 8 MiB per second, by powers of two.
        let (has_bandwidth, power) = (rng.coin(), rng.below(11));
        if has_bandwidth {
            faults.bandwidth = Some(8192 << power);
        }
        faults
    }
}
