//! Little memory may be locked, as in many containers: rings are accounted there.

use std::{io, thread};

use compio::{
    driver::BackendKind,
    runtime::{BufferPool, Runtime, RuntimeBuilder},
};

use crate::support::{
    alone, become_nobody, bounded, check_exchange, connection, limit, wait_until,
};

/// What there is works, or the error says what to do.
fn check_made(made: io::Result<Runtime>) -> Option<Runtime> {
    match made {
        Ok(runtime) => {
            check_works(&runtime);
            Some(runtime)
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
            assert!(error.to_string().contains("ulimit -l"), "{error}");
            None
        }
    }
}

fn check_works(runtime: &Runtime) {
    runtime.block_on(async {
        let (mut near, mut far) = connection();
        check_exchange(&mut near, &mut far).await;
        // The kernel may refuse to choose buffers: then they are chosen here.
        let pool = BufferPool::new(64, 16 * 1024).expect("no limit of ours");
        io::Write::write_all(&mut far, b"pooled").expect("room");
        let mut received = near.recv_stream(&pool);
        let buffer = bounded(received.next()).await.expect("some bytes");
        assert_eq!(&buffer.expect("no error")[..], b"pooled");
        drop(received);
        // Or to lock what is sent.
        let (sent, loan) = bounded(near.send_zero_copy(vec![1; 100_000])).await;
        sent.expect("no error");
        drop(far);
        drop(near);
        assert_eq!(bounded(loan).await.len(), 100_000);
    });
}

#[test]
fn without_any_a_runtime_works_or_says_what_it_wants() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        limit(libc::RLIMIT_MEMLOCK, 0);
        check_made(Runtime::new());
        let entries = RuntimeBuilder::new().entries(1);
        check_made(entries.build());
    });
}

#[test]
fn readiness_needs_none() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        limit(libc::RLIMIT_MEMLOCK, 0);
        let runtime = RuntimeBuilder::new().backend(BackendKind::Poll).build();
        check_works(&runtime.expect("a runtime"));
    });
}

#[test]
fn when_it_is_used_up_those_that_are_there_go_on() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        limit(libc::RLIMIT_MEMLOCK, 512 * 1024);
        let mut runtimes: Vec<_> = (0..40).map_while(|_| check_made(Runtime::new())).collect();
        let last = runtimes.last().expect("one at least");
        check_works(last);
        let (full, count) = (runtimes.len() < 40, runtimes.len());
        eprintln!("{count} runtimes: {}", last.backend());
        runtimes.truncate(count / 2);
        // The kernel takes its time to give back what a ring has had.
        let survivor = runtimes.first().expect("a half of them");
        wait_until(survivor, || !full || check_made(Runtime::new()).is_some());
        runtimes.iter().for_each(check_works);
    });
}

/// The common limit of an ordinary user.
const COMMON_LIMIT: u64 = 8 << 20;

/// Room for a ring of 256 entries (about 52 KiB), and not for two.
const LIMIT_OF_ONE: u64 = 96 << 10;

/// Makes runtimes one after the other, and uses the last one.
fn make_short_lived_runtimes(count: usize, entries: u32) {
    for round in 1..=count {
        let runtime = RuntimeBuilder::new().entries(entries).build();
        let runtime = runtime.unwrap_or_else(|error| panic!("runtime {round}: {error}"));
        if round == count {
            check_works(&runtime);
        }
    }
}

#[test]
fn s46_short_lived_runtimes_under_the_common_limit_are_all_made() {
    alone(|| {
        if become_nobody() {
            limit(libc::RLIMIT_MEMLOCK, COMMON_LIMIT);
            make_short_lived_runtimes(1000, 256);
            make_short_lived_runtimes(100, 4096);
        }
    });
}

#[test]
fn s46_short_lived_runtimes_with_room_for_one_are_all_made() {
    alone(|| {
        if become_nobody() {
            limit(libc::RLIMIT_MEMLOCK, LIMIT_OF_ONE);
            make_short_lived_runtimes(50, 256);
        }
    });
}

#[test]
fn s46_short_lived_runtimes_on_several_threads_are_all_made() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        limit(libc::RLIMIT_MEMLOCK, COMMON_LIMIT);
        let threads = [(); 4].map(|()| thread::spawn(|| make_short_lived_runtimes(250, 512)));
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

/// The kernel takes no ring of this user at all: the error comes soon and names the limit.
#[test]
fn s46_runtime_without_locked_memory_reports_the_limit() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        let ring = || RuntimeBuilder::new().backend(BackendKind::IoUring).build();
        if ring().is_err_and(|error| error.kind() != io::ErrorKind::OutOfMemory) {
            // The kernel has no io_uring for this process, for a reason other than its memory.
            return;
        }
        limit(libc::RLIMIT_MEMLOCK, 0);
        match ring() {
            // Kernels from 5.12 to 6.13 do not charge a ring to this limit.
            Ok(runtime) => check_works(&runtime),
            Err(error) => assert!(error.to_string().contains("ulimit -l"), "{error}"),
        }
    });
}
