//! Losses of power, as the tests of a small log meet them.

use std::{
    cell::Cell,
    collections::BTreeSet,
    io::{self, ErrorKind},
    rc::Rc,
    time::Duration,
};

use compio::{
    fs::{self, File, OpenOptions, WriteOptions},
    io::AsyncWriteAtExt,
    sim::{self, DiskFaults, Error, Report, Simulation, Unsynced},
    time,
};

use super::Log;

/// The length of a record: parts of three or four sectors.
const RECORD: usize = 1500;

/// The program under test.
#[derive(Debug, Clone, Copy, Default)]
struct Design {
    /// It syncs each record before it acknowledges it.
    syncs: bool,
    /// It skips an incomplete record at the end of the log.
    checks: bool,
}

fn record(number: u64) -> Vec<u8> {
    let mut record = vec![number as u8 + 1; RECORD];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record
}

/// Reads the log. Returns the number of its records.
async fn recover(design: Design) -> io::Result<u64> {
    let log = match fs::read("/log").await {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for (number, found) in log.chunks(RECORD).enumerate() {
        if found != record(number as u64) {
            if design.checks {
                return Ok(number as u64);
            }
            return Err(io::Error::other(format!("record {number} is torn")));
        }
    }
    Ok((log.len() / RECORD) as u64)
}

/// Appends records, and acknowledges them by `acknowledged`.
async fn database(design: Design, acknowledged: Rc<Cell<u64>>) -> io::Result<()> {
    let mut count = recover(design).await?;
    if count < acknowledged.get() {
        let text = format!("{count} of {} records", acknowledged.get());
        return Err(io::Error::other(text));
    }
    let mut options = OpenOptions::new();
    let log = options.write(true).create(true).open("/log")?;
    File::open("/")?.sync_all().await?;
    loop {
        let at = count * RECORD as u64;
        log.write_all_at(record(count), at).await.0?;
        if design.syncs {
            log.sync_data().await?;
        }
        count += 1;
        acknowledged.set(acknowledged.get().max(count));
        time::sleep(Duration::from_millis(sim::rng().below(20))).await;
    }
}

/// Runs the program with three losses of power.
fn run(seed: u64, design: Design, faults: DiskFaults) -> Result<Report, Error> {
    run_with_log(seed, design, faults, Log::default())
}

/// The log gets the number of lossy losses.
fn run_with_log(seed: u64, design: Design, faults: DiskFaults, log: Log) -> Result<Report, Error> {
    let acknowledged = Rc::<Cell<u64>>::default();
    let seen = Rc::clone(&acknowledged);
    let mut simulation = Simulation::builder().seed(seed).build();
    simulation
        .host("db-1", move || database(design, Rc::clone(&acknowledged)))
        .disk("db-1", faults)
        .client("operator", async move {
            for _ in 0..3 {
                time::sleep(Duration::from_millis(1 + sim::rng().below(100))).await;
                sim::power_loss("db-1").unwrap();
                sim::restart("db-1").unwrap();
            }
            // A calm phase, in which the program recovers: the time limit ends it otherwise.
            let before = seen.get();
            while seen.get() == before {
                time::sleep(Duration::from_millis(100)).await;
            }
            let counts = sim::disk("db-1").unwrap().counts();
            assert_eq!(counts.power_losses, 3);
            log.add(counts.lossy_power_losses.to_string());
        });
    simulation.run()
}

/// The number of failed runs.
fn failures(seeds: u64, design: Design, reason: &str) -> u64 {
    let results = (0..seeds).map(|seed| run(seed, design, DiskFaults::default()));
    let failed = results.filter_map(Result::err);
    failed
        .filter(|error| error.to_string().contains(reason))
        .count() as u64
}

#[test]
fn lost_write_without_a_sync_is_found() {
    let design = Design {
        checks: true,
        ..Design::default()
    };
    assert!(failures(20, design, "records") >= 5);
}

#[test]
fn torn_tail_is_found() {
    let design = Design {
        syncs: true,
        ..Design::default()
    };
    let slow = DiskFaults {
        latency: Duration::ZERO..=Duration::from_millis(20),
        ..DiskFaults::default()
    };
    let results = (0..200).map(|seed| run(seed, design, slow.clone()));
    let failed: Vec<String> = results
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    assert!(failed.len() > 5, "{failed:?}");
    assert!(failed.iter().all(|text| text.contains("is torn")));
}

#[test]
fn synced_records_survive_each_seed() {
    let design = Design {
        syncs: true,
        checks: true,
    };
    let log = Log::default();
    for seed in 0..1000 {
        let faults = DiskFaults {
            latency: Duration::ZERO..=Duration::from_millis(seed % 3 * 10),
            ..DiskFaults::default()
        };
        let result = run_with_log(seed, design, faults, log.clone());
        result.unwrap_or_else(|error| panic!("{error}"));
    }
    let lossy = log.entries().iter().filter(|count| *count != "0").count();
    assert!(lossy > 300, "only {lossy} runs lost unsynced changes");
}

#[test]
fn same_seed_has_the_same_hash() {
    let design = Design {
        syncs: true,
        checks: true,
    };
    let slow = DiskFaults {
        latency: Duration::ZERO..=Duration::from_millis(20),
        short_write: 0.5,
        short_read: 0.5,
        stall_chance: 0.1,
        ..DiskFaults::default()
    };
    let hash = |seed| run(seed, design, slow.clone()).unwrap().trace_hash();
    let hashes: Vec<u64> = (0..50).map(hash).collect();
    assert_eq!(hashes, (0..50).map(hash).collect::<Vec<_>>());
    let different: BTreeSet<u64> = hashes.iter().copied().collect();
    assert_eq!(different.len(), 50);
}

/// Runs `before` on a host, cuts its power, and returns the result of `after`.
fn across_power_loss<B, A>(
    seed: u64,
    unsynced: Unsynced,
    before: fn() -> B,
    after: fn() -> A,
) -> String
where
    B: Future<Output = io::Result<()>> + 'static,
    A: Future<Output = io::Result<String>> + 'static,
{
    let log = Log::default();
    let seen = log.clone();
    let is_first = Cell::new(true);
    let mut simulation = Simulation::builder().seed(seed).build();
    simulation.host("db-1", move || {
        let (log, is_first) = (log.clone(), is_first.replace(false));
        async move {
            if is_first {
                before().await?;
            } else {
                log.add(after().await?);
            }
            std::future::pending::<io::Result<()>>().await
        }
    });
    let faults = DiskFaults {
        unsynced,
        ..DiskFaults::default()
    };
    simulation.disk("db-1", faults).client("operator", async {
        time::sleep(Duration::from_secs(1)).await;
        sim::power_loss("db-1").unwrap();
        sim::restart("db-1").unwrap();
        time::sleep(Duration::from_secs(1)).await;
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    seen.entries().concat()
}

/// Replaces a file by a synced new one.
async fn replace() -> io::Result<()> {
    for (path, content) in [("/config", "old"), ("/config.new", "new")] {
        let file = File::create(path)?;
        file.write_all_at(content, 0).await.0?;
        file.sync_all().await?;
    }
    File::open("/")?.sync_all().await?;
    fs::rename("/config.new", "/config").await
}

#[test]
fn rename_without_a_sync_of_the_directory_is_old_or_new() {
    async fn look() -> io::Result<String> {
        let content = fs::read_to_string("/config").await?;
        let is_moved = !fs::try_exists("/config.new").await?;
        Ok(format!("{content}, moved: {is_moved}"))
    }
    let results = (0..200).map(|seed| across_power_loss(seed, Unsynced::Drawn, replace, look));
    let results: BTreeSet<String> = results.collect();
    let expected = ["new, moved: true", "old, moved: false"].map(str::to_owned);
    assert_eq!(results, BTreeSet::from(expected));
}

#[test]
fn rename_with_a_sync_of_the_directory_is_new() {
    async fn replace_durably() -> io::Result<()> {
        replace().await?;
        File::open("/")?.sync_all().await
    }
    for seed in 0..200 {
        let result = across_power_loss(seed, Unsynced::Drawn, replace_durably, || {
            fs::read_to_string("/config")
        });
        assert_eq!(result, "new", "seed {seed}");
    }
}

#[test]
fn renamed_file_without_a_sync_of_its_content_may_be_empty() {
    async fn replace_carelessly() -> io::Result<()> {
        fs::write("/config.new", "new").await.0?;
        fs::rename("/config.new", "/config").await?;
        File::open("/")?.sync_all().await
    }
    let results = (0..200).map(|seed| {
        across_power_loss(seed, Unsynced::Drawn, replace_carelessly, || {
            fs::read_to_string("/config")
        })
    });
    let results: BTreeSet<String> = results.collect();
    let expected = ["", "\0\0\0", "new"].map(str::to_owned);
    assert_eq!(results, BTreeSet::from(expected));
}

#[test]
fn write_of_a_synchronous_file_is_durable() {
    async fn write() -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).data_sync(true);
        let file = options.open("/log")?;
        File::open("/")?.sync_all().await?;
        file.write_all_at("durable", 0).await.0
    }
    let result = across_power_loss(0, Unsynced::Lost, write, || fs::read_to_string("/log"));
    assert_eq!(result, "durable");
}

#[test]
fn durable_single_write_survives_a_loss_of_power() {
    async fn write() -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).open("/log")?;
        File::open("/")?.sync_all().await?;
        let durable = WriteOptions::new().data_sync(true);
        file.write_at_with("durable", 0, durable).await.0?;
        file.write_all_at(" lost", 7).await.0?;
        let atomic = WriteOptions::new().atomic(true);
        let (written, _) = file.write_at_with("atomic", 0, atomic).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::Unsupported);
        Ok(())
    }
    let result = across_power_loss(0, Unsynced::Lost, write, || fs::read_to_string("/log"));
    assert_eq!(result, "durable");
}

#[test]
fn unsynced_changes_can_be_kept() {
    async fn write() -> io::Result<()> {
        fs::create_dir("/data").await?;
        fs::write("/data/log", "kept").await.0
    }
    let result = across_power_loss(0, Unsynced::Kept, write, || fs::read_to_string("/data/log"));
    assert_eq!(result, "kept");
}
