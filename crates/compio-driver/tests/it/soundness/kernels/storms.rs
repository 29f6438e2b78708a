//! Storms: kernels that return EAGAIN or EINTR most of the time, and bursts that overflow the
//! queues (scenario 15).

use std::{
    cell::Cell,
    fs, mem,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use compio_driver::{
    BackendKind, Driver, DriverBuilder, Submit, ThreadPool,
    op::{Blocking, Nop, ReadAt, Recv, Send},
};

use compio_testkit::sys::seccomp::listen;

use crate::support::{self, Canary, begin, check_code, drain, run, share, tiny_driver, uring};

// Constants of the kernel that libc does not define.
const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;

/// Answers until `over`. In each run of `errors.len() + 1` calls, the last one is allowed.
fn decide(listener: &OwnedFd, errors: &[i32], over: &AtomicBool) -> usize {
    let mut count = 0;
    loop {
        let mut entry = libc::pollfd {
            fd: listener.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the structs outlive the calls; structs that the kernel reads are zeroed first.
        unsafe {
            if libc::poll(&raw mut entry, 1, 5) == 0 {
                if over.load(Relaxed) {
                    return count;
                }
                continue;
            }
            let mut call: libc::seccomp_notif = mem::zeroed();
            if libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut call) != 0 {
                if over.load(Relaxed) {
                    return count;
                }
                continue;
            }
            let mut answer: libc::seccomp_notif_resp = mem::zeroed();
            answer.id = call.id;
            match errors.get(count % (errors.len() + 1)) {
                Some(error) => answer.error = -error,
                None => answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            }
            libc::ioctl(listener.as_raw_fd(), NOTIF_SEND, &raw mut answer);
        }
        count += 1;
    }
}

/// Runs the scenario on another thread, most of whose `calls` fail with `errors`.
fn in_a_storm(
    calls: &'static [libc::c_long],
    errors: &'static [i32],
    scenario: impl FnOnce() + std::marker::Send + 'static,
) {
    let (give, take) = mpsc::channel::<OwnedFd>();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    // This thread starts first, so that the filter does not hold for it.
    let judge = thread::spawn(move || {
        let listener = take.recv().unwrap();
        decide(&listener, errors, &is_over)
    });
    let victim = thread::spawn(move || {
        give.send(listen(calls)).unwrap();
        scenario();
    });
    let ended = victim.join();
    over.store(true, Relaxed);
    let count = judge.join().unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    assert!(count > 100, "no storm: {count} calls");
}

/// A driver with its own pool: threads that are started during a storm inherit its filter.
fn own_pool(builder: DriverBuilder) -> Driver {
    let driver = builder.entries(4).pool(ThreadPool::new(2)).build();
    driver.expect("a driver")
}

/// Operations that complete, are cancelled, or are dropped, many more than the queues hold.
fn check_operations(driver: &Driver) {
    let deaths = Rc::<Cell<usize>>::default();
    for round in 1..=3 {
        let (mut waits, peers): (Vec<_>, Vec<_>) = (0..60)
            .map(|_| {
                let (near, far) = UnixStream::pair().unwrap();
                let recv = Recv::new(share(near), Canary::new(&deaths), 0);
                (driver.submit(recv), share(far))
            })
            .unzip();
        waits.iter_mut().for_each(|wait| begin(driver, wait));
        let mut nops: Vec<_> = (0..60).map(|_| driver.submit(Nop::new())).collect();
        nops.iter_mut().for_each(|nop| begin(driver, nop));
        // The queues are full when these cancels are requested.
        waits.truncate(40);
        let served = waits.split_off(20);
        waits.iter().for_each(Submit::cancel);
        for nop in nops {
            assert_eq!(run(driver, nop).unwrap(), 0);
        }
        let work = driver.submit(Blocking::new(|| 7));
        assert_eq!(run(driver, work).unwrap().unwrap(), 7);
        for wait in waits {
            check_code(run(driver, wait).0, libc::ECANCELED);
        }
        for (wait, peer) in served.into_iter().zip(&peers[20..]) {
            let send = driver.submit(Send::new(peer.clone(), "x", 0));
            assert_eq!(run(driver, send).0.unwrap(), 1);
            assert_eq!(run(driver, wait).0.unwrap(), 1);
        }
        drain(driver);
        assert_eq!(deaths.get(), 60 * round);
    }
}

/// The kernel has no memory for a request (EAGAIN), wants completions reaped first (EBUSY), or was
/// interrupted by a signal (EINTR).
#[test]
fn s15_a_ring_survives_a_storm_of_refused_enters() {
    let Some(builder) = uring() else { return };
    let errors = &[libc::EBUSY, libc::EAGAIN, libc::EINTR, libc::EBUSY];
    in_a_storm(&[libc::SYS_io_uring_enter], errors, || {
        check_operations(&own_pool(builder));
    });
}

#[test]
fn s15_readiness_survives_a_storm_of_interruptions() {
    let calls = &[
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        libc::SYS_recvmsg,
        libc::SYS_sendmsg,
    ];
    in_a_storm(calls, &[libc::EINTR, libc::EINTR], || {
        let builder = DriverBuilder::new().backend(BackendKind::Poll);
        check_operations(&own_pool(builder));
    });
}

/// A driver that is dropped in a storm still reaps every final completion.
#[test]
fn s15_a_ring_dies_in_a_storm_and_leaks_nothing() {
    let Some(builder) = uring() else { return };
    let errors = &[libc::EBUSY, libc::EAGAIN, libc::EINTR];
    in_a_storm(&[libc::SYS_io_uring_enter], errors, move || {
        for _ in 0..10 {
            let deaths = Rc::<Cell<usize>>::default();
            let driver = own_pool(builder.clone());
            let (reader, _writer) = support::pipe();
            let mut reads: Vec<_> = (0..60)
                .map(|_| driver.submit(ReadAt::at_cursor(reader.clone(), Canary::new(&deaths))))
                .collect();
            reads.iter_mut().for_each(|read| begin(&driver, read));
            drop(driver);
            drop(reads);
            assert_eq!(deaths.get(), 60);
        }
    });
}

/// A child with a single ring: prints the kernel's list of overflowed completions.
#[test]
#[ignore = "child process of the next test"]
fn a_child() {
    let driver = tiny_driver();
    let mut nops: Vec<_> = (0..500).map(|_| driver.submit(Nop::new())).collect();
    nops.iter_mut().for_each(|nop| begin(&driver, nop));
    let ring = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).ok()?;
        let is_ring = target.to_string_lossy().contains("io_uring");
        is_ring.then(|| path.file_name().unwrap().to_owned())
    });
    let info = std::path::Path::new("/proc/self/fdinfo").join(ring.expect("a ring"));
    let info = fs::read_to_string(info).unwrap();
    let (_, beside) = info.split_once("CqOverflowList:").unwrap_or_default();
    let beside = beside
        .lines()
        .filter(|line| line.contains("user_data"))
        .count();
    for nop in nops {
        assert_eq!(run(&driver, nop).unwrap(), 0);
    }
    assert_eq!(driver.in_flight(), 0);
    println!("\nSAYS {beside} beside the queue, and all came");
}

/// Proves that the burst of the other tests does overflow the completion queue.
#[test]
fn s15_a_burst_does_overflow_the_completion_queue_and_nothing_is_lost() {
    if uring().is_none() {
        return;
    }
    let said = support::ask(
        "soundness::kernels::storms::a_child",
        &[("COMPIO_BACKEND", "io-uring")],
    );
    let (count, rest) = said.split_once(' ').unwrap();
    assert_eq!(rest, "beside the queue, and all came");
    assert_ne!(count, "0");
    println!("{said}");
}
