//! Signals that interrupt system calls.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    mem, ptr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{connected, pause, report, run, stage},
    contender::Contender,
};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// A timer signal each millisecond.
pub fn storm<C: Contender>() {
    run::<C, _>(async {
        let program = std::env::current_exe().expect("the program has a path");
        let (mut stream, mut peer) = connected::<C>().await;
        let other = thread::spawn(move || {
            deafen();
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = peer.read(&mut buffer) {
                thread::sleep(Duration::from_micros(1500));
                if peer.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
        });
        begin();
        let begun = Instant::now();
        let mut errors = BTreeMap::<String, usize>::new();
        let mut operations = 0;
        while begun.elapsed() < Duration::from_millis(400) {
            stage("a write");
            let written = C::write(&mut stream, vec![b'x'; 64]).await.map(drop);
            stage("a read");
            let read = match &written {
                Ok(()) => C::read(&mut stream, Vec::with_capacity(64))
                    .await
                    .0
                    .map(drop),
                Err(_) => Ok(()),
            };
            stage("a file");
            let file = match C::open(&program).await {
                Ok(mut file) => C::read_file(&mut file, Vec::with_capacity(1 << 18))
                    .await
                    .0
                    .map(drop),
                Err(error) => Err(error),
            };
            stage("a timer");
            pause::<C>(2).await;
            operations += 5;
            for error in [written, read, file].into_iter().filter_map(Result::err) {
                *errors.entry(error.to_string()).or_default() += 1;
            }
        }
        end();
        drop(other);
        let signals = SIGNALS.load(Ordering::Relaxed);
        let errors = match errors.len() {
            0 => "no error".into(),
            _ => format!("errors: {errors:?}"),
        };
        report(&format!(
            "{errors} ({signals} signals, {operations} operations)"
        ));
    });
}

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn begin() {
    // SAFETY: the handler only increments a counter, and the structures outlive the calls. All zeros
    // are a valid `sigaction` without flags.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = count as *const () as usize;
        let set = libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut());
        assert_eq!(set, 0, "a handler can be set");
    }
    every(1000);
}

fn end() {
    every(0);
}

fn every(micros: libc::suseconds_t) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: the timer's setting outlives the call.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
    assert_eq!(set, 0, "the timer can be set");
}

/// Blocks the signals on this thread, so that the contender's threads get them.
fn deafen() {
    // SAFETY: the set is initialized before it is used, and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
    }
}
