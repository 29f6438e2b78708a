//! The end of the process while blocking work runs (scenario 51).
//!
//! exit(3) runs the destructors of its caller's thread locals, which drop the thread's own runtime. So
//! does ExitProcess, after it has ended all other threads.
//!
//! The work here ends by itself, within the time for which a runtime's drop waits. If it prints its line,
//! the drop has waited for it.
//!
//! Each scenario is a process, whose main thread belongs to the scenario and not to a test harness.

use std::{env, process::Command, sync::mpsc, thread, time::Duration};

use compio::task::{block_on, spawn, spawn_blocking};

/// How the child ends.
const END: &str = "TEST_END";

/// The code of a child that ends by `std::process::exit`.
const CODE: i32 = 42;

type Test = (&'static str, fn());

const TESTS: [Test; 6] = [
    ("s51_exit_in_task_waits_for_no_blocking_work", || {
        assert!(!waits("task", CODE));
    }),
    (
        "s51_exit_in_block_on_of_other_thread_waits_for_no_blocking_work",
        || {
            assert!(!waits("thread", CODE));
        },
    ),
    ("s51_exit_after_block_on_waits_for_no_blocking_work", || {
        assert!(!waits("exit", CODE));
    }),
    (
        "s51_return_from_main_after_block_on_waits_for_no_blocking_work",
        || {
            assert!(!waits("return", 0));
        },
    ),
    (
        "s51_return_from_compio_main_waits_for_blocking_work",
        || {
            assert!(waits("main", 0));
        },
    ),
    ("s51_end_of_thread_waits_for_blocking_work", || {
        assert!(waits("end of thread", 0));
    }),
];

fn main() {
    if let Ok(end) = env::var(END) {
        return play(&end);
    }
    // The harness's arguments: flags are for it, a word chooses tests, and a list has the names alone. `--skip` has a word
    // of its own.
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let mut skipped = Vec::new();
    while let Some(at) = arguments.iter().position(|word| word == "--skip") {
        skipped.extend(arguments.drain(at..arguments.len().min(at + 2)).nth(1));
    }
    let is_list = arguments.iter().any(|argument| argument == "--list");
    let words: Vec<_> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    for (name, test) in TESTS {
        if is_list {
            println!("{name}: test");
        } else if skipped.iter().any(|word| name.contains(word.as_str())) {
            println!("test {name} ... skipped");
        } else if words.is_empty() || words.iter().any(|word| name.contains(*word)) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// Begins work that prints a line at its end.
async fn work() {
    let (begun, has_begun) = mpsc::channel();
    drop(spawn_blocking(move || {
        begun.send(()).unwrap();
        thread::sleep(Duration::from_secs(4));
        println!("THE WORK HAS ENDED");
    }));
    has_begun.recv().unwrap();
}

#[compio::main]
async fn main_that_works() {
    work().await;
}

fn play(end: &str) {
    match end {
        "task" => block_on(async {
            work().await;
            spawn(async { std::process::exit(CODE) }).await.unwrap();
        }),
        "thread" => {
            let thread = thread::spawn(|| {
                block_on(async {
                    work().await;
                    std::process::exit(CODE)
                })
            });
            thread.join().unwrap()
        }
        "exit" => {
            block_on(work());
            std::process::exit(CODE)
        }
        "return" => block_on(work()),
        "main" => main_that_works(),
        "end of thread" => thread::spawn(|| block_on(work())).join().unwrap(),
        end => unreachable!("{end}"),
    }
}

/// Whether a process that ends in this way, with this code, waits for the work.
fn waits(end: &str, code: i32) -> bool {
    let output = Command::new(env::current_exe().unwrap())
        .env(END, end)
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{complaint}");
    said.contains("THE WORK HAS ENDED")
}
