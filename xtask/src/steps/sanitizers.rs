//! The tests under AddressSanitizer, with its leak detector, and under ThreadSanitizer. Both are
//! parts of nightly.

use std::path::Path;

use super::{UNSAFE, host};
use crate::run::{Line, Outcome, Run};

/// Code that threads share: the executor, the driver without its files and sockets, events, workers. Tests that
/// move gigabytes take minutes here and show no race. The sanitizer delays signals until a thread
/// makes a call that it intercepts, and io_uring_enter is none.
const THREADS: [&str; 5] = [
    "-p compio-executor --tests",
    "-p compio-driver --lib -- pool notify arena wait_list",
    "-p compio-driver --test it -- pool notify turns waiters cancel_token shutdown accepting",
    "-p compio --test event",
    "-p compio --test cores_soak",
];

/// Excluded tests: a memory limit, which the sanitizer itself exceeds; a deadline of a drop, after
/// which operations in flight leak by design; refused system calls, which the sanitizer makes as
/// well; a thread of a forked child, whose start takes a lock of the sanitizer that a thread of the
/// parent may have held at the fork; a binary that defines `pthread_create`, so that the sanitizer does not see its
/// threads.
const NOT_ADDRESS: [&str; 12] = [
    "--skip",
    "symbols::",
    "--skip",
    "s49_runtimes_in_child_work_while_parent_makes_runtimes_and_work",
    "--skip",
    "reactor_in_child_works_while_parent_uses_its_own",
    "--skip",
    "s29_procfs_and_sysfs_files_read_as_with_std",
    "--skip",
    "s43_drop_with_many_receives_keeps_its_deadline",
    "--skip",
    "s50_each_refused_call_has_the_documented_outcome",
];

pub(crate) fn address(run: &mut Run) -> Outcome {
    if !has_nightly(run, "asan")? {
        return Ok(());
    }
    let target = host(run)?;
    // With a named target, build scripts and macros are built without the flags.
    let sanitized = run
        .cargo("+nightly test --tests --all-features")
        .words(UNSAFE)
        .arguments(["--target", &target])
        .arguments(run.own_target("asan"))
        .arguments(["--"])
        .arguments(NOT_ADDRESS)
        .variable("RUSTFLAGS", "-Zsanitizer=address")
        // The C compiler provides addr2line; LLVM's own symbolizer may be missing.
        .variable("ASAN_OPTIONS", "detect_leaks=1:allow_addr2line=1");
    sanitized.clone().run()?;
    // The same packages: another selection would be another build.
    sanitized.variable("COMPIO_BACKEND", "poll").run()
}

pub(crate) fn thread(run: &mut Run) -> Outcome {
    if !has_nightly(run, "tsan")? {
        return Ok(());
    }
    // The sanitizer does not see the locks and reference counts of an uninstrumented std: std is
    // rebuilt.
    let root = run
        .program("rustc")
        .words("+nightly --print sysroot")
        .quiet();
    let source = root.map(|root| Path::new(&root).join("lib/rustlib/src/rust/library"));
    let why_not = "no source of std: `rustup component add rust-src --toolchain nightly`";
    if !source.is_some_and(|source| source.is_dir()) {
        // A toolchain component that a machine without access to rustup's server cannot have.
        run.skip("tsan", why_not);
        return Ok(());
    }
    let target = host(run)?;
    let sanitized = |tests: &str| -> Line {
        let (tests, filter) = tests.split_once(" -- ").unwrap_or((tests, ""));
        run.cargo("+nightly test -Zbuild-std")
            .words(tests)
            .arguments(["--target", &target])
            .arguments(run.own_target("tsan"))
            .words("--")
            .words(filter)
            .variable("RUSTFLAGS", "-Zsanitizer=thread")
            // Panics are part of the tests, and symbolizing one takes seconds here.
            .variable("RUST_BACKTRACE", "0")
    };
    for tests in THREADS {
        sanitized(tests).run()?;
    }
    for tests in [THREADS[2], THREADS[4]] {
        sanitized(tests).variable("COMPIO_BACKEND", "poll").run()?;
    }
    Ok(())
}

fn has_nightly(run: &mut Run, step: &str) -> Outcome<bool> {
    let nightly = run.cargo("+nightly --version").quiet().is_some();
    let why_not = "no nightly toolchain: `rustup toolchain install nightly`";
    run.require(nightly, step, why_not)
}
