//! The shuffled order of all that is ready together.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    io,
    rc::Rc,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sim::{self, Simulation},
    task, time,
};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

/// The logs of runs with these seeds, each with a shuffled order.
fn shuffled(
    seeds: std::ops::Range<u64>,
    build: impl Fn(&mut Simulation, Log),
) -> BTreeSet<Vec<String>> {
    let run = |seed| {
        let log = Log::default();
        let mut simulation = Simulation::builder().seed(seed).shuffle(true).build();
        build(&mut simulation, log.clone());
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
        log.entries()
    };
    seeds.map(run).collect()
}

/// A program that relies on the order of two tasks.
fn run_faulty(simulation: &mut Simulation) {
    simulation.client("client", async {
        let config = Rc::new(Cell::new(None));
        let into = Rc::clone(&config);
        let load = task::spawn(async move { into.set(Some(7)) });
        let serve = task::spawn(async move { config.get().expect("no configuration") });
        load.await.unwrap();
        assert_eq!(serve.await.unwrap(), 7);
    });
}

#[test]
fn fault_in_the_order_of_tasks_is_found_within_20_seeds() {
    let error = sim::run_seeds(0..20, run_faulty).unwrap_err();
    assert!(matches!(error.kind(), sim::ErrorKind::Panic(_)), "{error}");
    for seed in 0..20 {
        let mut simulation = Simulation::builder().seed(seed).shuffle(false).build();
        run_faulty(&mut simulation);
        simulation.run().unwrap();
    }
}

#[test]
fn half_of_the_seeds_shuffle() {
    let mut shuffles = 0;
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.client("client", async move {
            for number in 0..10 {
                let log = log.clone();
                task::spawn(async move { log.add(number.to_string()) }).detach();
            }
            time::sleep(SECOND).await;
        });
        simulation.run().unwrap();
        let in_order: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        shuffles += usize::from(seen.entries() != in_order);
    }
    assert!((25..=75).contains(&shuffles), "{shuffles}");
}

#[test]
fn woken_tasks_run_in_each_order() {
    let orders = shuffled(0..100, |simulation, log| {
        simulation.client("client", async move {
            let (wake, woken) = tokio::sync::watch::channel(());
            for name in ["a", "b", "c"] {
                let (log, mut woken) = (log.clone(), woken.clone());
                task::spawn(async move {
                    woken.changed().await.unwrap();
                    log.add(name);
                })
                .detach();
            }
            time::sleep(SECOND).await;
            wake.send(()).unwrap();
            time::sleep(SECOND).await;
        });
    });
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn completions_of_one_turn_come_in_each_order() {
    let orders = shuffled(0..100, |simulation, log| {
        simulation.client("client", async move {
            // All in one task, whose polls are not shuffled.
            let jobs = ["a", "b", "c"].map(|name| task::spawn_blocking(move || name));
            let mut jobs: FuturesUnordered<_> = jobs.into_iter().collect();
            while let Some(name) = jobs.next().await {
                log.add(name.unwrap());
            }
        });
    });
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn hosts_run_in_each_order() {
    let orders = shuffled(0..100, |simulation, log| {
        for name in ["a", "b", "c"] {
            let log = log.clone();
            simulation.client(name, async move { log.add(name) });
        }
    });
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn events_of_one_moment_occur_in_each_order() {
    let orders = shuffled(0..100, |simulation, log| {
        for (name, first) in [("a", 1), ("b", 2), ("c", 3)] {
            let log = log.clone();
            simulation.client(name, async move {
                // The events are created at different moments.
                time::sleep(first * SECOND).await;
                time::sleep((10 - first) * SECOND).await;
                log.add(name);
            });
        }
    });
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn no_task_starves() {
    const TASKS: u64 = 200;
    shuffled(0..20, |simulation, _| {
        simulation.client("client", async {
            let polls = Rc::new(Cell::new(0));
            let tasks = (0..TASKS).map(|_| {
                let polls = Rc::clone(&polls);
                task::spawn(async move {
                    let mut last = polls.get();
                    for _ in 0..50 {
                        task::yield_now().await;
                        polls.set(polls.get() + 1);
                        assert!(polls.get() - last < 2 * TASKS, "a task has waited too long");
                        last = polls.get();
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn bytes_of_a_stream_keep_their_order_in_one_moment() {
    for seed in 0..100 {
        let builder = Simulation::builder().seed(seed).shuffle(true);
        let mut simulation = builder.latency(Duration::ZERO..=Duration::ZERO).build();
        simulation.host("server", || async {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                task::spawn(async move {
                    loop {
                        let (read, bytes) = stream.read(Vec::with_capacity(100)).await;
                        if read.unwrap() == 0 {
                            break;
                        }
                        stream.write_all(bytes).await.0.unwrap();
                    }
                })
                .detach();
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            io::Result::Ok(())
        });
        for name in ["a", "b"] {
            simulation.client(name, async {
                let stream = Rc::new(TcpStream::connect("server:7").await?);
                let sent: Vec<u8> = (0..10_000_u32)
                    .map(|number| number as u8 ^ (number >> 8) as u8)
                    .collect();
                let writer = Rc::clone(&stream);
                let bytes = sent.clone();
                let write = task::spawn(async move {
                    let mut writer = &*writer;
                    for part in bytes.chunks(77) {
                        writer.write_all(part.to_vec()).await.0?;
                    }
                    io::Result::Ok(())
                });
                let (read, echoed) = (&*stream).read_exact(vec![0; sent.len()]).await;
                read?;
                write.await.unwrap()?;
                assert!(echoed == sent, "bytes are in another order");
                io::Result::Ok(())
            });
        }
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn shuffled_run_is_repeated_by_its_seed() {
    let run = |seed| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let lines = Rc::clone(&log);
        let builder = Simulation::builder().seed(seed).shuffle(true);
        let builder = builder.on_line(move |line| lines.borrow_mut().push(line.to_owned()));
        let mut simulation = builder.build();
        simulation.host("server", super::echo::<4>);
        for name in ["a", "b", "c"] {
            simulation.client(name, async {
                let mut clients = task::JoinSet::new();
                for _ in 0..5 {
                    clients.spawn(async {
                        let mut stream = TcpStream::connect("server:7").await?;
                        stream.write_all("ping").await.0?;
                        stream.read_exact([0; 4]).await.0
                    });
                }
                while let Some(ended) = clients.join_next().await {
                    ended.unwrap().unwrap();
                }
            });
        }
        let report = simulation.run().unwrap();
        (report.trace_hash(), log.take())
    };
    for seed in 0..10 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
}
