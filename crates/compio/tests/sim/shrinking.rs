//! Reductions of failures to the faults that matter.

use std::{cell::Cell, future::pending, io, rc::Rc, time::Duration};

use compio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sim::{self, DiskFaults, Fault, FaultRecord, NetworkFaults, Simulation, Unsynced},
    time::{self, sleep},
};

use super::{echo, run_child};

const MILLI: Duration = Duration::from_millis(1);

fn lines(error: &sim::Error) -> Vec<String> {
    error.faults().iter().map(ToString::to_string).collect()
}

/// Two hosts with hundreds of faults of their own.
fn add_noise(simulation: &mut Simulation) {
    simulation.network(NetworkFaults {
        loss: 0.3,
        duplicate: 0.3,
        reorder: 0.3,
        slow: 0.3,
        clog: 0.01,
        ..NetworkFaults::default()
    });
    simulation.host("sink", async || {
        let socket = UdpSocket::bind("0.0.0.0:9").await?;
        loop {
            socket.recv_from(Vec::with_capacity(9)).await.0?;
        }
        #[allow(unreachable_code, reason = "it names the type of the errors")]
        io::Result::Ok(())
    });
    let disk = DiskFaults {
        sync_error: 0.3,
        write_error: 0.3,
        stall_chance: 0.01,
        stall: 10 * MILLI..=50 * MILLI,
        ..DiskFaults::default()
    };
    simulation.disk("sink", disk.clone());
    simulation.host("source", async || {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        let file = File::create("/file")?;
        loop {
            socket.send_to("datagram", "sink:9").await.0?;
            drop(file.write_at("content", 0).await);
            drop(file.sync_all().await);
            sleep(20 * MILLI).await;
        }
        #[allow(unreachable_code, reason = "it names the type of the errors")]
        io::Result::Ok(())
    });
    simulation.disk("source", disk);
}

/// Stores a number ten times in a second, and ignores errors of syncs. So a number that was acknowledged is lost by a failed sync
/// and a loss of power after it, or by a failed sync that changes the cache and a crash.
async fn store(acknowledged: Rc<Cell<u64>>) -> io::Result<()> {
    let is_new = !fs::try_exists("/number").await?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .open("/number")?;
    let mut stored = 0;
    if is_new {
        while File::open("/")?.sync_all().await.is_err() {}
    } else if let (Ok(8), bytes) = file.read_at([0; 8], 0).await {
        stored = u64::from_le_bytes(bytes);
    }
    sim::assert_always(
        stored >= acknowledged.get(),
        "acknowledged numbers are stored",
    );
    for number in stored + 1.. {
        file.write_all_at(number.to_le_bytes(), 0).await.0?;
        drop(file.sync_data().await);
        acknowledged.set(number);
        // At the same moments after each start.
        let now = sim::elapsed().unwrap().as_millis() as u32;
        sleep(MILLI * (100 - now % 100)).await;
    }
    Ok(())
}

/// A failure that needs two faults among hundreds.
fn store_with_noise(simulation: &mut Simulation) {
    add_noise(simulation);
    let acknowledged = Rc::new(Cell::new(0));
    simulation.host("db-1", move || store(acknowledged.clone()));
    simulation.client("operator", async {
        sleep(Duration::from_secs(3)).await;
        sim::disk("db-1")?.set(DiskFaults {
            sync_error: 0.2,
            ..DiskFaults::default()
        });
        for _ in 0..20 {
            sleep(MILLI * sim::rng().below(1000) as u32).await;
            for host in ["db-1", "source"] {
                match host == "db-1" && sim::rng().chance(0.5) {
                    true => sim::power_loss(host)?,
                    false => sim::crash(host)?,
                }
                sleep(300 * MILLI).await;
                sim::restart(host)?;
            }
        }
        Ok::<_, sim::Error>(())
    });
}

#[test]
fn failure_by_two_of_hundreds_of_faults_is_reduced_to_them() {
    let error = (0..50).find_map(|seed| sim::shrink([seed], store_with_noise));
    let error = error.expect("one of these seeds fails");
    let text = error.to_string();
    assert!(
        text.contains("`acknowledged numbers are stored` does not hold"),
        "{text}"
    );
    let families: Vec<_> = error.faults().iter().map(FaultRecord::fault).collect();
    let is_minimal = families == [Fault::SyncError, Fault::PowerLoss]
        || families == [Fault::SyncError, Fault::Crash];
    assert!(is_minimal, "{text}");
    let lines = lines(&error);
    assert!(
        lines[0].ends_with(": db-1: failed sync of /number"),
        "{text}"
    );
    assert!(lines[1].ends_with(" of db-1, for 300ms"), "{text}");
    for line in &lines {
        assert!(text.contains(line), "{text}");
    }
    let before = text.split(" with 2 of ").nth(1).unwrap();
    let before: usize = before.split(' ').next().unwrap().parse().unwrap();
    assert!(before >= 200, "{text}");
    assert!(!text.contains("no runs left"), "{text}");
    // The search is deterministic, too.
    let again = sim::shrink(error.seed(), store_with_noise).unwrap();
    assert_eq!(again.to_string(), text);
}

#[test]
fn same_failure_with_the_fewest_faults_is_reduced() {
    let error = sim::shrink(0..6, |simulation| {
        let seed = simulation.seed();
        let faults = [0, 9, 7, 4, 4, 1][seed as usize];
        simulation.client("client", async move {
            for _ in 0..faults {
                sim::partition("client", "other").unwrap();
                sleep(MILLI).await;
            }
            assert!(seed == 0 || seed == 5, "one way");
            assert!(seed == 0, "another way");
        });
        simulation.host("other", pending::<()>);
    });
    let error = error.unwrap();
    assert_eq!(error.seed(), Some(3), "{error}");
    assert!(error.to_string().contains("with 0 of 4 faults"), "{error}");
}

#[test]
fn failure_without_a_cause_among_the_faults_has_none() {
    let error = sim::shrink([1], |simulation| {
        add_noise(simulation);
        simulation.client("client", async {
            sleep(Duration::from_secs(5)).await;
            panic!("on purpose");
        });
    });
    let error = error.unwrap();
    assert!(error.faults().is_empty(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("on purpose\n\nafter 3 runs, it fails with 0 of "),
        "{text}"
    );
    assert!(
        sim::shrink([1], |simulation| {
            simulation.client("client", async {});
        })
        .is_none()
    );
}

#[test]
fn one_of_many_partitions_remains() {
    let error = sim::shrink([1], |simulation| {
        simulation
            .host("server", echo::<1>)
            .host("other", echo::<1>);
        simulation.client("operator", async {
            for second in 0..10 {
                sim::partition(["client", "operator"], "other")?;
                sim::hold("client", "server")?;
                sleep(10 * MILLI).await;
                sim::release("client", "server")?;
                sim::partition_oneway("server", "client")?;
                let length = if second == 7 { 5000 } else { 300 };
                sleep(MILLI * length).await;
                sim::network()?.calm();
                sleep(2000 * MILLI).await;
            }
            Ok::<_, sim::Error>(())
        });
        simulation.client("client", async {
            let mut stream = TcpStream::connect("server:7").await?;
            for _ in 0..300 {
                let answer = time::timeout(3000 * MILLI, async {
                    stream.write_all([1]).await.0?;
                    stream.read_exact([0; 1]).await.0
                });
                answer.await??;
                sleep(100 * MILLI).await;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        });
    });
    let error = error.unwrap();
    let lines = lines(&error);
    assert_eq!(lines.len(), 1, "{error}");
    assert!(
        lines[0].contains(": partition from server to client"),
        "{error}"
    );
    assert_eq!(error.faults()[0].key(), "blocked_packet:operator:24");
}

#[test]
fn restart_after_a_suppressed_crash_has_no_effect() {
    // Fails at the start after the fourth end of the program. There are ten, and half of them are restarts of a program that runs.
    let error = sim::shrink([1], |simulation| {
        let starts = Cell::new(0);
        simulation.host("db-1", move || {
            starts.set(starts.get() + 1);
            let starts = starts.get();
            async move {
                assert!(starts < 4, "start {starts}");
                pending::<()>().await
            }
        });
        simulation.client("operator", async {
            for number in 0..10 {
                sleep(1000 * MILLI).await;
                if number % 2 == 0 {
                    sim::crash("db-1")?;
                }
                sim::restart("db-1")?;
            }
            Ok::<_, sim::Error>(())
        });
    });
    let error = error.unwrap();
    assert_eq!(error.faults().len(), 3, "{error}");
    // Without the crash, no restart has taken its place.
    for fault in error.faults() {
        let seconds = fault.at().as_secs();
        let expected = if seconds % 2 == 1 {
            "crash of db-1"
        } else {
            "restart of db-1"
        };
        assert!(fault.to_string().contains(expected), "{error}");
    }
}

#[test]
fn error_of_the_code_that_builds_a_simulation_is_a_failure() {
    let error = sim::shrink([7, 8], |_| Err::<(), _>("no configuration")).unwrap();
    assert_eq!((error.seed(), error.faults()), (Some(7), [].as_slice()));
    let text = "seed 7, virtual time 0ns: the program has failed: no configuration";
    assert!(error.to_string().starts_with(text), "{error}");
}

#[test]
fn another_failure_does_not_count() {
    let error = sim::shrink([1], |simulation| {
        simulation.host("db-1", async || {
            let is_first = sim::elapsed() == Some(Duration::ZERO);
            assert!(is_first, "the end of a program");
            pending::<()>().await
        });
        simulation.client("operator", async {
            sleep(Duration::from_secs(10)).await;
            sim::crash("db-1")?;
            sim::crash("operator-2")?;
            sleep(Duration::from_secs(1)).await;
            sim::restart("db-1")?;
            sleep(Duration::from_secs(20)).await;
            Ok::<_, sim::Error>(())
        });
        simulation.client("operator-2", async {
            sleep(Duration::from_secs(15)).await;
            panic!("without the crash");
        });
    });
    let error = error.unwrap();
    assert!(
        error.to_string().contains("the end of a program"),
        "{error}"
    );
    assert_eq!(lines(&error), ["at 10s: crash of db-1, for 1s"]);
}

#[test]
fn search_ends_after_its_last_run() {
    // Fails without 101 of 300 datagrams, of which half are lost.
    let error = sim::shrink([1], |simulation| {
        simulation.network(NetworkFaults {
            loss: 0.5,
            ..NetworkFaults::default()
        });
        simulation.client("source", async {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            for _ in 0..300 {
                socket.send_to("datagram", "sink:9").await.0?;
                sleep(MILLI * 10).await;
            }
            io::Result::Ok(())
        });
        simulation.client("sink", async {
            let socket = UdpSocket::bind("0.0.0.0:9").await?;
            let mut received = 0;
            let receive = async {
                loop {
                    socket.recv_from(Vec::with_capacity(9)).await.0?;
                    received += 1;
                }
                #[allow(unreachable_code, reason = "it names the type of the errors")]
                io::Result::Ok(())
            };
            drop(time::timeout(Duration::from_secs(10), receive).await);
            match received {
                ..200 => Err(io::Error::other(format!("{received} datagrams"))),
                _ => Ok(()),
            }
        });
    });
    let error = error.unwrap();
    let text = error.to_string();
    assert!(text.contains("after 200 runs, it fails with 1"), "{text}");
    assert!(
        text.contains("and may fail with less: there were no runs left"),
        "{text}"
    );
    assert!((101..130).contains(&error.faults().len()), "{text}");
}

#[test]
fn faults_have_texts_and_keys() {
    let mut simulation = Simulation::builder().build();
    simulation.host("a b", async || {
        let file = File::create("/file")?;
        file.write_all_at([1; 1000], 0).await.0?;
        file.sync_all().await?;
        File::open("/")?.sync_all().await?;
        // Sector 1 is in both.
        file.write_all_at([2; 600], 900).await.0?;
        fs::rename("/file", "/other").await?;
        pending::<io::Result<()>>().await
    });
    simulation.disk(
        "a b",
        DiskFaults {
            stall_chance: 1.0,
            stall: MILLI..=MILLI,
            unsynced: Unsynced::Lost,
            ..DiskFaults::default()
        },
    );
    simulation.client("client", async {
        sleep(1000 * MILLI).await;
        sim::link("client", "a b")?.set(NetworkFaults {
            latency: Some(MILLI..=MILLI),
            loss: 1.0,
            ..NetworkFaults::default()
        });
        drop(time::timeout(500 * MILLI, TcpStream::connect("a b:80")).await);
        sim::hold("client", ["a b"])?;
        sim::power_loss("a b")?;
        sleep(1000 * MILLI).await;
        sim::repair("client", "a b")?;
        assert!(sim::rng().chance(0.0), "the end");
        Ok::<_, sim::Error>(())
    });
    let error = simulation.run().unwrap_err();
    let stall = |at| format!("at {at}ms: a b: stall of 1ms");
    let at = "at 1.5s: ";
    let names = format!("{at}a b: loss of unsynced changes of names: file, other");
    let expected = [
        ("at 0ns: a b: stall of 1ms", "stall_of_a_disk:a%20b:0:1"),
        (&stall(1), "stall_of_a_disk:a%20b:1000000:0"),
        (&stall(2), "stall_of_a_disk:a%20b:2000000:0"),
        (&stall(3), "stall_of_a_disk:a%20b:3000000:0"),
        (
            "at 1.001s: client to a b: loss of a packet",
            "lost_packet:client:a%20b:1001000000:0",
        ),
        (
            &format!("{at}hold between client and a b, for 1s"),
            "blocked_packet:client:1",
        ),
        (
            &format!("{at}loss of power of a b"),
            "loss_of_power:client:1",
        ),
        (&names, "loss_of_unsynced_changes:a%20b:1500000000:0"),
        (
            &format!(
                "{at}a b: loss of unsynced changes of /other: sectors 1, 2; length 1000 instead of 1500"
            ),
            "loss_of_unsynced_changes:a%20b:1500000000:3",
        ),
    ];
    let lines = lines(&error);
    let faults = lines
        .iter()
        .map(String::as_str)
        .zip(error.faults().iter().map(FaultRecord::key));
    assert_eq!(faults.collect::<Vec<_>>(), expected);
}

/// Run by the next test.
#[compio::test(sim, seeds = 100)]
#[ignore = "fails on purpose, in a child process"]
fn child_loses_a_number(simulation: &mut Simulation) {
    store_with_noise(simulation);
}

#[test]
fn environment_variables_reduce_and_repeat_a_failure() {
    let run = |variables: &[_]| run_child("shrinking::child_loses_a_number", variables);
    let value_of = |text: &str, name: &str| {
        let value = text.split(&format!("{name}=")).nth(1);
        let value = value.unwrap_or_else(|| panic!("{text}"));
        value.split(' ').next().unwrap().to_owned()
    };
    // Without a reduction, there are the last faults and the command.
    let (is_success, text) = run(&[]);
    assert!(!is_success && text.contains("the last of "), "{text}");
    assert!(
        text.contains("COMPIO_SIM_SHRINK=1 cargo test shrinking::child_loses_a_number\n"),
        "{text}"
    );
    let seed = value_of(&text, "COMPIO_SIM_SEED");
    let seed = ("COMPIO_SIM_SEED", seed.as_str());

    let (is_success, text) = run(&[seed, ("COMPIO_SIM_SHRINK", "1")]);
    assert!(
        !is_success && text.contains("it fails with 2 of "),
        "{text}"
    );
    // Only the first run and the last one print their panics, and the test itself.
    assert_eq!(text.matches("panicked at").count(), 3, "{text}");
    let faults = value_of(&text, "COMPIO_SIM_FAULTS");
    assert!(faults.starts_with("sync_error:db-1:"), "{faults}");
    assert_eq!(faults.matches(',').count(), 1, "{faults}");

    let (is_success, again) = run(&[seed, ("COMPIO_SIM_FAULTS", &faults)]);
    let failure = |text: &str| {
        text.split("seed ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(!is_success && failure(&again) == failure(&text), "{again}");
    assert_eq!(value_of(&again, "COMPIO_SIM_FAULTS"), faults);

    let (is_success, text) = run(&[seed, ("COMPIO_SIM_FAULTS", "")]);
    assert!(is_success, "{text}");
    let (is_success, text) = run(&[seed, ("COMPIO_SIM_FAULTS", "lost:db-1:0")]);
    assert!(
        !is_success && text.contains("`lost:db-1:0` is no key"),
        "{text}"
    );
    let (is_success, text) = run(&[("COMPIO_SIM_FAULTS", "")]);
    assert!(
        !is_success && text.contains("which COMPIO_SIM_SEED must have"),
        "{text}"
    );
}
