//! Faults of completions: late ones, short transfers, late cancels, errors that are over soon.

use std::{
    cell::Cell,
    collections::BTreeSet,
    io::{self, ErrorKind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use compio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream},
    pipe::pipe,
    runtime::{Runtime, is_cancelled},
    sim::{self, CompletionCounts, CompletionFaults, NetworkFaults, Report, Simulation},
    task, time,
};
use compio_testkit::buffer::{Canary, Deaths, pattern};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Log, echo, run_one, run_pair};

const MILLI: Duration = Duration::from_millis(1);

fn late(chance: f64, millis: u32) -> CompletionFaults {
    CompletionFaults {
        late: chance,
        late_by: millis * MILLI..=millis * MILLI,
        ..CompletionFaults::default()
    }
}

fn elapsed() -> Duration {
    sim::elapsed().unwrap()
}

fn set(host: &str, faults: CompletionFaults) {
    sim::completions(host).unwrap().set(faults);
}

fn counts(host: &str) -> CompletionCounts {
    sim::completions(host).unwrap().counts()
}

/// A listener whose connections stay open.
async fn sink() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:9").await?;
    let mut streams = Vec::new();
    loop {
        streams.push(listener.accept().await?);
    }
}

#[test]
fn late_operation_has_taken_effect() {
    run_one(async {
        set("client", late(1.0, 10));
        let write = task::spawn(async { fs::write("/file", "content").await.0 });
        time::sleep(5 * MILLI).await;
        assert!(!write.is_finished());
        set("client", CompletionFaults::default());
        // The open has taken effect, the write comes after it.
        assert_eq!(fs::read("/file").await?, b"");
        write.await.unwrap()?;
        assert_eq!(elapsed(), 10 * MILLI);
        assert_eq!(fs::read("/file").await?, b"content");
        assert_eq!(counts("client").late, 1);
        Ok(())
    });
}

#[test]
fn blocking_work_may_complete_late() {
    run_one(async {
        set("client", late(1.0, 10));
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&has_run);
        let job = task::spawn_blocking(move || runs.store(true, Relaxed));
        time::sleep(5 * MILLI).await;
        assert!(has_run.load(Relaxed) && !job.is_finished());
        job.await.unwrap();
        assert_eq!(elapsed(), 10 * MILLI);
        Ok(())
    });
}

#[test]
fn late_completions_overtake_each_other() {
    let mut orders = BTreeSet::new();
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).shuffle(false).build();
        simulation.client("client", async move {
            let faults = CompletionFaults {
                late: 0.5,
                ..CompletionFaults::default()
            };
            set("client", faults);
            let mut writes = task::JoinSet::new();
            for name in ["/a", "/b", "/c"] {
                let log = log.clone();
                writes.spawn(async move {
                    fs::write(name, "content").await.0.unwrap();
                    log.add(name);
                });
            }
            while let Some(ended) = writes.join_next().await {
                ended.unwrap();
            }
        });
        simulation.run().unwrap();
        orders.insert(seen.entries());
    }
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn completions_of_one_direction_of_a_stream_keep_their_order() {
    for seed in 0..50 {
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.host("server", echo::<1>);
        let faults = CompletionFaults {
            late: 0.5,
            late_by: Duration::ZERO..=20 * MILLI,
            ..CompletionFaults::default()
        };
        simulation.client("client", async move {
            set("client", faults);
            let stream = Rc::new(TcpStream::connect("server:7").await?);
            let sent: Vec<u8> = (0..200).collect();
            let (writer, bytes) = (Rc::clone(&stream), sent.clone());
            let write = task::spawn(async move {
                for byte in bytes {
                    (&*writer).write_all([byte]).await.0?;
                    time::sleep(MILLI).await;
                }
                io::Result::Ok(())
            });
            let mut received = Vec::new();
            let read = || async { (&*stream).read(Vec::with_capacity(3)).await };
            // Four receives are in flight. One task takes their results in the order of their completions.
            let mut reads: FuturesUnordered<_> = (0..4).map(|_| read()).collect();
            while received.len() < sent.len() {
                let (read_len, bytes) = reads.next().await.unwrap();
                read_len?;
                received.extend(bytes);
                reads.push(read());
            }
            assert_eq!(received, sent);
            assert!(counts("client").late > 50);
            write.await.unwrap()
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn short_transfers_keep_all_bytes() {
    run_pair(echo::<1000>, async {
        let faults = CompletionFaults {
            short_read: 0.7,
            short_write: 0.7,
            ..CompletionFaults::default()
        };
        set("client", faults.clone());
        set("server", faults);
        let mut stream = TcpStream::connect("server:7").await?;
        let sent: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
        let (written, rest) = stream.write(sent.clone()).await;
        let written = written?;
        stream.write_all(rest[written..].to_vec()).await.0?;
        let (read, echoed) = stream.read_exact(vec![0; sent.len()]).await;
        read?;
        assert!(echoed == sent);
        assert!(counts("client").short_reads > 10);
        assert!(counts("server").short_writes > 10);
        Ok(())
    });
}

#[test]
fn short_transfers_of_unix_sockets_and_pipes_keep_all_bytes() {
    async fn check(mut reader: impl AsyncRead, mut writer: impl AsyncWrite + 'static) {
        let sent = pattern(200_000);
        let expected = sent.clone();
        let write = task::spawn(async move { writer.write_all(sent).await.0 });
        let (read, bytes) = reader.read_to_end(Vec::new()).await;
        read.unwrap();
        assert!(bytes == expected);
        write.await.unwrap().unwrap();
    }
    for chance in [0.5, 1.0] {
        run_one(async move {
            let (mut one, other) = UnixStream::pair()?;
            let (pipe_reader, mut pipe_writer) = pipe()?;
            set(
                "client",
                CompletionFaults {
                    short_read: chance,
                    short_write: chance,
                    late: 0.1,
                    ..CompletionFaults::default()
                },
            );
            if chance == 1.0 {
                assert!(one.write(vec![0; 100]).await.0? < 100);
                // Longer ones may be split.
                assert_eq!(pipe_writer.write(vec![0; 4096]).await.0?, 4096);
                assert!(pipe_writer.write(vec![0; 4097]).await.0? < 4097);
                assert_eq!(counts("client").short_writes, 2);
                return Ok(());
            }
            check(other, one).await;
            check(pipe_reader, pipe_writer).await;
            let counts = counts("client");
            assert!(
                counts.short_reads > 0 && counts.short_writes > 0,
                "{counts:?}"
            );
            Ok(())
        });
    }
}

#[test]
fn cancel_may_come_too_late() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        let faults = CompletionFaults {
            late_cancel: 1.0,
            late_by: 20 * MILLI..=20 * MILLI,
            ..CompletionFaults::default()
        };
        set("client", faults);
        // The echo comes after the cancel, and before it takes effect.
        stream.write_all("x").await.0?;
        let (read, bytes) = time::cancel_after(Duration::ZERO, stream.read(vec![0; 1])).await;
        assert_eq!((read?, bytes), (1, b"x".to_vec()));
        // No data comes: the cancel succeeds.
        let begin = elapsed();
        let (read, _) = time::cancel_after(MILLI, stream.read(vec![0; 1])).await;
        assert!(is_cancelled(&read.unwrap_err()));
        assert_eq!(elapsed() - begin, 21 * MILLI);
        let counts = counts("client");
        assert_eq!((counts.late_cancels, counts.uncancelled), (2, 1));
        Ok(())
    });
}

#[test]
fn dropped_receive_with_a_late_cancel_loses_no_byte() {
    for seed in 0..50 {
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.host("server", echo::<1>);
        simulation.client("client", async {
            let faults = CompletionFaults {
                late: 0.5,
                late_cancel: 1.0,
                late_by: Duration::ZERO..=5 * MILLI,
                ..CompletionFaults::default()
            };
            set("client", faults);
            let mut stream = TcpStream::connect("server:7").await?;
            for byte in 0..100 {
                stream.write_all([byte]).await.0?;
                loop {
                    let wait = Duration::from_micros(sim::rng().below(2000));
                    // The timeout drops the receive.
                    if let Ok((read, bytes)) = time::timeout(wait, stream.read([0; 1])).await {
                        assert_eq!((read?, bytes), (1, [byte]));
                        break;
                    }
                }
            }
            assert!(counts("client").uncancelled > 0, "{:?}", counts("client"));
            io::Result::Ok(())
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn aborted_accept_resets_its_connection() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", move || {
        let log = log.clone();
        async move {
            let listener = TcpListener::bind("0.0.0.0:9").await?;
            let error = listener.accept().await.unwrap_err();
            log.add(format!("{:?}", error.kind()));
            set("server", CompletionFaults::default());
            let _accepted = listener.accept().await?;
            std::future::pending::<io::Result<()>>().await
        }
    });
    let faults = CompletionFaults {
        aborted_accept: 1.0,
        ..CompletionFaults::default()
    };
    simulation.completions("server", faults);
    simulation.client("client", async {
        let mut stream = TcpStream::connect("server:9").await?;
        let error = stream.read([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        TcpStream::connect("server:9")
            .await?
            .write_all("x")
            .await
            .0?;
        assert_eq!(counts("server").aborted_accepts, 1);
        Ok::<_, io::Error>(())
    });
    simulation.run().unwrap();
    assert_eq!(seen.entries(), ["ConnectionAborted"]);
}

#[test]
fn connection_waits_while_descriptors_are_scarce() {
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", || async {
        let listener = TcpListener::bind("0.0.0.0:9").await?;
        loop {
            // The back-off of the listener is 10 milliseconds.
            match listener.accept().await {
                Ok((mut stream, _)) => stream.write_all("x").await.0?,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {
                    panic!("no connection is aborted")
                }
                Err(_) => {}
            }
        }
        #[allow(unreachable_code, reason = "it names the type of the errors")]
        io::Result::Ok(())
    });
    simulation.client("client", async {
        time::sleep(MILLI).await;
        let faults = CompletionFaults {
            no_resources: 1.0,
            ..CompletionFaults::default()
        };
        set("server", faults);
        let mut stream = TcpStream::connect("server:9").await?;
        let begin = elapsed();
        time::sleep(95 * MILLI).await;
        assert!((9..=11).contains(&counts("server").no_resources));
        set("server", CompletionFaults::default());
        assert_eq!(stream.read_u8().await?, b'x');
        assert!(elapsed() - begin < 120 * MILLI);
        io::Result::Ok(())
    });
    simulation.run().unwrap();
}

#[test]
fn operations_without_resources_have_no_effect() {
    run_one(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let listener = UnixListener::bind("/socket")?;
        let mut connected = UnixStream::connect("/socket").await?;
        let (near, far) = UnixDatagram::pair()?;
        set(
            "client",
            CompletionFaults {
                no_resources: 1.0,
                ..CompletionFaults::default()
            },
        );
        let codes = [
            fs::File::create("/file").err(),
            TcpStream::connect("127.0.0.1:9").await.err(),
            UdpSocket::bind("127.0.0.1:0").await.err(),
            UnixStream::connect("/socket").await.err(),
            listener.accept().await.err(),
            UnixDatagram::unbound().err(),
            UnixStream::pair().err(),
            pipe().err(),
        ];
        for code in codes {
            // ENOMEM, ENFILE, EMFILE
            let code = code.and_then(|error| error.raw_os_error()).unwrap();
            assert!([12, 23, 24].contains(&code), "{code}");
        }
        let error = socket.send_to("datagram", address).await.0.unwrap_err();
        // ENOBUFS
        assert_eq!(error.raw_os_error(), Some(105));
        let error = near.send("datagram").await.0.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(105));
        set("client", CompletionFaults::default());
        near.send("other").await.0?;
        assert_eq!(far.recv(Vec::with_capacity(10)).await.1, b"other");
        connected.write_all("x").await.0?;
        assert_eq!(listener.accept().await?.0.read_u8().await?, b'x');
        assert!(!fs::try_exists("/file").await?);
        socket.send_to("other", address).await.0?;
        let (received, bytes) = socket.recv(Vec::with_capacity(10)).await;
        received?;
        assert_eq!(bytes, b"other");
        Ok(())
    });
}

#[test]
fn interrupted_rename_is_made_or_not() {
    run_one(async {
        let mut made = 0;
        for _ in 0..50 {
            fs::write("/old", "content").await.0?;
            set(
                "client",
                CompletionFaults {
                    interrupted: 1.0,
                    ..CompletionFaults::default()
                },
            );
            let error = fs::rename("/old", "/new").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            set("client", CompletionFaults::default());
            let names = [fs::try_exists("/old").await?, fs::try_exists("/new").await?];
            assert!(names[0] != names[1], "{names:?}");
            made += usize::from(names[1]);
            let name = if names[0] { "/old" } else { "/new" };
            fs::remove_file(name).await?;
        }
        assert!((10..=40).contains(&made), "{made}");
        Ok(())
    });
}

#[test]
fn end_of_a_program_completes_its_late_operations() {
    for end in [
        None,
        Some(sim::crash as fn(&str) -> _),
        Some(sim::power_loss),
    ] {
        let deaths = Deaths::default();
        let buffers = [(); 2].map(|()| Canary::new(&deaths));
        let mut simulation = Simulation::builder().build();
        simulation.host("server", sink);
        simulation.client("client", async move {
            let faults = CompletionFaults {
                late_cancel: 1.0,
                ..late(1.0, 1000)
            };
            let stream = TcpStream::connect("server:9").await.unwrap();
            set("client", faults);
            let [one, other] = buffers;
            let mut reader = &stream;
            let _dropped = time::timeout(MILLI, reader.read(one)).await;
            let write = task::spawn(async { fs::write("/file", other).await.0 });
            time::sleep(MILLI).await;
            write.detach();
            if let Some(end) = end {
                end("client").unwrap();
                std::future::pending::<()>().await;
            }
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
        // An operation that has not completed keeps its buffer.
        assert_eq!(deaths.count(), 2);
    }
}

#[test]
fn loop_that_would_wait_completes_late_operations() {
    run_one(async {
        set("client", late(1.0, 10));
        let inner = Runtime::new()?;
        inner.block_on(fs::write("/file", "content")).0?;
        assert_eq!(inner.block_on(fs::read("/file"))?, b"content");
        assert_eq!(elapsed(), Duration::ZERO);
        Ok(())
    });
}

/// Repeats an operation that fails for the moment.
async fn insist<T, F: AsyncFnMut() -> io::Result<T>>(mut operation: F) -> T {
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(_) => time::sleep(10 * MILLI).await,
        }
    }
}

async fn robust_echo() {
    let listener = insist(async || TcpListener::bind("0.0.0.0:7").await).await;
    loop {
        let (mut stream, _) = insist(async || listener.accept().await).await;
        task::spawn(async move {
            loop {
                let (read, bytes) = stream.read(Vec::with_capacity(1000)).await;
                if read? == 0 {
                    return io::Result::Ok(());
                }
                stream.write_all(bytes).await.0?;
            }
        })
        .detach();
    }
}

/// Sends parts, and checks the echo of each, over a connection that may be aborted at its begin.
async fn robust_client(echoes: Rc<Cell<u32>>) {
    loop {
        let mut stream = insist(async || TcpStream::connect("server:7").await).await;
        let mut is_aborted = false;
        for number in 0..20 {
            let sent: Vec<u8> = (0..sim::rng().below(3000))
                .map(|at| at as u8 ^ number)
                .collect();
            let written = stream.write_all(sent.clone()).await.0;
            let (read, echoed) = stream.read_exact(vec![0; sent.len()]).await;
            if written.is_err() || read.is_err() {
                assert_eq!(number, 0, "a stream has failed after its accept");
                is_aborted = true;
                break;
            }
            assert!(echoed == sent, "bytes are lost or in another order");
            echoes.set(echoes.get() + 1);
        }
        if !is_aborted {
            return;
        }
    }
}

/// Two clients and an echo server, with all families of faults. Returns the report, and the sums of the counts.
fn run_with_all_faults(seed: u64) -> (Report, u32, CompletionCounts) {
    let counts_at_end = Rc::new(Cell::new(CompletionCounts::default()));
    let echoes = Rc::new(Cell::new(0));
    let mut simulation = Simulation::builder().seed(seed).build();
    simulation.host("server", robust_echo);
    for name in ["a", "b"] {
        simulation.client(name, robust_client(Rc::clone(&echoes)));
    }
    let into = Rc::clone(&counts_at_end);
    simulation.client("operator", async move {
        let network = sim::network().unwrap();
        network.set(NetworkFaults {
            reset: 0.0,
            ..network.draw()
        });
        for host in ["server", "a", "b"] {
            let (completions, clock) = (sim::completions(host).unwrap(), sim::clock(host).unwrap());
            let faults = completions.draw();
            completions.set(CompletionFaults {
                late: faults.late.max(0.2),
                short_read: faults.short_read.max(0.2),
                short_write: faults.short_write.max(0.2),
                ..faults
            });
            clock.set(clock.draw());
        }
        time::sleep(Duration::from_secs(3600)).await;
        into.set(counts("server"));
    });
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    (report, echoes.get(), counts_at_end.get())
}

#[test]
fn echo_with_all_faults_keeps_every_byte() {
    let mut met = CompletionCounts::default();
    for seed in 0..100 {
        let (_, echoes, counts) = run_with_all_faults(seed);
        assert_eq!(echoes, 40, "seed {seed}");
        assert!(counts.late > 0 && counts.short_reads > 0, "{counts:?}");
        met.aborted_accepts += counts.aborted_accepts;
        met.no_resources += counts.no_resources;
    }
    assert!(met.aborted_accepts > 0 && met.no_resources > 0, "{met:?}");
}

#[test]
fn run_with_all_faults_is_repeated_by_its_seed() {
    for seed in 0..10 {
        assert!(
            run_with_all_faults(seed) == run_with_all_faults(seed),
            "seed {seed}"
        );
    }
}

#[test]
fn draws_switch_each_fault_off_in_half_of_the_seeds() {
    let mut on = [0; 7];
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.client("client", async move {
            let faults = sim::completions("client").unwrap().draw();
            let chances = [
                faults.late,
                faults.short_read,
                faults.short_write,
                faults.late_cancel,
                faults.aborted_accept,
                faults.no_resources,
                faults.interrupted,
            ];
            for chance in chances {
                log.add(if chance > 0.0 { "on" } else { "off" });
            }
            set("client", faults);
        });
        simulation.run().unwrap();
        for (count, entry) in on.iter_mut().zip(seen.entries()) {
            *count += usize::from(entry == "on");
        }
    }
    assert!(on.iter().all(|count| (25..=75).contains(count)), "{on:?}");
}

#[test]
fn completions_of_no_host_are_an_error() {
    run_one(async {
        let error = sim::completions("other").unwrap_err();
        assert!(matches!(error.kind(), sim::ErrorKind::UnknownHost));
        Ok(())
    });
}

#[test]
#[should_panic = "a chance of 2 is not in 0.0..=1.0"]
fn chance_out_of_range_is_refused() {
    let mut simulation = Simulation::builder().build();
    let faults = CompletionFaults {
        late: 2.0,
        ..CompletionFaults::default()
    };
    simulation
        .client("client", async {})
        .completions("client", faults);
}
