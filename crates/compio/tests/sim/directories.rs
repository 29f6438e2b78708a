//! Paths that begin at an open directory. Most bodies also run on the real system.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio::{
    fs::{self, Dir, OpenOptions},
    io::AsyncWriteAtExt,
    sim::{self, DiskFaults, Unsynced},
    time,
};
use compio_testkit::{check::check_kind, random::Dice};

use super::{both::run_both, run_one, run_pair};

#[test]
fn handle_stays_with_its_directory() {
    run_both(|at| async move {
        fs::create_dir(at.join("before")).await?;
        let dir = Dir::open(at.join("before")).await?;
        fs::rename(at.join("before"), at.join("after")).await?;
        fs::create_dir(at.join("before")).await?;
        dir.create_dir("inner").await?;
        assert!(fs::metadata(at.join("after/inner")).await?.is_dir());
        assert!(!fs::try_exists(at.join("before/inner")).await?);
        check_kind(dir.create_dir("inner").await, ErrorKind::AlreadyExists);
        let mode = dir.metadata("inner").await?.permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        // An absolute path leads out of it.
        dir.remove_dir(at.join("before")).await?;
        assert!(!fs::try_exists(at.join("before")).await?);
        Ok(())
    });
}

#[test]
fn files_are_renamed_and_linked_between_directories() {
    run_both(|at| async move {
        let dir = Dir::open(&at).await?;
        dir.create_dir("a").await?;
        let below = dir.open_dir("a").await?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = below.open_file_with("file", &options).await?;
        file.write_all_at("hello", 0).await.0?;
        below.hard_link("file", &dir, "linked").await?;
        assert_eq!(dir.metadata("linked").await?.nlink(), 2);
        dir.symlink("a/file", "link").await?;
        assert_eq!(dir.read_link("link").await?, Path::new("a/file"));
        assert!(dir.symlink_metadata("link").await?.is_symlink());
        check_kind(dir.read_link("linked").await, ErrorKind::InvalidInput);
        below.rename("file", &dir, "moved").await?;
        check_kind(dir.metadata("link").await, ErrorKind::NotFound);
        assert_eq!(fs::read(at.join("moved")).await?, b"hello");
        dir.rename("moved", &below, "../renamed").await?;
        for name in ["renamed", "link", "linked"] {
            dir.remove_file(name).await?;
        }
        dir.remove_dir("a").await?;
        assert!(dir.read_dir().await?.next_entry().await?.is_none());
        check_kind(below.create_dir("x").await, ErrorKind::NotFound);
        check_kind(below.create("x").await, ErrorKind::NotFound);
        check_kind(dir.rename("x", &below, "x").await, ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn entries_are_read_again_and_again() {
    run_both(|at| async move {
        let dir = Dir::open(&at).await?;
        for number in 0..300 {
            dir.create(number.to_string()).await?;
        }
        dir.create_dir("inner").await?;
        for _ in 0..2 {
            let mut entries = dir.read_dir().await?;
            let (mut files, mut dirs) = (0, 0);
            while let Some(entry) = entries.next_entry().await? {
                assert_eq!(entry.path(), Path::new(&entry.file_name()));
                let metadata = entry.metadata().await?;
                assert_eq!(entry.ino(), metadata.ino());
                match entry.file_type().await?.is_dir() {
                    true => dirs += 1,
                    false => files += 1,
                }
            }
            assert_eq!((files, dirs), (300, 1));
        }
        Ok(())
    });
}

#[test]
fn dropped_operation_closes_its_second_directory() {
    run_one(async {
        let dir = Dir::open("/tmp").await?;
        dir.create("file").await?;
        for name in ["one", "two"] {
            let mut rename = pin!(dir.rename("file", &dir, name));
            let first = poll_fn(|cx| Poll::Ready(rename.as_mut().poll(cx))).await;
            assert!(first.is_pending(), "the job has not run");
        }
        assert!(dir.try_exists("file").await?);
        dir.hard_link("file", &dir, "other").await
    });
}

/// A random program on two directories. Returns the results of its calls, and the files at the end.
async fn program(at: &Path, dice: &mut Dice) -> io::Result<Vec<String>> {
    let names = [
        "a",
        "b",
        "c",
        "a/b",
        "b/a",
        "a/b/c",
        "../a",
        "../b",
        ".",
        "a/",
        "a/..",
        "missing/a",
    ];
    // Targets of links do not lead out of the directory of the test.
    let at = at.join("parent");
    fs::create_dir_all(at.join("one")).await?;
    fs::create_dir(at.join("two")).await?;
    let dirs = [
        Dir::open(at.join("one")).await?,
        Dir::open(at.join("two")).await?,
    ];
    let mut results = Vec::new();
    for _ in 0..60 {
        let [from, to] = [dice.roll(2), dice.roll(2)];
        let [dir, other] = [&dirs[from], &dirs[to]];
        let [name, second] = [names[dice.roll(names.len())], names[dice.roll(names.len())]];
        let (call, result) = match dice.roll(9) {
            0 => ("create", dir.create(name).await.map(drop)),
            1 | 2 => ("make", dir.create_dir(name).await),
            3 => ("remove", dir.remove_file(name).await),
            4 => ("remove the directory", dir.remove_dir(name).await),
            5 => ("rename", dir.rename(name, other, second).await),
            6 => ("link", dir.hard_link(name, other, second).await),
            7 => (
                "link to a name",
                dir.symlink(second.trim_end_matches('/'), name).await,
            ),
            _ => ("read the link", dir.read_link(name).await.map(drop)),
        };
        let code = result.map_err(|error| error.raw_os_error());
        results.push(format!("{call} {from}/{name} {to}/{second} {code:?}"));
    }
    for (number, dir) in dirs.iter().enumerate() {
        let mut left = Vec::new();
        let mut entries = dir.read_dir().await?;
        while let Some(entry) = entries.next_entry().await? {
            let kind = entry.file_type().await?;
            left.push(format!("{number}: {:?} {kind:?}", entry.file_name()));
        }
        left.sort();
        results.extend(left);
    }
    Ok(results)
}

#[test]
fn random_programs_have_the_results_of_the_real_system() {
    for seed in 1..100 {
        let courses = Rc::new(RefCell::new(Vec::new()));
        run_both(|at| {
            let courses = Rc::clone(&courses);
            async move {
                let results = program(&at, &mut Dice(seed << 20)).await?;
                courses.borrow_mut().push(results);
                Ok(())
            }
        });
        let courses = courses.take();
        assert_eq!(courses[0], courses[1], "seed {seed}");
    }
}

/// Changes `/data` by its handle at the first start, and shows its names at the second one.
async fn server(syncs: bool) -> io::Result<()> {
    if !fs::try_exists("/data").await? {
        fs::create_dir("/data").await?;
        fs::write("/data/old", "").await.0?;
        let dir = Dir::open("/data").await?;
        dir.sync_all().await?;
        Dir::open("/").await?.sync_all().await?;
        dir.create_dir("dir").await?;
        dir.symlink("dir", "link").await?;
        dir.hard_link("old", &dir, "linked").await?;
        dir.rename("old", &dir, "new").await?;
        if syncs {
            dir.sync_all().await?;
        }
        return std::future::pending().await;
    }
    let mut names = Vec::new();
    let mut entries = Dir::open("/data").await?.read_dir().await?;
    while let Some(entry) = entries.next_entry().await? {
        names.push(entry.file_name());
    }
    let expected: &[&str] = match syncs {
        true => &["dir", "link", "linked", "new"],
        false => &["old"],
    };
    assert_eq!(names, expected);
    std::future::pending().await
}

#[test]
fn changes_by_a_handle_are_durable_after_a_sync() {
    for syncs in [false, true] {
        run_pair(move || server(syncs), async {
            sim::disk("server").unwrap().set(DiskFaults {
                unsynced: Unsynced::Lost,
                ..DiskFaults::default()
            });
            time::sleep(Duration::from_secs(1)).await;
            sim::power_loss("server").unwrap();
            sim::restart("server").unwrap();
            time::sleep(Duration::from_secs(1)).await;
            Ok(())
        });
    }
}
