//! Reports and summaries: operations, faults and the states that were reached.

use std::{future::pending, io, time::Duration};

use compio::{
    fs::{self, OpenOptions},
    io::{AsyncRead, AsyncReadAtExt, AsyncReadExt, AsyncWriteAtExt, AsyncWriteExt},
    metrics::OpKind,
    net::{TcpListener, TcpStream, UdpSocket},
    sim::{
        self, DiskFaults, ErrorKind, Fault, NetworkFaults, Simulation, assert_always, run_seeds,
    },
    time::{sleep, timeout},
};

use super::{echo, run_one, run_pair};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn report_has_operations_of_all_hosts_by_kind() {
    let report = run_pair(echo::<4>, async {
        for _ in 0..2 {
            let mut stream = TcpStream::connect("server:7").await?;
            stream.write_all([1; 4]).await.0?;
            stream.read_exact([0; 4]).await.0?;
        }
        fs::read("/missing").await.unwrap_err();
        // The program of the server is dropped with its operations.
        sim::crash("server").unwrap();
        sleep(SECOND).await;
        TcpStream::connect("server:7").await.unwrap_err();
        Ok(())
    });
    let connects = report.operations(OpKind::Connect);
    assert_eq!((connects.completed, connects.errors), (3, 1));
    let accepts = report.operations(OpKind::Accept);
    assert_eq!((accepts.completed, accepts.in_flight), (2, 1));
    let sends = report.operations(OpKind::Send);
    assert_eq!((sends.completed, sends.bytes), (4, 16));
    assert_eq!(report.operations(OpKind::Sync).completed, 0);
    assert_eq!(report.fault(Fault::Crash), Some(1));
    assert_eq!(report.fault(Fault::PowerLoss), None);
}

#[test]
fn report_counts_steps() {
    let steps = |sleeps| {
        let report = run_one(async move {
            for _ in 0..sleeps {
                sleep(SECOND).await;
            }
            Ok(())
        });
        report.steps()
    };
    assert_eq!(steps(50) - steps(10), 40);
}

#[test]
fn fault_that_is_set_and_never_occurs_is_in_the_report() {
    let mut simulation = Simulation::builder().build();
    simulation.host("server", pending::<()>);
    simulation.disk(
        "server",
        DiskFaults {
            sync_error: 1.0,
            ..DiskFaults::default()
        },
    );
    simulation.client("client", async {
        // It is set for a moment only.
        let link = sim::link("client", "server")?;
        link.set(NetworkFaults {
            clog: 1.0,
            ..NetworkFaults::default()
        });
        link.unset();
        sim::partition("client", "server")
    });
    let report = simulation.run().unwrap();
    let faults: Vec<_> = report.faults().collect();
    let set = [Fault::SyncError, Fault::Blocked, Fault::Clog];
    assert_eq!(faults, set.map(|fault| (fault, 0)));
    assert_eq!(report.fault(Fault::Loss), None);
}

/// Uses its disk, whose errors it ignores.
async fn write() -> io::Result<()> {
    for round in 0.. {
        let name = format!("/{}", round % 4);
        let mut options = OpenOptions::new();
        if let Ok(file) = options.read(true).write(true).create(true).open(name) {
            let _error = file.write_all_at(vec![1; 8192], 0).await;
            let _error = file.sync_all().await;
            let _error = file.read_exact_at(vec![0; 8192], 0).await;
            let _error = file.write_all_at(vec![2; 8192], 0).await;
        }
        let _error = fs::rename("/1", "/2").await;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Accepts connections, and sends datagrams.
async fn send() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    loop {
        if let Ok(Ok((mut stream, _))) = timeout(Duration::from_millis(20), listener.accept()).await
        {
            let _error = timeout(SECOND, stream.write_all("hello")).await;
            let _error = timeout(SECOND, stream.read(vec![0; 5])).await;
        }
        let _error = socket.send_to("datagram", "writer:9").await;
    }
}

async fn operate() -> Result<(), sim::Error> {
    // The sender has its sockets.
    sleep(SECOND).await;
    let disk = sim::disk("writer")?;
    disk.set(DiskFaults {
        capacity: Some(6 * 4096),
        ..disk.draw()
    });
    for host in ["writer", "sender"] {
        let completions = sim::completions(host)?;
        completions.set(completions.draw());
    }
    let network = sim::network()?;
    network.set(NetworkFaults {
        reset: 0.1,
        ..network.draw()
    });
    for round in 0..20 {
        if let Ok(Ok(mut stream)) = timeout(SECOND, TcpStream::connect("sender:80")).await {
            let _error = timeout(SECOND, stream.write_all("hello")).await;
        }
        match round % 3 {
            0 => sim::crash("writer")?,
            1 => sim::power_loss("writer")?,
            _ => sim::partition("sender", "operator")?,
        }
        sleep(SECOND).await;
        sim::restart("writer")?;
        sim::repair("sender", "operator")?;
        sleep(SECOND).await;
    }
    Ok(())
}

#[test]
fn each_family_of_faults_occurs_over_many_seeds() {
    let summary = run_seeds(0..12, |simulation| {
        simulation.host("writer", write).host("sender", send);
        simulation.client("operator", operate());
        for &fault in Fault::ALL {
            simulation.must_occur_sometimes(fault);
        }
    });
    let summary = summary.unwrap_or_else(|error| panic!("{error}"));
    let of = |fault| summary.fault(fault).unwrap();
    let crashes = of(Fault::Crash);
    assert_eq!((crashes.occurred_in, crashes.set_in), (12, 12));
    // Seven of a round, and those by a restart of a running program.
    assert!(crashes.occurred >= 7 * 12, "{crashes:?}");
    let stalls = of(Fault::DiskStall);
    assert!(stalls.set_in < 12 && stalls.occurred_in <= stalls.set_in);
    let text = summary.to_string();
    let expected = format!(
        "\nfault `crash`: {} times, in 12 of 12 seeds\n",
        crashes.occurred
    );
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("\noperation `fsync`: "), "{text}");
}

#[test]
fn fault_that_no_seed_meets_fails_all_seeds() {
    let run = |millis: u64, seeds: u64| {
        run_seeds(0..seeds, move |simulation| {
            simulation.network(NetworkFaults {
                loss: 0.001,
                ..NetworkFaults::default()
            });
            simulation.must_occur_sometimes(Fault::Crash);
            simulation.must_occur_sometimes(Fault::Loss);
            simulation.host("writer", pending::<()>);
            simulation.host("sender", send);
            simulation.client("client", async move {
                sleep(Duration::from_millis(millis)).await;
                sim::crash("sender")
            });
        })
    };
    run(4000, 20).unwrap();
    let error = run(1, 20).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NeverOccurred(faults) if faults == &[Fault::Loss]),
        "{error}"
    );
    assert_eq!(error.to_string(), "no seed has met faults: lost packet");
}

/// Evaluates an assertion if the seed is 3.
fn evaluate_with_seed_3(simulation: &mut Simulation) {
    let seed = simulation.seed();
    simulation.must_reach_sometimes("rare");
    simulation.client("client", async move {
        if seed == 3 {
            assert_always(true, "rare");
        }
    });
}

#[test]
fn assertion_that_no_seed_reaches_fails_all_seeds() {
    run_seeds(0..4, evaluate_with_seed_3).unwrap();
    let error = run_seeds(0..3, evaluate_with_seed_3).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NeverReached(names) if names == &["rare"]),
        "{error}"
    );
    assert_eq!(error.seed(), None);
}

#[test]
fn single_run_is_all_seeds() {
    let run = |seed| {
        let mut simulation = Simulation::builder().seed(seed).build();
        evaluate_with_seed_3(&mut simulation);
        simulation.run()
    };
    run(3).unwrap();
    let error = run(4).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NeverReached(_)),
        "{error}"
    );
    assert_eq!(error.seed(), Some(4));
}
