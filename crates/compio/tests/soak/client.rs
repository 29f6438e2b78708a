//! Foreign peers: plain sockets of blocking threads. Their actions are random, from the seed; the OS
//! determines the order.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    ops::AddAssign,
    thread,
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{LONG, random::Random, server::Service};

/// The address of a server.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) domain: Domain,
    pub(crate) address: SockAddr,
}

/// Counts of the clients.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) connections: usize,
    /// Connections that sent bytes and expected them back.
    pub(crate) asked: usize,
    /// Connections that got all bytes back.
    pub(crate) answered: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.asked += other.asked;
        self.answered += other.answered;
    }
}

/// How a client ends a connection.
const ENDINGS: [fn(&mut Peer, &mut Random) -> io::Result<()>; 6] = [
    Peer::leave,
    Peer::finish,
    Peer::reset,
    Peer::keep_silent,
    Peer::read_slowly,
    Peer::shut_reading,
];

/// Makes `count` connections, a few at a time.
pub(crate) fn visit(mut random: Random, places: &[Place], count: usize) -> Tally {
    let mut tally = Tally::default();
    while tally.connections < count {
        let group = 1 + random.below(8);
        let mut peers: Vec<_> = (0..group)
            .filter_map(|_| Peer::connect(&places[random.below(places.len())]))
            .collect();
        tally.connections += group;
        // The last first, not in the order of the accepts.
        while let Some(mut peer) = peers.pop() {
            // The server may have closed the connection; assertions check the rest.
            let _ = peer.converse(&mut random, &mut tally);
        }
    }
    tally
}

struct Peer(Socket);

impl Peer {
    /// `None` if no port is free, or the listener is closed.
    fn connect(place: &Place) -> Option<Self> {
        let socket = Socket::new(place.domain, Type::STREAM, None).expect("a socket");
        socket.set_read_timeout(Some(LONG)).expect("an option");
        socket.set_write_timeout(Some(LONG)).expect("an option");
        socket.connect(&place.address).ok()?;
        Some(Self(socket))
    }

    fn converse(&mut self, random: &mut Random, tally: &mut Tally) -> io::Result<()> {
        if random.once_in(12) {
            // Sends no byte.
            return ENDINGS[random.below(ENDINGS.len())](self, random);
        }
        let service = Service::drawn(random);
        self.0.write_all(&[service as u8])?;
        if service.returns_all() && !random.once_in(3) {
            tally.asked += 1;
            tally.answered += usize::from(self.exchange(random)?);
            return Ok(());
        }
        if random.once_in(2) {
            self.0.write_all(&vec![7; random.below(3000)])?;
        }
        if random.once_in(3) {
            thread::sleep(random.micros_below(1000));
        }
        ENDINGS[random.below(ENDINGS.len())](self, random)
    }

    /// Sends bytes and expects them back. Returns whether all of them came.
    fn exchange(&mut self, random: &mut Random) -> io::Result<bool> {
        let first = random.below(251);
        let sent: Vec<u8> = (0..1 + random.below(8000))
            .map(|place| ((first + place) % 251) as u8)
            .collect();
        self.0.write_all(&sent)?;
        self.0.shutdown(Shutdown::Write)?;
        let mut came = Vec::new();
        let end = self.0.read_to_end(&mut came);
        assert!(
            sent.starts_with(&came),
            "received bytes differ from sent ones"
        );
        self.must_not_hang(&end);
        Ok(came == sent)
    }

    /// Checks that a read that waits for EOF does not time out.
    fn must_not_hang(&self, end: &io::Result<usize>) {
        let is_hanging = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(!end.as_ref().is_err_and(is_hanging), "EOF does not come");
    }

    fn leave(&mut self, _: &mut Random) -> io::Result<()> {
        Ok(())
    }

    /// Shuts down its own direction, and reads to EOF.
    fn finish(&mut self, _: &mut Random) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)?;
        let end = self.0.read_to_end(&mut Vec::new());
        self.must_not_hang(&end);
        end.map(drop)
    }

    /// The other end sees an error instead of EOF.
    fn reset(&mut self, _: &mut Random) -> io::Result<()> {
        self.0.set_linger(Some(Duration::ZERO))
    }

    fn keep_silent(&mut self, random: &mut Random) -> io::Result<()> {
        thread::sleep(random.micros_below(4000));
        Ok(())
    }

    fn read_slowly(&mut self, random: &mut Random) -> io::Result<()> {
        // There may be no bytes to read.
        self.0.set_read_timeout(Some(Duration::from_millis(1)))?;
        for _ in 0..random.below(8) {
            thread::sleep(random.micros_below(1000));
            if self.0.read(&mut [0; 500])? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn shut_reading(&mut self, random: &mut Random) -> io::Result<()> {
        self.0.shutdown(Shutdown::Read)?;
        self.0.write_all(b"and one more")?;
        thread::sleep(random.micros_below(500));
        Ok(())
    }
}
