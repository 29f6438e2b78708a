//! Children where pidfd_open(2) is refused, as by a seccomp filter or Linux before 5.3 (row 48).

use std::{cell::Cell, mem, pin::pin, process::Stdio, rc::Rc, thread, time::Duration};

use compio::{
    process::{Child, Command},
    task::{spawn, spawn_blocking, yield_now},
    time::timeout,
};
use compio_testkit::sys::seccomp::refuse;

use crate::{
    child::command,
    support::{begin, check_code, run},
};

/// More children than the thread pool has threads.
const CHILDREN: usize = 300;

/// Runs the test on a new thread with a seccomp filter. There, and in the threads and children that it
/// starts, pidfd_open(2) fails with this error.
fn without_pidfd(error: i32, test: impl FnOnce() + Send + 'static) {
    let on_thread = move || {
        refuse(libc::SYS_pidfd_open, error);
        // SAFETY: no pointers are passed.
        let refused = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        assert_eq!(refused, -1);
        test();
    };
    thread::spawn(on_thread).join().unwrap();
}

/// A child that lives until its input ends.
fn waiting_child() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

#[test]
fn s48_awaited_children_without_pidfd_leave_the_pool_free() {
    for error in [libc::ENOSYS, libc::EPERM] {
        without_pidfd(error, || {
            run(async {
                let begun = Rc::<Cell<usize>>::default();
                let (inputs, waits): (Vec<_>, Vec<_>) = (0..CHILDREN)
                    .map(|_| {
                        let mut child = waiting_child();
                        let (input, begun) = (child.stdin.take(), begun.clone());
                        let wait = spawn(async move {
                            let mut wait = pin!(child.wait());
                            begin(wait.as_mut()).await;
                            begun.set(begun.get() + 1);
                            wait.await
                        });
                        (input, wait)
                    })
                    .unzip();
                while begun.get() < CHILDREN {
                    yield_now().await;
                }
                assert_eq!(spawn_blocking(|| 5).await.unwrap(), 5);
                drop(inputs);
                for wait in waits {
                    assert!(wait.await.unwrap().unwrap().success());
                }
            });
        });
    }
}

#[test]
fn s48_children_without_pidfd_report_their_codes() {
    without_pidfd(libc::ENOSYS, || {
        run(async {
            let waits: Vec<_> = (0..20)
                .map(|code| {
                    let mut command = command(&format!("exit {code}"));
                    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
                    spawn(async move { child.wait().await })
                })
                .collect();
            for (code, wait) in waits.into_iter().enumerate() {
                check_code(wait.await.unwrap().unwrap(), code as i32);
            }
        });
    });
}

#[test]
fn s48_dropped_wait_without_pidfd_loses_no_status() {
    without_pidfd(libc::ENOSYS, || {
        run(async {
            let mut child = waiting_child();
            // `wait` closes the input, and so the child would end.
            let input = child.stdin.take();
            for _ in 0..100 {
                assert!(timeout(Duration::ZERO, child.wait()).await.is_err());
            }
            drop(input);
            assert!(child.wait().await.unwrap().success());
            assert!(child.wait().await.unwrap().success());
        });
    });
}

/// waitid(2) for any child reports the zombie of other code again and again.
#[test]
fn s48_foreign_zombie_without_pidfd_does_not_hide_the_end_of_a_child() {
    without_pidfd(libc::ENOSYS, || {
        let mut foreign = std::process::Command::new("true").spawn().unwrap();
        // SAFETY: `info` is plain data that the call fills in. The status stays.
        unsafe {
            let mut info: libc::siginfo_t = mem::zeroed();
            let options = libc::WEXITED | libc::WNOWAIT;
            let waited = libc::waitid(libc::P_PID, foreign.id(), &raw mut info, options);
            assert_eq!(waited, 0);
        }
        run(async {
            for _ in 0..3 {
                let mut child = waiting_child();
                assert!(child.wait().await.unwrap().success());
            }
        });
        assert!(foreign.wait().unwrap().success());
    });
}
