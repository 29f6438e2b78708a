//! Errors of disks.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use compio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
    sim::{self, DiskFaults, Simulation, Unsynced},
    time,
};

use super::{Log, run_one};

/// EIO of Linux.
const EIO: i32 = 5;

/// Sets the faults of the only host.
fn set(faults: DiskFaults) {
    sim::disk("client").unwrap().set(faults);
}

fn open(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).open(path)
}

fn code(result: io::Result<impl Sized>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn bad_sector_fails_until_it_is_written() {
    run_one(async {
        let file = open("/data")?;
        file.write_all_at(vec![7; 512], 0).await.0?;
        file.sync_all().await?;
        set(DiskFaults {
            read_error: 1.0,
            ..DiskFaults::default()
        });
        assert_eq!(code(file.read_at([0; 10], 0).await.0), Some(EIO));
        set(DiskFaults::default());
        assert_eq!(code(file.read_at([0; 10], 0).await.0), Some(EIO));
        assert_eq!(code(file.write_all_at("x", 0).await.0), Some(EIO));
        file.write_all_at(vec![8; 512], 0).await.0?;
        assert_eq!(file.read_exact_at([0; 10], 0).await.1, [8; 10]);
        let counts = sim::disk("client").unwrap().counts();
        assert_eq!((counts.reads, counts.read_errors), (3, 2));
        assert_eq!((counts.writes, counts.write_errors), (3, 1));
        Ok(())
    });
}

#[test]
fn unsynced_page_is_not_read_from_the_disk() {
    run_one(async {
        let file = open("/data")?;
        set(DiskFaults {
            read_error: 1.0,
            bit_rot: 1.0,
            ..DiskFaults::default()
        });
        file.write_all_at("unsynced", 0).await.0?;
        assert_eq!(&file.read_exact_at([0; 8], 0).await.1, b"unsynced");
        Ok(())
    });
}

#[test]
fn failed_write_has_no_effect() {
    run_one(async {
        let file = open("/data")?;
        file.write_all_at("old", 0).await.0?;
        set(DiskFaults {
            write_error: 1.0,
            ..DiskFaults::default()
        });
        assert_eq!(code(file.write_at("new, longer", 0).await.0), Some(EIO));
        assert_eq!(code(file.set_len(1).await), Some(EIO));
        assert_eq!(fs::read("/data").await?, b"old");
        Ok(())
    });
}

#[test]
fn failed_sync_loses_its_pages_though_the_retry_succeeds() {
    let log = Log::default();
    let seen = log.clone();
    for seed in 0..20 {
        let log = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.host("db-1", move || {
            let log = log.clone();
            async move {
                if let Ok(text) = fs::read_to_string("/log").await {
                    log.add(text);
                    return std::future::pending().await;
                }
                let file = open("/log")?;
                file.write_all_at("old", 0).await.0?;
                file.sync_all().await?;
                File::open("/")?.sync_all().await?;
                file.write_all_at("new", 0).await.0?;
                let disk = sim::disk("db-1").unwrap();
                disk.set(DiskFaults {
                    sync_error: 1.0,
                    unsynced: Unsynced::Kept,
                    ..DiskFaults::default()
                });
                assert_eq!(code(file.sync_all().await), Some(EIO));
                disk.set(DiskFaults {
                    sync_error: 0.0,
                    ..disk.faults()
                });
                file.sync_all().await?;
                std::future::pending::<io::Result<()>>().await
            }
        });
        simulation.client("operator", async {
            time::sleep(Duration::from_secs(1)).await;
            sim::power_loss("db-1").unwrap();
            sim::restart("db-1").unwrap();
            time::sleep(Duration::from_secs(1)).await;
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(seen.entries(), ["old"; 20]);
}

#[test]
fn full_disk_stores_a_part_and_then_nothing() {
    run_one(async {
        set(DiskFaults {
            capacity: Some(3 * 4096),
            ..DiskFaults::default()
        });
        let file = open("/data")?;
        assert_eq!(file.write_at(vec![1; 5 * 4096], 0).await.0?, 3 * 4096);
        let error = file.write_at("x", 3 * 4096).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        // In place.
        file.write_all_at(vec![2; 4096], 0).await.0?;
        let error = fs::write("/other", "x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        drop(file);
        fs::remove_file("/data").await?;
        fs::write("/other", "x").await.0
    });
}

#[test]
fn allocation_extends_the_file_if_the_disk_has_room() {
    run_one(async {
        set(DiskFaults {
            capacity: Some(3 * 4096),
            ..DiskFaults::default()
        });
        let file = open("/data")?;
        file.allocate_keep_size(0, 4096).await?;
        assert_eq!(file.metadata().await?.len(), 0);
        file.allocate(100, 4096).await?;
        assert_eq!(file.metadata().await?.len(), 4196);
        let error = file.allocate(0, 4 * 4096).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let error = file.allocate(0, 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = file.punch_hole(0, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(file.metadata().await?.len(), 4196);
        Ok(())
    });
}

#[test]
fn short_transfers_are_completed_by_exact_ones() {
    run_one(async {
        set(DiskFaults {
            short_read: 1.0,
            short_write: 1.0,
            ..DiskFaults::default()
        });
        let file = open("/data")?;
        let written = file.write_at(vec![1; 10_000], 0).await.0?;
        assert!((1..10_000).contains(&written), "{written}");
        let bytes: Vec<u8> = (0..10_000).map(|at| at as u8).collect();
        file.write_all_at(bytes.clone(), 0).await.0?;
        let read = file.read_at(vec![0; 10_000], 0).await.0?;
        assert!((1..10_000).contains(&read), "{read}");
        assert_eq!(fs::read("/data").await?, bytes);
        Ok(())
    });
}

#[test]
fn rotten_bit_stays_flipped() {
    run_one(async {
        let file = open("/data")?;
        file.write_all_at([0; 64], 0).await.0?;
        file.sync_all().await?;
        set(DiskFaults {
            bit_rot: 1.0,
            ..DiskFaults::default()
        });
        let bytes = file.read_exact_at([0; 64], 0).await.1;
        let ones: u32 = bytes.iter().map(|byte: &u8| byte.count_ones()).sum();
        assert_eq!(ones, 1);
        set(DiskFaults::default());
        assert_eq!(file.read_exact_at([0; 64], 0).await.1, bytes);
        Ok(())
    });
}

#[test]
fn slow_disk_takes_virtual_time() {
    let report = run_one(async {
        let file = open("/data")?;
        set(DiskFaults {
            latency: Duration::from_secs(1)..=Duration::from_secs(2),
            stall_chance: 1.0,
            stall: Duration::from_secs(100)..=Duration::from_secs(100),
            ..DiskFaults::default()
        });
        file.write_all_at("slow", 0).await.0?;
        file.sync_all().await?;
        assert_eq!(&file.read_exact_at([0; 4], 0).await.1, b"slow");
        Ok(())
    });
    let seconds = report.elapsed().as_secs();
    assert!((303..=306).contains(&seconds), "{seconds}");
}

#[test]
fn cancelled_operation_of_a_slow_disk_returns() {
    let report = run_one(async {
        let file = open("/data")?;
        set(DiskFaults {
            latency: Duration::from_secs(100)..=Duration::from_secs(100),
            ..DiskFaults::default()
        });
        let write = file.write_at("slow", 0);
        let late = time::timeout(Duration::from_secs(1), write).await;
        assert!(late.is_err());
        // Either effect is possible.
        let len = file.metadata().await?.len();
        assert!(len == 0 || len == 4, "{len}");
        Ok(())
    });
    assert!(report.elapsed() < Duration::from_secs(10));
}

#[test]
fn each_family_is_off_in_some_seeds_and_on_in_others() {
    let mut on = [0; 8];
    for seed in 0..100 {
        let log = Log::default();
        let seen = log.clone();
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.client("client", async move {
            let faults = sim::disk("client").unwrap().draw();
            let is_on = [
                faults.read_error > 0.0,
                faults.write_error > 0.0,
                faults.sync_error > 0.0,
                faults.short_read > 0.0,
                faults.short_write > 0.0,
                faults.bit_rot > 0.0,
                faults.stall_chance > 0.0,
                !faults.latency.end().is_zero(),
            ];
            sim::disk("client").unwrap().set(faults);
            log.add(
                is_on
                    .map(|is_on| if is_on { '1' } else { '0' })
                    .iter()
                    .collect::<String>(),
            );
        });
        simulation.run().unwrap();
        for (count, digit) in on.iter_mut().zip(seen.entries()[0].chars()) {
            *count += usize::from(digit == '1');
        }
    }
    assert!(on.iter().all(|count| (25..=75).contains(count)), "{on:?}");
}

#[test]
fn disk_of_no_host_is_an_error() {
    run_one(async {
        let error = sim::disk("other").unwrap_err();
        assert!(matches!(error.kind(), sim::ErrorKind::UnknownHost));
        Ok(())
    });
    assert!(matches!(
        sim::disk("client").unwrap_err().kind(),
        sim::ErrorKind::OutsideOfHost
    ));
    let mut simulation = Simulation::builder().build();
    simulation.disk("other", DiskFaults::default());
    simulation.client("client", async {});
    let error = simulation.run().unwrap_err();
    assert_eq!(error.host(), Some("other"));
}

#[test]
#[should_panic(expected = "a chance of 2 is not in 0.0..=1.0")]
fn chance_above_one_panics() {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {});
    simulation.disk(
        "client",
        DiskFaults {
            bit_rot: 2.0,
            ..DiskFaults::default()
        },
    );
}
