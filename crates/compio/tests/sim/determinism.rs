//! The course of a run depends on the seed alone.

use std::{io, time::Duration};

use compio::{
    fs,
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sim::{self, Report, Simulation},
    task, time,
};

use compio_testkit::process::this_test;

use super::Log;

/// A program with sockets, files, timers, tasks, blocking work and random numbers.
fn run(seed: u64) -> (Report, Vec<String>) {
    let log = Log::default();
    let mut simulation = Simulation::builder().seed(seed).build();
    simulation.host("server", || async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        for number in 0.. {
            let (mut stream, _) = listener.accept().await?;
            task::spawn(async move {
                let (read, bytes) = stream.read_to_end(Vec::new()).await;
                read?;
                fs::write(format!("/tmp/{number}"), bytes).await.0
            })
            .detach();
        }
        io::Result::Ok(())
    });
    for name in ["a", "b", "c"] {
        let log = log.clone();
        simulation.client(name, async move {
            for _ in 0..10 {
                time::sleep(Duration::from_micros(sim::rng().below(5000))).await;
                let mut stream = TcpStream::connect("server:80").await?;
                let len = sim::rng().below(100_000) as usize;
                let bytes = task::spawn_blocking(move || vec![1; len]).await.unwrap();
                stream.write_all(bytes).await.0?;
                log.add(format!("{name} {len} {:?}", sim::elapsed()));
            }
            io::Result::Ok(())
        });
    }
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    (report, log.entries())
}

#[test]
fn same_seed_takes_the_same_course() {
    for seed in 0..20 {
        let (one, other) = (run(seed), run(seed));
        assert_eq!(one, other, "seed {seed}");
        assert!(one.0.trace_len() > 500, "{:?}", one.0);
    }
}

#[test]
#[ignore = "a child of `same_seed_takes_the_same_course_in_another_process`"]
fn child_prints_its_hash() {
    println!("hash {:x}", run(11).0.trace_hash());
}

#[test]
fn same_seed_takes_the_same_course_in_another_process() {
    // Other addresses of memory, and other random states of std.
    let output = this_test("determinism::child_prints_its_hash")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!("hash {:x}", run(11).0.trace_hash());
    assert!(text.contains(&expected), "{expected} is not in {text}");
}

#[test]
fn other_seed_takes_another_course() {
    let (one, other) = (run(1), run(2));
    assert_ne!(one.0.trace_hash(), other.0.trace_hash());
    assert_ne!(one.1, other.1);
}

#[test]
fn random_stream_of_a_host_does_not_depend_on_other_hosts() {
    let numbers = |others: usize| {
        let log = Log::default();
        let mut simulation = Simulation::builder().seed(9).build();
        for other in 0..others {
            simulation.client(&format!("other-{other}"), async {
                sim::rng().next_u64();
            });
        }
        let seen = log.clone();
        simulation.client("a", async move {
            let mut bytes = [0; 12];
            sim::rng().fill(&mut bytes);
            let mut cards = [1, 2, 3, 4, 5, 6, 7];
            sim::rng().shuffle(&mut cards);
            log.add(format!("{bytes:?} {cards:?} {}", sim::rng().chance(0.5)));
        });
        simulation.run().unwrap();
        seen.entries()
    };
    assert_eq!(numbers(0), numbers(5));
}

#[test]
fn course_is_told_in_lines() {
    let course = || {
        let log = Log::default();
        let seen = log.clone();
        let builder = Simulation::builder().seed(3);
        let mut simulation = builder.on_line(move |line| log.add(line)).build();
        simulation.host("server", || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let _accepted = listener.accept().await?;
            std::future::pending::<io::Result<()>>().await
        });
        simulation.client("client", async {
            let mut stream = TcpStream::connect("server:80").await?;
            stream.write_all("hello").await.0?;
            fs::read("/missing").await.unwrap_err();
            time::sleep(Duration::from_secs(1)).await;
            sim::crash("server").unwrap();
            time::sleep(Duration::from_secs(1)).await;
            io::Result::Ok(())
        });
        simulation.run().unwrap();
        seen.entries()
    };
    let lines = course();
    assert_eq!(lines, course());
    let expected = [
        "server: accept of #1 (0)",
        "packet SYN of client 10.0.0.2:49152 (peer 10.0.0.1:80)",
        "server: result #3",
        "packet SYN-ACK at client 10.0.0.2:49152 (peer 10.0.0.1:80)",
        "client: send of #2 (5)",
        "client: result 5",
        "client: error No such file or directory (os error 2)",
        "server: crash",
        "packet RST at client 10.0.0.2:49152 (peer 10.0.0.1:80)",
        "client: the program has ended",
    ];
    let mut rest = lines.iter();
    for expected in expected {
        let found = rest.any(|line| line.split_once(' ').unwrap().1 == expected);
        assert!(found, "{expected} is missing in {lines:#?}");
    }
}
