//! The nodes and clients under simulation.

mod checker;

use std::{env, io, time::Duration};

use compio::{
    sim::{self, DiskFaults, ErrorKind, Fault, Restart, Simulation},
    time::sleep,
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
/// The virtual time with faults.
const FAULTS: Duration = Duration::from_secs(12);
/// The time in which the cluster must recover after them.
const RECOVERY: Duration = Duration::from_secs(60);
/// The faults that some seed has to meet.
const FAMILIES: [Fault; 9] = [
    Fault::Crash,
    Fault::UnsyncedLoss,
    Fault::WriteError,
    Fault::SyncError,
    Fault::ShortWrite,
    Fault::Blocked,
    Fault::Loss,
    Fault::Clog,
    Fault::Reset,
];

fn name(node: usize) -> String {
    format!("node-{node}")
}

fn client_name(id: u64) -> String {
    format!("client-{id}")
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn addresses() -> Vec<String> {
    (0..NODES)
        .map(|node| format!("{}:7000", name(node)))
        .collect()
}

/// A cluster, clients, and programs that inject faults until the calm phase.
fn cluster(simulation: &mut Simulation, bug: Bug) {
    let checker = Checker::default();
    for id in 0..NODES {
        let checker = checker.clone();
        simulation.host(&name(id), move || run_node(id, bug, checker.clone()));
        // A node ends with each error of its disk.
        let after = millis(100)..=millis(300);
        simulation.restart_policy(&name(id), Restart::OnFailure { after });
    }
    for id in 1..=CLIENTS {
        simulation.client(&client_name(id), use_log(id, checker.clone()));
    }
    simulation.host("operator", stop_nodes);
    simulation.host("network", disturb_network);
    simulation.calm_after(FAULTS, RECOVERY);
    for name in checker::ALWAYS {
        simulation.must_reach(name);
    }
}

fn correct_cluster(simulation: &mut Simulation) {
    cluster(simulation, Bug::None);
    for fault in FAMILIES {
        simulation.must_occur_sometimes(fault);
    }
}

async fn run_node(id: usize, bug: Bug, checker: Checker) -> io::Result<()> {
    let config = Config {
        id,
        addresses: addresses(),
        directory: "/".into(),
        random: sim::rng().next_u64(),
        bug,
    };
    node::run(config, checker.at(id)).await
}

/// Appends values during the faults, and one more after them. All have to be in the log then, in their order.
async fn use_log(id: u64, checker: Checker) {
    let mut client = Client::new(id, addresses());
    let mut appended = Vec::new();
    while appended.len() < APPENDS as usize || !sim::is_calm() {
        if appended.len() < APPENDS as usize {
            appended.push(append(&mut client).await);
        }
        sleep(millis(sim::rng().below(400))).await;
    }
    // The cluster has to get on by itself.
    appended.push(append(&mut client).await);
    let values = client.read().await;
    let own = values.into_iter().filter(|(client, ..)| *client == id);
    let own: Vec<Vec<u8>> = own.map(|(_, _, value)| value).collect();
    sim::assert_always(own == appended, checker::ACKNOWLEDGED);
    while !checker.nodes_agree() {
        sleep(millis(50)).await;
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

/// Crashes nodes, takes their power, and lets their disks fail.
async fn stop_nodes() -> Result<(), sim::Error> {
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
    loop {
        sleep(millis(rng.below(1000))).await;
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
            sleep(millis(rng.below(500))).await;
            sim::restart(node)?;
        }
    }
}

/// Lets the network lose and delay packets, and cuts links, also in one direction. Each with a half of the seeds: bugs of
/// crashes need a cluster that makes progress.
async fn disturb_network() -> Result<(), sim::Error> {
    let rng = sim::rng();
    let network = sim::network()?;
    if rng.chance(0.5) {
        network.set(network.draw());
    }
    if rng.chance(0.5) {
        return Ok(());
    }
    let clients = (1..=CLIENTS).map(client_name);
    let mut hosts: Vec<String> = (0..NODES).map(name).chain(clients).collect();
    loop {
        sleep(millis(rng.below(2000))).await;
        rng.shuffle(&mut hosts);
        let (some, others) = hosts.split_at(1 + rng.below(hosts.len() as u64 - 1) as usize);
        match rng.below(3) {
            0 => sim::partition(some, others)?,
            1 => sim::partition_oneway(some, others)?,
            _ => sim::hold(some, others)?,
        }
        sleep(millis(rng.below(2000))).await;
        sim::repair(some, others)?;
    }
}

#[compio::test(sim, seeds = 300)]
fn cluster_with_faults_loses_no_entry(simulation: &mut Simulation) {
    correct_cluster(simulation);
}

#[compio::test(sim, seeds = 300..10_000)]
#[ignore = "takes minutes: it is run by hand"]
fn cluster_with_faults_and_many_seeds_loses_no_entry(simulation: &mut Simulation) {
    correct_cluster(simulation);
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

/// Requires that one of 1,000 seeds violates an invariant, or does not recover. A reduction looks for a failure with few faults in
/// more seeds.
#[track_caller]
fn find(bug: Bug) {
    let is_reduced = env::var_os("COMPIO_SIM_SHRINK").is_some();
    let seeds = if is_reduced { 0..3000 } else { 0..1000 };
    let error = sim::run_seeds(seeds, |simulation| cluster(simulation, bug));
    let error = error.expect_err("the bug is not found");
    let is_found = matches!(
        error.kind(),
        ErrorKind::Violated { .. } | ErrorKind::NoRecovery(_)
    );
    assert!(is_found, "another failure: {error}");
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
