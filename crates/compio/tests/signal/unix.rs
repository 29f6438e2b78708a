//! Signals of unix, raised by this process itself.

use std::{
    fs::File,
    io::ErrorKind,
    mem,
    pin::pin,
    process::Stdio,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
    runtime::{CancelToken, Runtime, is_cancelled},
    signal::{
        ctrl_c,
        unix::{Signal, SignalKind, signal},
    },
    task::{spawn, yield_now},
    time::{cancel_after, sleep, timeout},
};

use crate::support::{begin, run};

/// A signal for a single test: a real-time signal of Linux.
fn own(number: i32) -> SignalKind {
    #[cfg(target_os = "linux")]
    let first = libc::SIGRTMIN();
    // Other systems have few signals without another use. The tests there need one process each.
    #[cfg(not(target_os = "linux"))]
    let first = libc::SIGUSR1 - number;
    SignalKind::from_raw(first + number)
}

fn listen(kind: SignalKind) -> Signal {
    signal(kind).unwrap()
}

/// Sends the signal to this process; any thread may handle it.
fn raise(kind: SignalKind) {
    // SAFETY: no pointers are passed.
    let sent = unsafe { libc::kill(libc::getpid(), kind.as_raw_value()) };
    assert_eq!(sent, 0);
}

/// Sends the signal to this thread: it has been handled when this returns.
fn raise_here(kind: SignalKind) {
    // SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

/// Whether no signal has come for this listener.
async fn is_silent(signal: &mut Signal) -> bool {
    timeout(Duration::from_millis(5), signal.recv())
        .await
        .is_err()
}

#[test]
fn s28_raised_while_it_is_awaited() {
    run(async {
        let mut signal = listen(SignalKind::user_defined1());
        for _ in 0..100 {
            let mut recv = pin!(signal.recv());
            begin(recv.as_mut()).await;
            raise(SignalKind::user_defined1());
            recv.await.unwrap();
        }
        assert!(is_silent(&mut signal).await);
    });
}

#[test]
fn s28_raised_between_two_awaits() {
    run(async {
        let mut signal = listen(SignalKind::user_defined2());
        raise(SignalKind::user_defined2());
        signal.recv().await.unwrap();
        raise(SignalKind::user_defined2());
        yield_now().await;
        signal.recv().await.unwrap();
        assert!(is_silent(&mut signal).await);
    });
}

#[test]
fn s28_raised_while_a_wait_is_dropped() {
    run(async {
        let kind = own(1);
        let mut signal = listen(kind);
        for round in 0..300 {
            {
                let mut recv = pin!(signal.recv());
                begin(recv.as_mut()).await;
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                raise(kind);
                for _ in 0..round % 5 {
                    yield_now().await;
                }
            }
            signal.recv().await.unwrap();
        }
        assert!(is_silent(&mut signal).await);
    });
}

#[test]
fn s28_raised_by_another_thread_a_thousand_times() {
    run(async {
        let kind = own(2);
        let mut signal = listen(kind);
        let mut answer = listen(own(3));
        let other = thread::spawn(move || {
            run(async {
                for _ in 0..1000 {
                    raise(kind);
                    answer.recv().await.unwrap();
                }
            });
        });
        for _ in 0..1000 {
            signal.recv().await.unwrap();
            raise(own(3));
        }
        other.join().unwrap();
    });
}

#[test]
fn s28_several_at_once_are_one() {
    run(async {
        let kind = own(4);
        let mut signal = listen(kind);
        for _ in 0..1000 {
            raise_here(kind);
        }
        signal.recv().await.unwrap();
        assert!(is_silent(&mut signal).await);
    });
}

#[test]
fn many_listeners_on_many_threads() {
    let kind = own(5);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || {
                run(async {
                    let tasks: Vec<_> = (0..10)
                        .map(|_| {
                            let mut signal = listen(kind);
                            spawn(async move { signal.recv().await.unwrap() })
                        })
                        .collect();
                    ready.send(()).unwrap();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            });
            is_ready.recv().unwrap();
            thread
        })
        .collect();
    raise(kind);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn s28_listeners_that_come_and_go_while_it_is_raised() {
    run(async {
        let kind = own(6);
        let mut stays = listen(kind);
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let other = thread::spawn(move || {
            while !is_over.load(SeqCst) {
                raise(kind);
            }
        });
        for _ in 0..500 {
            let mut signal = listen(kind);
            signal.recv().await.unwrap();
            stays.recv().await.unwrap();
        }
        over.store(true, SeqCst);
        other.join().unwrap();
    });
}

#[test]
fn s28_without_listeners_it_still_does_nothing() {
    run(async {
        {
            let _gone = listen(SignalKind::terminate());
        }
        raise_here(SignalKind::terminate());
        let mut signal = listen(SignalKind::terminate());
        assert!(is_silent(&mut signal).await);
        raise(SignalKind::terminate());
        signal.recv().await.unwrap();
    });
}

#[test]
fn s28_a_signal_blocked_by_this_thread_comes_later() {
    run(async {
        let kind = own(7);
        let mut signal = listen(kind);
        // SAFETY: plain C structs, which the calls fill in.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, kind.as_raw_value());
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            raise_here(kind);
            assert!(is_silent(&mut signal).await);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
        }
        signal.recv().await.unwrap();
    });
}

#[test]
fn s28_a_forked_childs_signals_are_its_own() {
    run(async {
        let kind = own(8);
        let mut signal = listen(kind);
        let number = kind.as_raw_value();
        let raise = move || {
            // SAFETY: no pointers are passed.
            unsafe { libc::raise(number) };
            Ok(())
        };
        let mut command = Command::new("true");
        // SAFETY: `raise` may be used there.
        unsafe { command.pre_exec(raise) };
        assert!(command.status().await.unwrap().success());
        assert!(is_silent(&mut signal).await);
    });
}

#[test]
fn s28_a_listener_outlives_a_runtime() {
    let kind = own(9);
    let mut signal = listen(kind);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async { begin(pin!(signal.recv())).await });
    drop(runtime);
    raise(kind);
    run(async { signal.recv().await.unwrap() });
}

#[test]
fn signals_that_cannot_be_listened_to() {
    for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 4096] {
        let error = signal(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
    }
}

#[test]
fn the_end_of_a_child() {
    run(async {
        let mut signal = listen(SignalKind::child());
        let mut child = Command::new("true").spawn().unwrap();
        signal.recv().await.unwrap();
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn s28_ctrl_c_twice() {
    run(async {
        for _ in 0..2 {
            let mut waiting = pin!(ctrl_c());
            begin(waiting.as_mut()).await;
            raise(SignalKind::interrupt());
            waiting.await.unwrap();
        }
    });
}

#[test]
fn a_child_does_not_inherit_the_handler() {
    run(async {
        let _signal = listen(SignalKind::quit());
        let mut child = Command::new("sleep")
            .arg("300")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // SAFETY: no pointers are passed.
        unsafe { libc::kill(child.id().unwrap() as i32, libc::SIGQUIT) };
        assert!(!child.wait().await.unwrap().success());
    });
}

/// Storms of signals interrupt system calls at any point.
#[test]
fn s15_heavy_transfers_under_a_storm_of_signals() {
    run(async {
        let kind = own(10);
        let mut signal = listen(kind);
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        // SAFETY: the call returns the calling thread's id.
        let us = unsafe { libc::pthread_self() } as usize;
        let storm = thread::spawn(move || {
            while !is_over.load(SeqCst) {
                // SAFETY: the thread lives until this one has been joined.
                unsafe { libc::pthread_kill(us as libc::pthread_t, kind.as_raw_value()) };
                // The pause lets the thread proceed between signals.
                thread::sleep(Duration::from_micros(50));
            }
        });
        let is_over = Arc::clone(&over);
        let hearing = spawn(async move {
            let mut heard = 0;
            // Until the storm is over and no signal is left.
            loop {
                match timeout(Duration::from_millis(200), signal.recv()).await {
                    Ok(_) => heard += 1,
                    Err(_) if is_over.load(SeqCst) => return heard,
                    Err(_) => {}
                }
            }
        });

        let (mut one, mut other) = UnixStream::pair().unwrap();
        let writing = spawn(async move {
            for _ in 0..200 {
                one.write_all(vec![5; 100_000]).await.0.unwrap();
            }
        });
        let reading = spawn(async move {
            let (read, bytes) = other.read_to_end(Vec::new()).await;
            assert_eq!(read.unwrap(), 200 * 100_000);
            assert!(bytes.iter().all(|byte| *byte == 5));
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let files = spawn(async move {
            let file = compio::fs::File::create(&path).unwrap();
            for round in 0..100 {
                let (written, _) = file.write_at(vec![6; 50_000], round * 50_000).await;
                assert_eq!(written.unwrap(), 50_000);
            }
            file.sync_all().await.unwrap();
            assert_eq!(
                File::open(&path).unwrap().metadata().unwrap().len(),
                5_000_000
            );
            sleep(Duration::from_millis(20)).await;
        });
        let children = spawn(async {
            for _ in 0..20 {
                let mut command = Command::new("head");
                command
                    .args(["-c", "300000", "/dev/zero"])
                    .stderr(Stdio::null());
                let output = command.output().await.unwrap();
                assert!(output.status.success());
                assert_eq!(output.stdout.len(), 300_000);
            }
        });
        for task in [writing, reading, files, children] {
            task.await.unwrap();
        }
        over.store(true, SeqCst);
        storm.join().unwrap();
        assert!(hearing.await.unwrap() > 0);
    });
}

#[test]
fn kinds_have_names_and_numbers() {
    assert_eq!(SignalKind::hangup(), SignalKind::from(libc::SIGHUP));
    assert_eq!(i32::from(SignalKind::alarm()), libc::SIGALRM);
    assert_ne!(SignalKind::io(), SignalKind::pipe());
    assert_eq!(
        format!("{:?}", SignalKind::quit()),
        format!("SignalKind({})", libc::SIGQUIT)
    );
    assert_eq!(SignalKind::window_change().as_raw_value(), libc::SIGWINCH);
}

#[test]
fn s51_recv_in_cancel_after_ends_with_error_of_cancel() {
    run(async {
        let kind = own(11);
        let mut signal = listen(kind);
        for patience in [Duration::ZERO, Duration::from_millis(5)] {
            let error = cancel_after(patience, signal.recv()).await.unwrap_err();
            assert!(is_cancelled(&error), "{error}");
        }
        // A signal between two waits is kept.
        raise(kind);
        signal.recv().await.unwrap();
        let error = cancel_after(Duration::from_millis(5), ctrl_c()).await;
        assert!(is_cancelled(&error.unwrap_err()));
    });
}

#[test]
fn s51_recv_in_cancelled_token_ends_with_error_of_cancel() {
    run(async {
        let mut signal = listen(own(12));
        let token = CancelToken::new();
        {
            let mut recv = pin!(token.run(signal.recv()));
            begin(recv.as_mut()).await;
            token.cancel();
            assert!(is_cancelled(&recv.await.unwrap_err()));
        }
        let error = token.run(signal.recv()).await.unwrap_err();
        assert!(is_cancelled(&error), "{error}");
    });
}
