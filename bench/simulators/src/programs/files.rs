//! Faults of programs with several files, and of slow reads.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use crate::{Scenario, System};

const PAUSE: Duration = Duration::from_millis(5);
const LEN: usize = 4096;

/// Replaces a file by a rename.
async fn replace<S: System>(version: u8, sync: bool, sync_directory: bool) -> io::Result<()> {
    let file = S::create("/current.new").await?;
    S::write_at(&file, vec![version; LEN], 0).await?;
    if sync {
        S::sync(&file).await?;
    }
    S::rename("/current.new", "/current").await?;
    if sync_directory {
        S::sync_directory("/").await?;
    }
    Ok(())
}

fn replaced<S: System>(scenario: &mut Scenario, sync: bool, sync_directory: bool) {
    let host = scenario.host("database", move |observer| async move {
        if observer.is_restart() {
            let found = S::read("/current").await?;
            let version = found.first().copied().unwrap_or(0);
            observer.check(
                u64::from(version) >= observer.acknowledged(),
                "an acknowledged version is lost",
            );
            observer.check(
                found.is_empty() && observer.acknowledged() == 0 || found == [version; LEN],
                "the content is not complete",
            );
            observer.finish();
            return Ok(());
        }
        for version in 1..200 {
            replace::<S>(version, sync, sync_directory).await?;
            observer.acknowledge(version.into());
            S::sleep(PAUSE).await;
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// The new name is not durable.
pub fn rename_without_directory_sync<S: System>(scenario: &mut Scenario, faulty: bool) {
    replaced::<S>(scenario, true, !faulty);
}

/// The new name is durable before the content.
pub fn rename_without_file_sync<S: System>(scenario: &mut Scenario, faulty: bool) {
    replaced::<S>(scenario, !faulty, true);
}

/// The main file is empty after a loss of power, so the recovery takes the database for a new one and removes its log.
pub fn empty_main_file<S: System>(scenario: &mut Scenario, faulty: bool) {
    let host = scenario.host("database", move |observer| async move {
        if S::read("/main").await?.is_empty() {
            S::remove("/log").await?;
            let main = S::open("/main").await?;
            S::write_at(&main, b"header".to_vec(), 0).await?;
            if !faulty {
                S::sync(&main).await?;
            }
        }
        let log = S::open("/log").await?;
        S::sync_directory("/").await?;
        if observer.is_restart() {
            let len = S::read("/log").await?.len() as u64;
            observer.check(len >= observer.acknowledged(), "the log was removed");
            observer.finish();
            return Ok(());
        }
        for number in 0.. {
            S::write_at(&log, vec![1], number).await?;
            S::sync(&log).await?;
            observer.acknowledge(number + 1);
            S::sleep(PAUSE).await;
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// Each of two logs recovers to its own end: a transaction is in one of them.
pub fn logs_of_two_versions<S: System>(scenario: &mut Scenario, faulty: bool) {
    let host = scenario.host("database", move |observer| async move {
        let (left, right) = (S::open("/left").await?, S::open("/right").await?);
        S::sync_directory("/").await?;
        if observer.is_restart() {
            let mut versions = [
                S::read("/left").await?.len(),
                S::read("/right").await?.len(),
            ];
            if !faulty {
                versions = [versions[0].min(versions[1]); 2];
            }
            observer.check(
                versions[0] == versions[1],
                "a half of a transaction is lost",
            );
            observer.check(
                versions[0] as u64 >= observer.acknowledged(),
                "an acknowledged transaction is lost",
            );
            observer.finish();
            return Ok(());
        }
        for number in 0.. {
            for log in [&left, &right] {
                S::write_at(log, vec![1], number).await?;
                S::sync(log).await?;
                S::sleep(PAUSE).await;
            }
            observer.acknowledge(number + 1);
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// A header without its body is neither accepted nor rejected: the recovery waits without end.
pub fn header_without_body<S: System>(scenario: &mut Scenario, faulty: bool) {
    let host = scenario.host("replica", move |observer| async move {
        let (headers, bodies) = (S::open("/headers").await?, S::open("/bodies").await?);
        S::sync_directory("/").await?;
        if observer.is_restart() {
            let (headers, bodies) = (S::read("/headers").await?, S::read("/bodies").await?);
            if faulty && headers.len() > bodies.len() {
                return std::future::pending().await;
            }
            observer.finish();
            return Ok(());
        }
        for number in 0.. {
            for file in [&headers, &bodies] {
                S::write_at(file, vec![1], number).await?;
                S::sync(file).await?;
                S::sleep(PAUSE).await;
            }
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// A read of an older view ends after the change of the view, and is accepted.
pub fn read_of_older_view<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.host("replica", move |observer| async move {
        let file = S::open("/views").await?;
        for number in 0..200 {
            S::write_at(&file, vec![number; 512], u64::from(number) * 512).await?;
        }
        S::sync(&file).await?;
        let view = Rc::new(Cell::new(0_u8));
        let changes = view.clone();
        S::spawn(async move {
            for number in 0..200 {
                changes.set(number);
                S::sleep(PAUSE).await;
            }
        });
        for _ in 0..100 {
            let requested = view.get();
            let found = S::read_at(&file, 512, u64::from(requested) * 512).await?;
            if faulty || requested == view.get() {
                observer.check(found[0] == view.get(), "an older view was accepted");
            }
            S::sleep(Duration::from_millis(3)).await;
        }
        observer.finish();
        Ok(())
    });
}
