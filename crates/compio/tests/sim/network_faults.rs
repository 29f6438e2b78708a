//! Faults of networks: loss, duplicates, reordering, times, bandwidth, resets.

use std::{
    cell::Cell,
    error::Error,
    future::pending,
    io::{self, ErrorKind},
    ops::RangeInclusive,
    rc::Rc,
    time::Duration,
};

use compio::{
    fs,
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sim::{self, DiskFaults, NetworkCounts, NetworkFaults, Report, Simulation},
    task, time,
};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

fn now() -> Duration {
    sim::elapsed().unwrap()
}

/// Sends numbered datagrams of this length, one each 10 milliseconds, over a network with these faults. Returns the numbers in the order of
/// their arrival.
fn datagrams(faults: NetworkFaults, count: u32, len: usize) -> (Vec<u32>, NetworkCounts) {
    let log = Log::default();
    let seen = log.clone();
    let counts = Rc::new(Cell::new(NetworkCounts::default()));
    let last_counts = Rc::clone(&counts);
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.network(faults);
    simulation.host("receiver", move || {
        let log = log.clone();
        async move {
            let socket = UdpSocket::bind("0.0.0.0:9").await?;
            loop {
                let (received, bytes) = socket.recv_from(Vec::with_capacity(66_000)).await;
                received?;
                let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
                log.add(number.to_string());
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            io::Result::Ok(())
        }
    });
    simulation.client("sender", async move {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        for number in 0..count {
            let mut bytes = vec![0; len];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            socket.send_to(bytes, "receiver:9").await.0?;
            time::sleep(Duration::from_millis(10)).await;
        }
        // Clogs may follow each other.
        time::sleep(60 * SECOND).await;
        counts.set(sim::network().unwrap().counts());
        io::Result::Ok(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let numbers = seen.entries();
    let numbers = numbers.iter().map(|number| number.parse().unwrap());
    (numbers.collect(), last_counts.get())
}

#[test]
fn perfect_network_keeps_datagrams() {
    let (numbers, counts) = datagrams(NetworkFaults::default(), 1000, 100);
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    assert_eq!((counts.packets, counts.lost), (1000, 0));
}

#[test]
fn loss_has_its_rate() {
    let faults = NetworkFaults {
        loss: 0.2,
        ..NetworkFaults::default()
    };
    let (numbers, counts) = datagrams(faults, 2000, 100);
    assert!((1500..1700).contains(&numbers.len()), "{}", numbers.len());
    assert_eq!(counts.lost, 2000 - numbers.len() as u64);
    assert!(numbers.is_sorted());
}

#[test]
fn long_datagram_is_lost_with_any_fragment() {
    let faults = NetworkFaults {
        loss: 0.1,
        ..NetworkFaults::default()
    };
    // 7 fragments: 0.9^7 is 48 %.
    let (numbers, _) = datagrams(faults.clone(), 1000, 9000);
    assert!((420..540).contains(&numbers.len()), "{}", numbers.len());
    let jumbo = NetworkFaults {
        mtu: 9100,
        ..faults
    };
    let (numbers, _) = datagrams(jumbo, 1000, 9000);
    assert!((850..950).contains(&numbers.len()), "{}", numbers.len());
}

#[test]
fn duplicates_arrive_twice() {
    let faults = NetworkFaults {
        duplicate: 0.1,
        ..NetworkFaults::default()
    };
    let (mut numbers, counts) = datagrams(faults, 1000, 100);
    assert!((1050..1150).contains(&numbers.len()), "{}", numbers.len());
    assert_eq!(counts.duplicated, numbers.len() as u64 - 1000);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1000);
}

#[test]
fn reordered_datagrams_are_overtaken() {
    let faults = NetworkFaults {
        reorder: 0.1,
        reorder_by: Duration::from_millis(15)..=Duration::from_millis(30),
        ..NetworkFaults::default()
    };
    let (mut numbers, counts) = datagrams(faults, 1000, 100);
    let overtaken = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((50..150).contains(&overtaken), "{overtaken}");
    assert!((50..150).contains(&counts.reordered), "{counts:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
}

#[test]
fn full_queue_loses_datagrams() {
    let faults = NetworkFaults {
        bandwidth: Some(10_000),
        ..NetworkFaults::default()
    };
    // 100 KB a second for 10 seconds.
    let (numbers, counts) = datagrams(faults, 1000, 960);
    assert!((100..130).contains(&numbers.len()), "{}", numbers.len());
    assert_eq!(counts.lost, 1000 - numbers.len() as u64);
}

/// Sends bytes to a server, which answers with their number.
async fn upload(len: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect("server:80").await?;
    stream.write_all(vec![7; len]).await.0?;
    stream.shutdown().await?;
    let (read, answer) = stream.read_exact([0; 8]).await;
    read?;
    assert_eq!(u64::from_le_bytes(answer), len as u64);
    Ok(())
}

async fn counter() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        task::spawn(async move {
            let (read, bytes) = stream.read_to_end(Vec::new()).await;
            read?;
            assert!(bytes.iter().all(|byte| *byte == 7));
            let len = bytes.len() as u64;
            stream.write_all(len.to_le_bytes()).await.0
        })
        .detach();
    }
}

/// The time of uploads over a network with these faults.
fn time_of_uploads(faults: NetworkFaults, count: usize, len: usize) -> Duration {
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", counter);
    simulation.network(faults);
    simulation.client("client", async move {
        let uploads: Vec<_> = (0..count).map(|_| task::spawn(upload(len))).collect();
        for upload in uploads {
            upload.await.unwrap()?;
        }
        io::Result::Ok(())
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    report.elapsed()
}

#[test]
fn bandwidth_limits_the_transfer() {
    let limited = || NetworkFaults {
        bandwidth: Some(100_000),
        ..NetworkFaults::default()
    };
    let seconds = time_of_uploads(limited(), 1, 1_000_000).as_secs_f64();
    assert!((10.0..10.5).contains(&seconds), "{seconds}");
    // Connections share it.
    let seconds = time_of_uploads(limited(), 5, 200_000).as_secs_f64();
    assert!((10.0..10.5).contains(&seconds), "{seconds}");
    let seconds = time_of_uploads(NetworkFaults::default(), 1, 1_000_000).as_secs_f64();
    assert!(seconds < 1.0, "{seconds}");
}

#[test]
fn latency_of_a_link_is_its_own() {
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("near", counter).host("far", counter);
    simulation.client("client", async {
        let begin = now();
        TcpStream::connect("near:80").await?;
        assert!(now() - begin < Duration::from_millis(10));
        let begin = now();
        TcpStream::connect("far:80").await?;
        assert_eq!(now() - begin, 2 * SECOND);
        // One direction is slow.
        let link = sim::link("client", "far")?;
        link.unset();
        assert_eq!(link.faults(), NetworkFaults::default());
        link.set_oneway(NetworkFaults {
            slow: 1.0,
            slow_by: SECOND..=SECOND,
            ..NetworkFaults::default()
        });
        let begin = now();
        TcpStream::connect("far:80").await?;
        assert_eq!((now() - begin).as_secs(), 1);
        assert!(sim::network()?.counts().slow > 0);
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    simulation.link(
        "client",
        "far",
        NetworkFaults {
            latency: Some(SECOND..=SECOND),
            ..NetworkFaults::default()
        },
    );
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn clogged_link_delays_both_protocols() {
    let faults = NetworkFaults {
        clog: 0.01,
        clog_for: 2 * SECOND..=2 * SECOND,
        ..NetworkFaults::default()
    };
    let (mut numbers, counts) = datagrams(faults.clone(), 500, 100);
    assert!(counts.clogs > 0);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    let seconds = time_of_uploads(faults, 10, 200_000).as_secs();
    assert!(seconds >= 2, "{seconds}");
}

#[test]
fn reset_fails_both_sides() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.client("server", async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut stream, _) = listener.accept().await?;
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        log.add(format!("{:?}", error.kind()));
        io::Result::Ok(())
    });
    simulation.client("client", async {
        let mut stream = TcpStream::connect("server:80").await?;
        let network = sim::network().unwrap();
        network.set(NetworkFaults {
            reset: 1.0,
            ..NetworkFaults::default()
        });
        stream.write_all("hello").await.0?;
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(network.counts().resets, 1);
        io::Result::Ok(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.entries(), ["ConnectionReset"]);
}

#[test]
fn lost_segments_are_repeated() {
    let seconds = time_of_uploads(
        NetworkFaults {
            loss: 0.3,
            ..NetworkFaults::default()
        },
        5,
        1_000_000,
    );
    assert!(seconds > Duration::from_millis(200), "{seconds:?}");
}

#[test]
fn total_loss_is_a_partition() {
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", counter);
    simulation.client("client", async {
        let mut stream = TcpStream::connect("server:80").await?;
        sim::network().unwrap().set(NetworkFaults {
            loss: 1.0,
            ..NetworkFaults::default()
        });
        stream.write_all("hello").await.0?;
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = TcpStream::connect("server:80").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        io::Result::Ok(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

/// The byte at this place of each stream.
fn byte_at(place: usize) -> u8 {
    (place / 7 + place / 1000) as u8
}

/// Whether the bytes are the begin of a stream.
fn is_intact(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter().enumerate();
    bytes.all(|(place, byte)| *byte == byte_at(place))
}

/// Returns the bytes of each connection after its end, and logs the lengths of wrong ones.
async fn echo_all(log: Log) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let log = log.clone();
        task::spawn(async move {
            let (read, bytes) = stream.read_to_end(Vec::new()).await;
            if !is_intact(&bytes) {
                log.add(bytes.len().to_string());
            }
            read?;
            write_in_packets(&mut stream, &bytes).await
        })
        .detach();
    }
}

/// Writes by parts: faults meet packets, and each write is one.
async fn write_in_packets(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(1000) {
        stream.write_all(part.to_vec()).await.0?;
    }
    Ok(())
}

/// Sends bytes to a server, and reads them back.
async fn echo(len: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect("server:7").await?;
    let bytes: Vec<u8> = (0..len).map(byte_at).collect();
    write_in_packets(&mut stream, &bytes).await?;
    stream.shutdown().await?;
    let (read, bytes) = stream.read_to_end(Vec::new()).await;
    assert!(is_intact(&bytes));
    read?;
    assert_eq!(bytes.len(), len);
    Ok(())
}

/// A client repeats its exchanges over new connections, while all families of faults are drawn.
/// Faults by the seed, with more resets.
fn draw_faults() -> Result<(), sim::Error> {
    let network = sim::network()?;
    let drawn = network.draw();
    network.set(NetworkFaults {
        reset: drawn.reset * 20.0,
        ..drawn
    });
    Ok(())
}

fn chaos(seed: u64) -> (Report, NetworkCounts) {
    let counts = Rc::new(Cell::new(NetworkCounts::default()));
    let last_counts = Rc::clone(&counts);
    let mut simulation = Simulation::builder().seed(seed).build();
    let log = Log::default();
    let wrong = log.clone();
    simulation.host("server", move || echo_all(log.clone()));
    simulation.client("client", async move {
        let network = sim::network()?;
        let operator = task::spawn(async {
            loop {
                time::sleep(SECOND * sim::rng().below(30) as u32).await;
                match sim::rng().below(6) {
                    0 => sim::partition("client", "server").unwrap(),
                    1 => sim::partition_oneway("client", "server").unwrap(),
                    2 => sim::partition_oneway("server", "client").unwrap(),
                    3 => sim::hold("client", "server").unwrap(),
                    _ => {}
                }
                time::sleep(SECOND * sim::rng().below(30) as u32).await;
                sim::repair("client", "server").unwrap();
                draw_faults().unwrap();
            }
        });
        draw_faults()?;
        for _ in 0..20 {
            let len = sim::rng().below(1 << sim::rng().below(19)) as usize;
            if let Err(error) = echo(len).await {
                let kind = error.kind();
                let is_expected = kind == ErrorKind::ConnectionReset
                    || kind == ErrorKind::BrokenPipe
                    || kind == ErrorKind::TimedOut;
                assert!(is_expected, "{error}");
            }
        }
        // The calm phase: the program recovers by itself.
        operator.abort();
        network.calm();
        assert_eq!(network.faults(), NetworkFaults::default());
        counts.set(network.counts());
        let begin = now();
        echo(100_000).await?;
        assert!(now() - begin < SECOND);
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    assert!(wrong.entries().is_empty(), "seed {seed}");
    (report, last_counts.get())
}

#[test]
fn bytes_are_intact_in_each_seed() {
    let mut total = NetworkCounts::default();
    for seed in 0..100 {
        let (report, counts) = chaos(seed);
        if seed < 10 {
            assert_eq!(report, chaos(seed).0, "seed {seed}");
        }
        total.lost += counts.lost;
        total.blocked += counts.blocked;
        total.retransmissions += counts.retransmissions;
        total.clogs += counts.clogs;
        total.resets += counts.resets;
        total.slow += counts.slow;
    }
    let reached = [
        total.lost,
        total.blocked,
        total.retransmissions,
        total.clogs,
        total.resets,
        total.slow,
    ];
    assert!(reached.iter().all(|count| *count > 0), "{total:?}");
}

#[test]
fn each_family_is_off_in_some_seeds_and_on_in_others() {
    let mut on = [0; 8];
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.client("client", async move {
            let faults = sim::network().unwrap().draw();
            let is_on = [
                faults.loss > 0.0,
                faults.duplicate > 0.0,
                faults.reorder > 0.0,
                faults.slow > 0.0,
                faults.clog > 0.0,
                faults.reset > 0.0,
                faults.latency.is_some(),
                faults.bandwidth.is_some(),
            ];
            sim::network().unwrap().set(faults);
            let digits = is_on.map(|is_on| if is_on { '1' } else { '0' });
            log.add(digits.iter().collect::<String>());
        });
        simulation.run().unwrap();
        for (count, digit) in on.iter_mut().zip(seen.entries()[0].chars()) {
            *count += usize::from(digit == '1');
        }
    }
    assert!(on.iter().all(|count| (25..=75).contains(count)), "{on:?}");
}

#[test]
fn link_of_no_host_is_an_error_of_the_run() {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {});
    simulation.link("client", "other", NetworkFaults::default());
    let error = simulation.run().unwrap_err();
    assert_eq!(error.host(), Some("other"));
    assert!(matches!(error.kind(), sim::ErrorKind::UnknownHost));
}

#[test]
#[should_panic(expected = "a bandwidth of 0 moves nothing")]
fn bandwidth_of_zero_panics() {
    Simulation::builder().build().network(NetworkFaults {
        bandwidth: Some(0),
        ..NetworkFaults::default()
    });
}

#[test]
fn endless_times_do_not_overflow() {
    const ENDLESS: RangeInclusive<Duration> = Duration::MAX..=Duration::MAX;
    let slow = NetworkFaults {
        slow: 1.0,
        slow_by: ENDLESS,
        reorder: 1.0,
        reorder_by: ENDLESS,
        clog: 1.0,
        clog_for: ENDLESS,
        bandwidth: Some(1),
        ..NetworkFaults::default()
    };
    let far = NetworkFaults {
        latency: Some(ENDLESS),
        ..NetworkFaults::default()
    };
    for faults in [slow, far] {
        let mut simulation = Simulation::builder().build();
        simulation.host("server", pending::<()>).network(faults);
        simulation.client("client", async {
            time::sleep(SECOND).await;
            sim::disk("client")?.set(DiskFaults {
                latency: ENDLESS,
                stall_chance: 1.0,
                stall: ENDLESS,
                ..DiskFaults::default()
            });
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.send_to("datagram", "server:9").await.0?;
            let write = task::spawn(async { fs::write("/file", "content").await.0 });
            let connect = TcpStream::connect("server:80");
            assert!(time::timeout(3600 * SECOND, connect).await.is_err());
            assert!(!write.is_finished());
            Ok::<_, Box<dyn Error>>(())
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn connect_over_a_slow_link_does_not_end_in_the_past() {
    let latency = 200 * SECOND;
    let builder = Simulation::builder().latency(latency..=latency);
    let mut simulation = builder.build();
    simulation.host("server", pending::<()>);
    simulation.client("client", async {
        let connect = task::spawn(TcpStream::connect("server:80"));
        time::sleep(150 * SECOND).await;
        sim::partition("client", "server")?;
        let error = connect.await?.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(now(), 200 * SECOND);
        Ok::<_, Box<dyn Error>>(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}
