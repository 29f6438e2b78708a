//! Faults of states, of the order of tasks, and chance that a simulator may or may not determine.

use std::{
    cell::Cell,
    collections::HashSet,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Fault, Scenario, System};

const PORT: u16 = 80;
const LEASE: Duration = Duration::from_millis(500);
const RENEWAL: Duration = Duration::from_millis(100);

/// A leader stores its role in a file, and still has it after a restart.
pub fn role_after_restart<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.limit = Duration::from_secs(31);
    let registry = scenario.host("registry", |_| registry::<S>());
    // The ends of the leases that the nodes know of.
    let leases = Arc::new(Mutex::new([Duration::ZERO; 2]));
    for (node, name) in ["node-1", "node-2"].into_iter().enumerate() {
        let leases = leases.clone();
        scenario.host(name, move |observer| {
            let leases = leases.clone();
            async move {
                let lead = |until| {
                    let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
                    observer.check(
                        leases[1 - node] <= S::now() || until <= S::now(),
                        "there are two leaders",
                    );
                    leases[node] = until;
                };
                let file = S::open("/role").await?;
                S::sync_directory("/").await?;
                let is_leader = S::read("/role").await?.first() == Some(&1);
                lead(if is_leader && faulty {
                    S::now() + LEASE
                } else {
                    Duration::ZERO
                });
                let socket = S::bind(PORT).await?;
                let registry = SocketAddr::new(Scenario::address(registry), PORT);
                // The second node comes later.
                S::sleep(RENEWAL * node as u32).await;
                for number in 0..20 {
                    let sent = S::now();
                    S::send_to(&socket, vec![number], registry).await?;
                    let answer = S::timeout(LEASE / 2, S::recv_from(&socket)).await;
                    let is_leader = matches!(answer, Some(Ok((bytes, _))) if bytes == [number, 1]);
                    S::write_at(&file, vec![is_leader.into()], 0).await?;
                    S::sync(&file).await?;
                    lead(if is_leader {
                        sent + LEASE
                    } else {
                        Duration::ZERO
                    });
                    S::sleep(RENEWAL).await;
                }
                observer.finish();
                Ok(())
            }
        });
    }
    let pause = Duration::from_millis(100) + scenario.millis_below(1000);
    scenario.restart_after(Fault::Crash(1), 1, pause);
}

/// Gives one node a lease at a time.
async fn registry<S: System>() -> std::io::Result<()> {
    let socket = S::bind(PORT).await?;
    let mut holder: Option<(SocketAddr, Duration)> = None;
    loop {
        let (number, node) = S::recv_from(&socket).await?;
        let is_free = holder.is_none_or(|(holder, end)| holder == node || end <= S::now());
        if is_free {
            holder = Some((node, S::now() + LEASE));
        }
        S::send_to(&socket, vec![number[0], is_free.into()], node).await?;
    }
}

const CHANGE: u8 = 1;
const PROBE: u8 = 2;

/// A probe overtakes the change of a view. The backup takes the number of the view from it, ignores the change, and keeps an entry that
/// the change truncates.
pub fn view_from_probe<S: System>(scenario: &mut Scenario, faulty: bool) {
    let backup = scenario.host("backup", move |_| async move {
        let socket = S::bind(PORT).await?;
        let (mut view, mut entries) = (1, 3);
        loop {
            let (message, primary) = S::recv_from(&socket).await?;
            if message == [CHANGE, 2] && view < 2 {
                (view, entries) = (2, 2);
            }
            if message == [PROBE, 2] && faulty {
                view = 2;
            }
            S::send_to(&socket, vec![view, entries], primary).await?;
        }
    });
    scenario.host("primary", move |observer| async move {
        let socket = S::bind(PORT).await?;
        let backup = SocketAddr::new(Scenario::address(backup), PORT);
        loop {
            S::sleep(RENEWAL).await;
            for kind in [CHANGE, PROBE] {
                S::send_to(&socket, vec![kind, 2], backup).await?;
            }
            let answer = S::timeout(LEASE, S::recv_from(&socket)).await;
            if let Some(Ok((state, _))) = answer
                && state[0] == 2
            {
                observer.check(state[1] == 2, "a truncated entry is in the new view");
                observer.finish();
                return Ok(());
            }
        }
    });
}

/// A task relies on the earlier start of another one.
pub fn order_of_tasks<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.host("host", move |observer| async move {
        let is_ready = Rc::new(Cell::new(false));
        let setter = is_ready.clone();
        S::spawn(async move { setter.set(true) });
        S::spawn(async move {
            while !faulty && !is_ready.get() {
                S::sleep(Duration::from_millis(1)).await;
            }
            observer.check(is_ready.get(), "a task has run before the other one");
            observer.finish();
        });
        S::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
}

/// The order of a hash table.
pub fn order_of_hash_set<S: System>(scenario: &mut Scenario, _: bool) {
    scenario.host("host", |observer| async move {
        let set: HashSet<u64> = (0..20).collect();
        S::sleep(Duration::from_millis(1)).await;
        for value in set {
            observer.record(value);
        }
        observer.finish();
        Ok(())
    });
}

/// The clock of std.
pub fn clock_of_std<S: System>(scenario: &mut Scenario, _: bool) {
    scenario.host("host", |observer| async move {
        let begin = Instant::now();
        S::sleep(Duration::from_secs(1)).await;
        observer.record(begin.elapsed().as_nanos() as u64);
        observer.finish();
        Ok(())
    });
}
