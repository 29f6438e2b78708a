//! Operations that hold the clock while they are in flight.

use std::{io::Write, thread, time::Duration};

use compio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadAtExt, AsyncWriteAtExt},
    net::UdpSocket,
    task::{spawn, spawn_blocking},
    time::{advance, now, resume, sleep, timeout},
};

use crate::support::{HOUR, MILLI, NANO, SECOND, channel, run_paused, tcp_pair};

#[test]
fn blocking_work_holds_the_clock() {
    run_paused(async || {
        let begin = now();
        let later = spawn(sleep(NANO));
        let work = spawn_blocking(|| {
            thread::sleep(5 * MILLI);
            42
        });
        assert_eq!(
            timeout(NANO, work).await.expect("no time passes").unwrap(),
            42
        );
        assert_eq!(now(), begin);
        later.await.unwrap();
    });
}

#[test]
fn operations_on_files_hold_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let moved = dir.path().join("moved");
    run_paused(async || {
        let begin = now();
        let work = async {
            for _ in 0..20 {
                let file = File::create(&path).unwrap();
                let data = vec![7; 100_000];
                file.write_all_at(data, 0).await.0.unwrap();
                file.sync_all().await.unwrap();
                let file = fs::OpenOptions::new().read(true).open(&path).unwrap();
                let (read, _) = file.read_exact_at(vec![0; 100_000], 0).await;
                read.unwrap();
                assert_eq!(file.metadata().await.unwrap().len(), 100_000);
                file.close().await.unwrap();
                fs::rename(&path, &moved).await.unwrap();
                fs::remove_file(&moved).await.unwrap();
            }
        };
        timeout(NANO, work).await.expect("no time passes");
        assert_eq!(now(), begin);
    });
}

#[test]
fn name_resolution_holds_the_clock() {
    run_paused(async || {
        let begin = now();
        let found = timeout(NANO, UdpSocket::bind("localhost:0")).await;
        // Some systems do not know the name.
        drop(found.expect("no time passes"));
        assert_eq!(now(), begin);
    });
}

#[test]
fn clock_held_for_a_peer_on_another_thread_gives_it_time() {
    run_paused(async || {
        let (mut ours, theirs) = tcp_pair().await;
        let mut theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let begin = now();
        // Without a hold the time limit passes at once.
        assert!(
            timeout(HOUR, ours.read(Vec::with_capacity(8)))
                .await
                .is_err()
        );
        assert_eq!(now() - begin, HOUR);

        let (done, receive) = channel::<()>();
        let hold = spawn_blocking(receive);
        let peer = thread::spawn(move || {
            thread::sleep(5 * MILLI);
            theirs.write_all(b"hello").unwrap();
            theirs
        });
        let read = timeout(NANO, ours.read(Vec::with_capacity(8))).await;
        let (read, buffer) = read.expect("no time passes");
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
        done.send(()).unwrap();
        hold.await.unwrap().unwrap();

        // So does running time.
        let mut theirs = peer.join().unwrap();
        resume();
        let peer = thread::spawn(move || theirs.write_all(b"again").unwrap());
        let read = timeout(HOUR, ours.read(buffer)).await;
        assert_eq!(read.expect("an hour is enough").1, b"again");
        peer.join().unwrap();
    });
}

#[test]
fn advance_does_not_wait_for_blocking_work() {
    run_paused(async || {
        let (release, receive) = channel::<()>();
        let work = spawn_blocking(receive);
        let begin = now();
        let sleeper = spawn(async move {
            sleep(SECOND).await;
            sleep(SECOND).await;
            assert_eq!(now() - begin, 2 * SECOND);
        });
        // It passes only because the work ends after it.
        advance(HOUR).await;
        assert_eq!(now() - begin, HOUR);
        assert!(sleeper.is_finished());
        release.send(()).unwrap();
        work.await.unwrap().unwrap();
    });
}

#[test]
fn advance_waits_for_operations_on_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    run_paused(async || {
        let begin = now();
        let path = path.clone();
        let task = spawn(async move {
            for number in 1..=20 {
                sleep(SECOND).await;
                let file = File::create(&path).unwrap();
                file.write_all_at(vec![7; 100_000], 0).await.0.unwrap();
                file.sync_all().await.unwrap();
                assert_eq!(now() - begin, number * SECOND);
            }
        });
        advance(20 * SECOND).await;
        assert!(task.is_finished());
        task.await.unwrap();
        assert_eq!(now() - begin, Duration::from_secs(20));
    });
}

/// A splice from a file may wait for a disk, on another thread.
#[cfg(target_os = "linux")]
#[test]
fn splice_of_a_file_holds_the_clock() {
    use compio::{
        fs::OpenOptions,
        op::Position,
        pipe::{pipe, splice},
    };

    run_paused(async || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![1; 1 << 16]).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let begin = now();
        for _ in 0..100 {
            let (reader, writer) = pipe().unwrap();
            let into = splice(&file, Position::At(0), &writer, Position::Cursor, 1 << 16);
            let moved = timeout(SECOND, into).await.expect("no time passes");
            assert!(moved.unwrap() > 0);
            let from = splice(&reader, Position::Cursor, &file, Position::At(0), 1 << 16);
            let moved = timeout(SECOND, from).await.expect("no time passes");
            assert!(moved.unwrap() > 0);
        }
        assert_eq!(now(), begin);
    });
}
