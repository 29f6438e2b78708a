//! Faults of logs: files to which records are appended.

use std::{io, time::Duration};

use crate::{Fault, Observer, Scenario, System};

const PAUSE: Duration = Duration::from_millis(5);
/// The length of a number.
const NUMBER: usize = 8;

async fn open_log<S: System>() -> io::Result<S::File> {
    let log = S::open("/log").await?;
    S::sync_directory("/").await?;
    Ok(log)
}

/// Repeats a read that has failed.
async fn read_log<S: System>() -> Vec<u8> {
    loop {
        if let Ok(log) = S::read("/log").await {
            return log;
        }
    }
}

fn numbers(log: &[u8]) -> Vec<u64> {
    let (numbers, _) = log.as_chunks::<NUMBER>();
    numbers.iter().copied().map(u64::from_le_bytes).collect()
}

/// Appends a number at its place: 1 is the first one.
async fn append<S: System>(log: &S::File, number: u64) -> io::Result<()> {
    let offset = (number - 1) * NUMBER as u64;
    S::write_at(log, number.to_le_bytes().to_vec(), offset).await
}

fn check_numbers(log: &[u8], observer: &Observer) {
    let expected: Vec<u64> = (1..=observer.acknowledged()).collect();
    observer.check(
        numbers(log).starts_with(&expected),
        "an acknowledged number is lost",
    );
    observer.finish();
}

/// The acknowledgement comes before the sync.
pub fn acknowledged_before_sync<S: System>(scenario: &mut Scenario, faulty: bool) {
    let host = scenario.host("database", move |observer| async move {
        let log = open_log::<S>().await?;
        if observer.is_restart() {
            check_numbers(&S::read("/log").await?, &observer);
            return Ok(());
        }
        for number in 1.. {
            append::<S>(&log, number).await?;
            if !faulty {
                S::sync(&log).await?;
            }
            observer.acknowledge(number);
            S::sleep(PAUSE).await;
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// The pages of a failed sync are clean, so that a second sync succeeds without them.
pub fn retried_sync<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.disk.sync_error = 0.1;
    let host = scenario.host("database", move |observer| async move {
        let log = open_log_with_errors::<S>().await;
        if observer.is_restart() {
            check_numbers(&read_log::<S>().await, &observer);
            return Ok(());
        }
        for number in 1.. {
            while append::<S>(&log, number).await.is_err() {}
            while S::sync(&log).await.is_err() {
                while !faulty && append::<S>(&log, number).await.is_err() {}
            }
            observer.acknowledge(number);
            S::sleep(PAUSE).await;
        }
        Ok(())
    });
    scenario.lose_power(host);
}

async fn open_log_with_errors<S: System>() -> S::File {
    loop {
        if let Ok(log) = open_log::<S>().await {
            return log;
        }
    }
}

/// Numbers that were reported as aborted after a failed sync are in the cache, and come back with the next start.
pub fn aborted_entry_returns<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.disk.sync_error = 0.2;
    let host = scenario.host("database", move |observer| async move {
        let log = open_log_with_errors::<S>().await;
        if observer.is_restart() {
            let kept = numbers(&read_log::<S>().await);
            let aborted = observer.records();
            observer.check(
                !kept.iter().any(|number| aborted.contains(number)),
                "an aborted number is in the log",
            );
            observer.finish();
            return Ok(());
        }
        let mut place = 0;
        for number in 1_u64.. {
            let bytes = number.to_le_bytes().to_vec();
            while S::write_at(&log, bytes.clone(), place).await.is_err() {}
            if S::sync(&log).await.is_ok() {
                place += NUMBER as u64;
            } else if faulty {
                observer.record(number);
            }
            S::sleep(PAUSE).await;
        }
        Ok(())
    });
    let pause = Duration::from_millis(100);
    scenario.restart_after(Fault::Crash(host), host, pause);
}

/// Three sectors.
const RECORD: usize = 1536;
const CHECKSUM: usize = 8;

/// How a recovery finds the end of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Torn {
    Accepted,
    FoundByLength,
    FoundByChecksum,
    /// The recovery fails.
    Refused,
}

/// A record of one number, with its checksum.
fn record(number: u8) -> Vec<u8> {
    let mut record = vec![number; RECORD];
    let sum = checksum(&record[CHECKSUM..]);
    record[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    record
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn is_accepted(found: &[u8], torn: Torn) -> bool {
    match torn {
        Torn::Accepted | Torn::Refused => true,
        Torn::FoundByLength => found.len() == RECORD,
        Torn::FoundByChecksum => {
            found.len() == RECORD && found[..CHECKSUM] == checksum(&found[CHECKSUM..]).to_le_bytes()
        }
    }
}

fn torn_tail<S: System>(scenario: &mut Scenario, torn: Torn) {
    let host = scenario.host("database", move |observer| async move {
        let log = open_log::<S>().await?;
        if observer.is_restart() {
            let bytes = S::read("/log").await?;
            if torn == Torn::Refused {
                observer.check(bytes.len().is_multiple_of(RECORD), "the recovery fails");
                observer.finish();
                return Ok(());
            }
            let found = bytes.chunks(RECORD);
            let accepted: Vec<_> = found.take_while(|found| is_accepted(found, torn)).collect();
            for (found, number) in accepted.iter().zip(1..) {
                observer.check(*found == record(number), "a torn record was accepted");
            }
            observer.check(
                accepted.len() as u64 >= observer.acknowledged(),
                "an acknowledged record is lost",
            );
            observer.finish();
            return Ok(());
        }
        for number in 1..200 {
            let place = u64::from(number - 1) * RECORD as u64;
            S::write_at(&log, record(number), place).await?;
            S::sync(&log).await?;
            observer.acknowledge(number.into());
            S::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    });
    scenario.lose_power(host);
}

/// The last record may be short.
pub fn torn_tail_any_length<S: System>(scenario: &mut Scenario, faulty: bool) {
    torn_tail::<S>(
        scenario,
        if faulty {
            Torn::Accepted
        } else {
            Torn::FoundByChecksum
        },
    );
}

/// The last record has its length, but a sector of it is missing.
pub fn torn_tail_no_checksum<S: System>(scenario: &mut Scenario, faulty: bool) {
    torn_tail::<S>(
        scenario,
        if faulty {
            Torn::FoundByLength
        } else {
            Torn::FoundByChecksum
        },
    );
}

/// A short record at the end is an error, so that the database does not start.
pub fn torn_tail_refused<S: System>(scenario: &mut Scenario, faulty: bool) {
    let torn = if faulty {
        Torn::Refused
    } else {
        Torn::FoundByChecksum
    };
    torn_tail::<S>(scenario, torn);
}

const SECTOR: usize = 512;
const CONTENT: usize = 64;

/// A bit of the padding is flipped. The checksum does not cover the padding, and an assertion requires it to be zero.
pub fn padding_outside_checksum<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.disk.bit_rot = 0.02;
    scenario.host("database", move |observer| async move {
        let log = open_log::<S>().await?;
        let covered = if faulty { CONTENT } else { SECTOR };
        let mut sector = vec![0; SECTOR];
        sector[CHECKSUM..CONTENT].fill(7);
        let sum = checksum(&sector[CHECKSUM..covered]);
        sector[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        for _ in 0..50 {
            S::write_at(&log, sector.clone(), 0).await?;
            S::sync(&log).await?;
            let found = S::read_at(&log, SECTOR, 0).await?;
            let is_valid = found[..CHECKSUM] == checksum(&found[CHECKSUM..covered]).to_le_bytes();
            // An invalid sector would be read from a replica.
            if is_valid {
                let padding = &found[CONTENT..];
                observer.check(padding.iter().all(|byte| *byte == 0), "the assertion fails");
            }
        }
        observer.finish();
        Ok(())
    });
}
