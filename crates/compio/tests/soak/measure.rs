//! The resources of a process: descriptors, threads, children, memory.

use std::{
    fmt, fs, process,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use compio::{driver::ThreadPool, process::Command, runtime::Runtime, task::spawn_blocking};
use compio_testkit::allocator::{Counting, LiveBytes};

use crate::{LONG, POOL};

#[global_allocator]
static ALLOCATOR: Counting<LiveBytes> = Counting(LiveBytes);

/// The resources of the process at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    descriptors: usize,
    threads: usize,
    children: usize,
    live: isize,
    pub(crate) resident: isize,
}

impl Measure {
    /// Waits until the counts are stable: a thread that has ended may still hold resources, and the thread
    /// that reaps killed children ends when it has reaped them all. No task here keeps a child for long.
    pub(crate) fn settled(pool: &ThreadPool) -> Self {
        let began = Instant::now();
        sweep(pool);
        let mut last = Self::now();
        let mut unchanged = 0;
        while unchanged < 3 {
            assert!(began.elapsed() < LONG, "the counts are not stable: {last}");
            thread::sleep(Duration::from_millis(2));
            let now = Self::now();
            let is_same = last.without_resident() == now.without_resident();
            let is_reaping = thread_names().any(|name| name.starts_with("compio-reaper"));
            unchanged = if is_same && now.children == 0 && !is_reaping {
                unchanged + 1
            } else {
                0
            };
            last = now;
        }
        last
    }

    fn now() -> Self {
        Self {
            descriptors: entries("/proc/self/fd"),
            threads: threads(),
            children: children(),
            live: LiveBytes::now(),
            resident: resident(),
        }
    }

    fn without_resident(&self) -> Self {
        Self {
            resident: 0,
            ..self.clone()
        }
    }

    /// Checks that no resource has leaked since `before`. Retries for a while: a thread that has started and
    /// not run yet has no name to identify it. Memory may differ by the slack.
    #[track_caller]
    pub(crate) fn back_to(before: &Self, slack: isize, pool: &ThreadPool) -> Self {
        let began = Instant::now();
        loop {
            let now = Self::settled(pool);
            let left = now.live - before.live;
            if now.counts() == before.counts() && left <= slack {
                return now;
            }
            if began.elapsed() > LONG {
                let names: Vec<_> = thread_names().collect();
                panic!("{left} bytes are left: {now} after {before}, with {names:?}");
            }
        }
    }

    fn counts(&self) -> [usize; 3] {
        [self.descriptors, self.threads, self.children]
    }

    /// The same, with at most as many threads as the other.
    pub(crate) fn with_threads_at_most_of(mut self, other: &Self) -> Self {
        self.threads = self.threads.min(other.threads);
        self
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} descriptors, {} threads, {} children, {} bytes live, {} kB resident",
            self.descriptors,
            self.threads,
            self.children,
            self.live,
            self.resident / 1024
        )
    }
}

/// Reaps dropped children, and starts all threads of the pool, which end after a long idle time.
fn sweep(pool: &ThreadPool) {
    let runtime = Runtime::builder().pool(pool.clone()).build();
    runtime.expect("a runtime").block_on(async {
        let status = Command::new("true").status().await;
        assert!(status.expect("a program").success());
        let all = Arc::new(Barrier::new(POOL));
        let works: Vec<_> = (0..POOL)
            .map(|_| {
                let all = Arc::clone(&all);
                spawn_blocking(move || all.wait().is_leader())
            })
            .collect();
        for work in works {
            work.await.expect("work that ends");
        }
    });
}

fn entries(list: &str) -> usize {
    fs::read_dir(list).expect("the list").count()
}

/// The number of threads without io-wq workers, which the kernel starts and ends at any time.
fn threads() -> usize {
    thread_names()
        .filter(|name| !name.starts_with("iou-wrk"))
        .count()
}

fn thread_names() -> impl Iterator<Item = String> {
    let threads = fs::read_dir("/proc/self/task").expect("the list");
    threads.filter_map(|entry| {
        let path = entry.ok()?.path().join("comm");
        fs::read_to_string(path).ok()
    })
}

/// The number of children, zombies included.
fn children() -> usize {
    let us = process::id().to_string();
    let stats = fs::read_dir("/proc")
        .expect("the list")
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("stat");
            fs::read_to_string(path).ok()
        });
    let is_ours = |stat: &String| {
        // The name may contain any character.
        let fields = stat.rsplit_once(") ");
        fields.is_some_and(|(_, fields)| fields.split(' ').nth(1) == Some(&us))
    };
    stats.filter(is_ours).count()
}

/// The resident bytes of the process.
fn resident() -> isize {
    let pages = fs::read_to_string("/proc/self/statm").expect("the sizes");
    let pages = pages.split(' ').nth(1).expect("the second of them");
    pages.parse::<isize>().expect("a number") * 4096
}
