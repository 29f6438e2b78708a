//! The nodes and clients under simulation.

mod checker;

use std::{cell::Cell, io, rc::Rc, time::Duration};

use compio::{
    sim::{self, CompletionFaults, DiskFaults, ErrorKind, Simulation},
    time::{sleep, timeout},
};

use self::checker::Checker;
use crate::{
    bug::Bug,
    client::Client,
    node::{self, Config},
};

const NODES: usize = 3;
const CLIENTS: u64 = 2;
/// The values of each client during the faults.
const APPENDS: u64 = 12;
/// The virtual time after which the cluster must have recovered. The faults take 30 seconds at most.
const LIMIT: Duration = Duration::from_secs(90);
/// The faults of a run.
const FAULTS: usize = 12;

fn name(node: usize) -> String {
    format!("node-{node}")
}

fn addresses() -> Vec<String> {
    (0..NODES)
        .map(|node| format!("{}:7000", name(node)))
        .collect()
}

/// A cluster, clients, and an operator who injects faults.
fn cluster(simulation: &mut Simulation, bug: Bug) {
    let checker = Checker::default();
    let calm = Rc::new(Cell::new(false));
    for id in 0..NODES {
        let checker = checker.clone();
        simulation.host(&name(id), move || supervise(id, bug, checker.clone()));
    }
    for id in 1..=CLIENTS {
        let client = use_log(id, calm.clone(), checker.clone());
        simulation.client(&format!("client-{id}"), async {
            let ended = timeout(LIMIT, client).await;
            sim::assert_always(ended.is_ok(), checker::RECOVERS);
        });
    }
    simulation.client("operator", inject_faults(calm));
    for name in checker::ALWAYS {
        simulation.must_reach(name);
    }
}

/// Starts a node again after each error of its disk.
async fn supervise(id: usize, bug: Bug, checker: Checker) -> io::Result<()> {
    loop {
        let random = sim::rng().next_u64();
        let directory = "/".into();
        let config = Config {
            id,
            addresses: addresses(),
            directory,
            random,
            bug,
        };
        let ended = node::run(config, checker.at(id)).await;
        sim::assert_sometimes(ended.is_err(), "a disk failed");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Appends values during the faults, and one more after them. All have to be in the log then, in their order.
async fn use_log(id: u64, calm: Rc<Cell<bool>>, checker: Checker) {
    let mut client = Client::new(id, addresses());
    let mut appended = Vec::new();
    while appended.len() < APPENDS as usize || !calm.get() {
        if appended.len() < APPENDS as usize {
            appended.push(append(&mut client).await);
        }
        sleep(Duration::from_millis(sim::rng().below(400))).await;
    }
    // The cluster has to get on by itself.
    appended.push(append(&mut client).await);
    let values = client.read().await;
    let own = values.into_iter().filter(|(client, ..)| *client == id);
    let own: Vec<Vec<u8>> = own.map(|(_, _, value)| value).collect();
    sim::assert_always(own == appended, checker::ACKNOWLEDGED);
    while !checker.nodes_agree() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Appends a value of a random length, often of several sectors.
async fn append(client: &mut Client) -> Vec<u8> {
    let rng = sim::rng();
    let mut value = vec![0; rng.below(3000) as usize];
    rng.fill(&mut value);
    client.append(value.clone()).await;
    value
}

/// Injects faults, and repairs all at the end.
async fn inject_faults(calm: Rc<Cell<bool>>) -> Result<(), sim::Error> {
    let rng = sim::rng();
    for node in 0..NODES {
        let disk = sim::disk(&name(node))?;
        // The nodes do not repair lost sectors and flipped bits by the logs of others.
        disk.set(DiskFaults {
            read_error: 0.0,
            bit_rot: 0.0,
            ..disk.draw()
        });
        let (clock, completions) = (sim::clock(&name(node))?, sim::completions(&name(node))?);
        clock.set(clock.draw());
        completions.set(completions.draw());
    }
    let millis = |limit| Duration::from_millis(rng.below(limit));
    for _ in 0..FAULTS {
        sleep(millis(1000)).await;
        let first = rng.below(NODES as u64) as usize;
        // Mostly a minority is down.
        let count = if rng.chance(0.2) { NODES } else { 1 };
        let nodes = (first..first + count).map(|node| name(node % NODES));
        let nodes: Vec<String> = nodes.collect();
        for node in &nodes {
            if rng.chance(0.3) {
                sim::crash(node)?
            } else {
                sim::power_loss(node)?
            }
        }
        for node in &nodes {
            sleep(millis(500)).await;
            sim::restart(node)?;
        }
    }
    for node in 0..NODES {
        sim::disk(&name(node))?.set(DiskFaults::default());
        sim::completions(&name(node))?.set(CompletionFaults::default());
    }
    calm.set(true);
    Ok(())
}

#[compio::test(sim, seeds = 300)]
fn cluster_with_faults_loses_no_entry(simulation: &mut Simulation) {
    cluster(simulation, Bug::None);
}

#[compio::test(sim, seeds = 300..10_000)]
#[ignore = "takes minutes: it is run by hand"]
fn cluster_with_faults_and_many_seeds_loses_no_entry(simulation: &mut Simulation) {
    cluster(simulation, Bug::None);
}

#[test]
fn two_runs_of_a_seed_are_equal() {
    let run = |seed| {
        let mut simulation = Simulation::builder().seed(seed).build();
        cluster(&mut simulation, Bug::None);
        simulation.run().unwrap_or_else(|error| panic!("{error}"))
    };
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
}

/// Requires that one of 1,000 seeds violates an invariant.
#[track_caller]
fn find(bug: Bug) {
    let error = sim::run_seeds(0..1000, |simulation| cluster(simulation, bug));
    let error = error.expect_err("the bug is not found");
    let is_violation =
        matches!(error.kind(), ErrorKind::Panic(message) if message.contains("does not hold"));
    assert!(is_violation, "another failure: {error}");
    println!("{bug:?}: {error}");
}

#[test]
fn answer_before_sync_is_found() {
    find(Bug::AnswersBeforeSync);
}

#[test]
fn forgotten_vote_is_found() {
    find(Bug::ForgetsVote);
}

#[test]
fn trusted_torn_record_is_found() {
    find(Bug::TrustsLastRecord);
}
