//! Counts the lines of files on several threads: one channel carries the names to them, another one
//! the results back.
//!
//! `cargo run --release --example count -- FILE...`
//!
//! Each thread has a runtime of its own. The channels are independent of the runtime: they only
//! need wakes from other threads.

use std::{env, io, process::ExitCode, thread};

use compio::{fs::File, task::block_on};

/// The size of one read, in bytes.
const CHUNK: usize = 256 * 1024;

#[compio::main]
async fn main() -> ExitCode {
    let paths: Vec<String> = env::args().skip(1).collect();
    // A short queue: the sender waits while it is full.
    let (jobs, waiting) = async_channel::bounded::<String>(16);
    let (results, done) = async_channel::bounded::<(String, io::Result<usize>)>(16);
    let threads: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
        .map(|_| {
            let (waiting, results) = (waiting.clone(), results.clone());
            thread::spawn(move || {
                block_on(async {
                    // The channel closes when the last name has been taken.
                    while let Ok(path) = waiting.recv().await {
                        let count = count_lines(&path).await;
                        if results.send((path, count)).await.is_err() {
                            return;
                        }
                    }
                });
            })
        })
        .collect();
    // The threads have their own clones.
    drop((waiting, results));

    compio::task::spawn(async move {
        for path in paths {
            if jobs.send(path).await.is_err() {
                return;
            }
        }
    });
    let (mut total, mut code) = (0, ExitCode::SUCCESS);
    while let Ok((path, count)) = done.recv().await {
        match count {
            Ok(count) => {
                println!("{count:8} {path}");
                total += count;
            }
            Err(error) => {
                eprintln!("{path}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    println!("{total:8} in all");
    for thread in threads {
        if thread.join().is_err() {
            code = ExitCode::FAILURE;
        }
    }
    code
}

async fn count_lines(path: &str) -> io::Result<usize> {
    let file = File::open(path)?;
    let mut buffer = Vec::with_capacity(CHUNK);
    let (mut position, mut count) = (0, 0);
    loop {
        let read;
        (read, buffer) = file.read_at(buffer, position).await;
        match read? {
            0 => return Ok(count),
            len => position += len as u64,
        }
        count += buffer.iter().filter(|byte| **byte == b'\n').count();
    }
}
