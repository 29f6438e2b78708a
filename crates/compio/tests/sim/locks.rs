//! Locks and times of files, and files without a page cache. Most bodies also run on the real system.

use std::{
    cell::RefCell,
    fs::{FileTimes, TryLockError},
    io::{self, ErrorKind},
    path::PathBuf,
    rc::Rc,
    time::{Duration, SystemTime},
};

use compio::{
    buf::{Aligned, IoBuf, IoBufMut},
    fs::{self, AlignmentSource, File, OpenOptions},
    io::AsyncWriteAtExt,
    net::{TcpListener, TcpStream},
    sim, task, time,
};
use compio_testkit::{
    check::{check_code, check_kind},
    random::Dice,
};

use super::{
    both::{check_waits, run_both, settle},
    run_one, run_pair,
};

/// A file that is opened `N` times.
async fn open<const N: usize>(path: PathBuf) -> io::Result<[File; N]> {
    fs::write(&path, "content").await.0?;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let files: io::Result<Vec<File>> = (0..N).map(|_| options.open(&path)).collect();
    Ok(files?.try_into().expect("as many files"))
}

#[track_caller]
fn check_taken(tried: Result<(), TryLockError>) {
    assert!(matches!(tried, Err(TryLockError::WouldBlock)), "{tried:?}");
}

#[test]
fn waiting_lock_is_taken_after_the_close_of_its_owner() {
    run_both(|dir| async move {
        let [one, other] = open(dir.join("file")).await?;
        one.lock().await?;
        check_waits(other.lock()).await;
        let waits = task::spawn(async move {
            other.lock().await?;
            io::Result::Ok(other)
        });
        settle().await;
        assert!(!waits.is_finished());
        let clone = one.try_clone()?;
        drop(one);
        settle().await;
        assert!(!waits.is_finished(), "the clone has the lock");
        drop(clone);
        let other = waits.await.unwrap()?;
        let [third] = open(dir.join("file")).await?;
        check_taken(third.try_lock_shared());
        other.unlock()?;
        third.lock_shared().await
    });
}

/// A random program on three open files. Returns the results of its calls.
async fn program(dir: PathBuf, dice: &mut Dice) -> io::Result<Vec<String>> {
    let mut files: [Option<File>; 3] = open::<3>(dir.join("file")).await?.map(Some);
    let mut results = Vec::new();
    for _ in 0..40 {
        let number = dice.roll(3);
        let Some(file) = &files[number] else { continue };
        let result = match dice.roll(10) {
            0..3 => format!("exclusive {}", file.try_lock().is_ok()),
            3..7 => format!("shared {}", file.try_lock_shared().is_ok()),
            7..9 => format!("unlock {}", file.unlock().is_ok()),
            _ if dice.roll(4) > 0 => continue,
            _ => {
                files[number] = None;
                "close".to_owned()
            }
        };
        results.push(format!("{number}: {result}"));
    }
    Ok(results)
}

#[test]
fn random_programs_have_the_results_of_the_real_system() {
    for seed in 1..200 {
        let courses = Rc::new(RefCell::new(Vec::new()));
        run_both(|dir| {
            let courses = Rc::clone(&courses);
            async move {
                let results = program(dir, &mut Dice(seed << 20)).await?;
                courses.borrow_mut().push(results);
                Ok(())
            }
        });
        let courses = courses.take();
        assert_eq!(courses[0], courses[1], "seed {seed}");
    }
}

#[test]
fn directory_is_locked_as_a_file() {
    run_both(|dir| async move {
        let (one, other) = (File::open(&dir)?, File::open(&dir)?);
        one.lock().await?;
        check_taken(other.try_lock());
        drop(one);
        other.lock().await
    });
}

/// Holds a lock, and accepts a connection then.
async fn owner() -> io::Result<()> {
    let file = File::create("/lock")?;
    assert!(file.try_lock().is_ok(), "the former process has ended");
    let other = File::open("/lock")?;
    check_taken(other.try_lock());
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    listener.accept().await?;
    std::future::pending().await
}

#[test]
fn lock_ends_with_a_crash_and_with_the_power() {
    run_pair(owner, async {
        for loses_power in [false, true] {
            time::sleep(Duration::from_secs(1)).await;
            TcpStream::connect("server:80").await?;
            match loses_power {
                false => sim::crash("server").unwrap(),
                true => sim::power_loss("server").unwrap(),
            }
            sim::restart("server").unwrap();
        }
        time::sleep(Duration::from_secs(1)).await;
        TcpStream::connect("server:80").await?;
        Ok(())
    });
}

#[test]
fn waits_for_locks_take_virtual_time() {
    run_one(async {
        let [one, other] = open("/file".into()).await?;
        one.lock().await?;
        let begin = time::now();
        let waits = task::spawn(async move { other.lock().await });
        time::sleep(Duration::from_secs(3600)).await;
        drop(one);
        waits.await.unwrap()?;
        assert!(time::now() - begin < Duration::from_secs(3601));
        Ok(())
    });
}

#[test]
fn times_of_a_file_are_set_and_kept() {
    run_both(|dir| async move {
        let [file] = open(dir.join("file")).await?;
        let before = file.metadata().await?;
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 5);
        file.set_modified(time).await?;
        let after = file.metadata().await?;
        assert_eq!(after.modified()?, time);
        assert_eq!(after.created()?, before.created()?);
        assert_eq!(after.accessed()?, before.accessed()?);
        fs::rename(dir.join("file"), dir.join("other")).await?;
        let renamed = fs::metadata(dir.join("other")).await?;
        assert_eq!(renamed.created()?, before.created()?);
        assert_eq!(renamed.modified()?, time);
        file.write_all_at("x", 0).await.0?;
        assert!(file.metadata().await?.modified()? > time);
        Ok(())
    });
}

#[test]
fn time_of_creation_is_virtual() {
    run_one(async {
        fs::write("/old", "").await.0?;
        time::sleep(Duration::from_secs(90)).await;
        fs::write("/old", "changed").await.0?;
        fs::create_dir("/new").await?;
        let [old, new] = [fs::metadata("/old").await?, fs::metadata("/new").await?];
        let between = new.created()?.duration_since(old.created()?);
        assert_eq!(between.unwrap(), Duration::from_secs(90));
        let error = File::open("/old")?.set_times(FileTimes::new()).await;
        check_kind(error, ErrorKind::Unsupported);
        Ok(())
    });
}

/// A buffer of `len` bytes whose address is `offset` after a multiple of 512.
fn buffer(offset: usize, len: usize) -> impl IoBufMut {
    let whole = vec![7; len + offset + 512];
    let start = whole.as_ptr().align_offset(512) + offset;
    whole.slice(start..start + len)
}

#[test]
fn transfers_without_a_cache_are_aligned_to_sectors() {
    run_one(async {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options.custom_flags(libc::O_DIRECT).open("/file")?;
        assert_eq!(file.write_at(buffer(0, 1024), 512).await.0?, 1024);
        for (offset, len, at) in [(1, 512, 0), (0, 511, 0), (0, 512, 100)] {
            check_code(file.write_at(buffer(offset, len), at).await.0, libc::EINVAL);
            check_code(file.read_at(buffer(offset, len), at).await.0, libc::EINVAL);
        }
        // The end of the file is inside of the buffer.
        assert_eq!(file.read_at(buffer(0, 2048), 1024).await.0?, 512);
        // All handles share a cache.
        assert_eq!(fs::read("/file").await?.len(), 1536);
        Ok(())
    });
}

#[test]
fn direct_file_transfers_sectors() {
    run_one(async {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options.open_direct_async("/file").await?;
        assert_eq!(file.alignment().source, AlignmentSource::Kernel);
        assert_eq!(file.alignment().unit(), 512);
        file.write_zeros_at(0, 1536).await?;
        let mut sector = Aligned::with_capacity(512, 512);
        sector.resize(512, 7);
        file.write_all_at(sector, 512).await.0?;
        let (read, bytes) = file.read_unaligned_at(vec![1; 4], 510).await;
        assert_eq!((read?, &bytes[..]), (4, &[0, 0, 7, 7][..]));
        let (written, _) = file.write_at(Aligned::zeroed(100, 512), 0).await;
        check_kind(written, ErrorKind::InvalidInput);
        Ok(())
    });
}
