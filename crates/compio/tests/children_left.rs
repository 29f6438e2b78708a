//! Children leave no zombies and no descriptors, in a process that has no others.
//!
//! The tests run one after the other: they count all children and descriptors of the process.
#![cfg(target_os = "linux")]

use std::{
    fs,
    pin::pin,
    process::{self, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use compio::{
    process::{Child, Command},
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
};
use compio_testkit::future::begin;

/// A limit that only a hang exceeds.
const LONG: Duration = Duration::from_secs(20);

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("the list").count()
}

/// The children of this process, zombies included: their numbers and states.
fn children() -> Vec<(u32, char)> {
    let us = process::id().to_string();
    let stats = fs::read_dir("/proc")
        .expect("the list")
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("stat");
            fs::read_to_string(path).ok()
        });
    stats
        .filter_map(|stat| {
            // The name may contain any character.
            let (head, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let state = fields.next()?.chars().next()?;
            let pid = head.split(' ').next()?.parse().ok()?;
            (fields.next()? == us).then_some((pid, state))
        })
        .collect()
}

/// Runs the scenario on a thread of its own, after which nothing must be left.
fn check(scenario: impl FnOnce() + Send + 'static) {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = descriptors();
    thread::spawn(scenario).join().expect("no panic");
    // A pool thread may still hold a descriptor.
    wait_until(|| descriptors() == before);
    wait_until(|| children().is_empty());
}

/// Waits for a change that another thread or process makes.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < LONG,
            "this takes too long: {:?}",
            children()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

fn sleeping() -> Command {
    let mut command = Command::new("sleep");
    command
        .arg("300")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[test]
fn waited_for() {
    check(|| {
        block_on(async {
            for _ in 0..50 {
                assert!(Command::new("true").status().await.unwrap().success());
                assert!(
                    Command::new("echo")
                        .output()
                        .await
                        .unwrap()
                        .status
                        .success()
                );
                assert_eq!(children(), []);
            }
        });
    });
}

#[test]
fn killed_and_waited_for() {
    check(|| {
        block_on(async {
            for _ in 0..50 {
                sleeping().spawn().unwrap().kill().await.unwrap();
                assert_eq!(children(), []);
            }
        });
    });
}

#[test]
fn killed_by_their_drop() {
    check(|| {
        block_on(async {
            let children: Vec<Child> = (0..50).map(|_| sleeping().spawn().unwrap()).collect();
            drop(children);
        });
    });
}

#[test]
fn killed_by_their_drop_outside_of_any_runtime() {
    check(|| drop(sleeping().spawn().unwrap()));
}

#[test]
fn killed_by_the_drop_of_their_future() {
    check(|| {
        block_on(async {
            for _ in 0..10 {
                begin(pin!(sleeping().status())).await;
                begin(pin!(sleeping().output())).await;
                begin(pin!(sleeping().spawn().unwrap().wait_with_output())).await;
                drop(sleeping().output());
                begin(pin!(sleeping().spawn().unwrap().wait())).await;
                yield_now().await;
            }
        });
    });
}

#[test]
fn killed_by_the_end_of_their_runtime() {
    check(|| {
        for _ in 0..5 {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                for _ in 0..5 {
                    let mut child = sleeping().spawn().unwrap();
                    drop(spawn(async move { child.wait().await }));
                    drop(spawn(sleeping().output()));
                }
                yield_now().await;
            });
            drop(runtime);
        }
    });
}

#[test]
fn killed_while_unwinding() {
    check(|| {
        let task = thread::spawn(|| {
            let _child = sleeping().spawn().unwrap();
            panic!("on purpose");
        });
        task.join().unwrap_err();
    });
}

#[test]
fn dropped_and_ended_by_themselves() {
    check(|| {
        block_on(async {
            let pids: Vec<u32> = (0..20)
                .map(|_| Command::new("true").spawn().unwrap().id().unwrap())
                .collect();
            let are_zombies = || {
                let all = children();
                all.iter()
                    .all(|(pid, state)| pids.contains(pid) && *state == 'Z')
            };
            wait_until(are_zombies);
            // The next spawn reaps the dropped children.
            assert!(Command::new("true").status().await.unwrap().success());
            assert_eq!(children(), []);
        });
    });
}

#[test]
fn a_program_that_goes_on_dropping_children_has_few_zombies() {
    check(|| {
        for _ in 0..200 {
            drop(Command::new("true").spawn().unwrap());
        }
        let few = children().len();
        assert!(few < 150, "{few}");
        wait_until(|| children().iter().all(|(_, state)| *state == 'Z'));
        // The next spawn reaps the dropped children.
        let mut child = Command::new("true").spawn().unwrap();
        block_on(child.wait()).unwrap();
    });
}

/// While this lives, the process can open no more descriptors.
struct Full {
    limit: libc::rlimit,
    _files: Vec<fs::File>,
}

impl Full {
    fn new() -> Self {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a plain C struct, which the call fills in.
        let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
        assert_eq!(asked, 0);
        let few = libc::rlimit {
            rlim_cur: 100,
            ..limit
        };
        // SAFETY: a plain C struct, which the call reads.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) };
        assert_eq!(set, 0);
        Self {
            limit,
            _files: (0..)
                .map_while(|_| fs::File::open("/dev/null").ok())
                .collect(),
        }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // SAFETY: a plain C struct, which the call reads.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.limit) };
        assert_eq!(set, 0);
    }
}

#[test]
fn awaited_without_a_descriptor_to_be_had() {
    check(|| {
        block_on(async {
            // The pool has started its thread and opened its descriptors.
            compio::task::spawn_blocking(|| ()).await.unwrap();
            let mut child = sleeping().spawn().unwrap();
            let mut other = Command::new("sh")
                .args(["-c", "sleep 0.1; exit 3"])
                .spawn()
                .unwrap();
            let full = Full::new();
            let status = other.wait().await;
            begin(pin!(child.wait())).await;
            yield_now().await;
            let kill = child.kill().await;
            drop(full);
            assert_eq!(status.unwrap().code(), Some(3));
            kill.unwrap();
        });
    });
}

#[test]
fn that_could_not_be_started() {
    check(|| {
        block_on(async {
            for _ in 0..50 {
                let mut command = Command::new("/nowhere/at/all");
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                command.spawn().unwrap_err();
                command.output().await.unwrap_err();
            }
        });
    });
}
