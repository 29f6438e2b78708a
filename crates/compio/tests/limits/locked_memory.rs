//! A low limit of locked memory (RLIMIT_MEMLOCK), as in many containers. Rings are charged to it.

use std::{io, thread};

use compio::{
    driver::BackendKind,
    runtime::{BufferPool, Runtime, RuntimeBuilder},
};

use crate::support::{
    alone, become_nobody, bounded, check_exchange, connection, limit, wait_until,
};

/// Checks that the runtime works, or that its error names the remedy.
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
        // The kernel may refuse the buffer ring: then the pool selects the buffers.
        let pool = BufferPool::new(64, 16 * 1024).expect("no limit of ours");
        io::Write::write_all(&mut far, b"pooled").expect("room");
        let mut received = near.recv_stream(&pool);
        let buffer = bounded(received.next()).await.expect("some bytes");
        assert_eq!(&buffer.expect("no error")[..], b"pooled");
        drop(received);
        // The kernel may refuse to lock the buffer of the send.
        let (sent, loan) = bounded(near.send_zero_copy(vec![1; 100_000])).await;
        sent.expect("no error");
        drop(far);
        drop(near);
        assert_eq!(bounded(loan).await.len(), 100_000);
    });
}

#[test]
fn a_runtime_without_locked_memory_works_or_names_the_remedy() {
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
fn the_readiness_backend_needs_no_locked_memory() {
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
fn existing_runtimes_go_on_when_locked_memory_is_used_up() {
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
        // The kernel returns a ring's memory with a delay.
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

/// The kernel refuses every ring of this user: the error comes soon and names the limit.
#[test]
fn s46_runtime_without_locked_memory_reports_the_limit() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        let ring = || RuntimeBuilder::new().backend(BackendKind::IoUring).build();
        if ring().is_err_and(|error| error.kind() != io::ErrorKind::OutOfMemory) {
            // The kernel has no io_uring for this process, for a reason other than memory.
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
