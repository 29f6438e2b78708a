//! Work for another thread and its result back: compio's `Dispatcher` beside tokio's `Handle::spawn`, each with one
//! worker and a caller on a current-thread runtime of the same kind.
//!
//! `cargo run --release --example dispatch`
//!
//! One job at a time finds the worker asleep; 64 at a time find it awake. The numbers are medians of wall time and of
//! CPU time of both threads, for one job, with the lowest and the highest. Rounds alternate.

use std::{hint::black_box, io, time::Instant};

use compio::cores::Dispatcher;
use nix::time::{ClockId, clock_gettime};

const JOBS: usize = 40_000;
const ROUNDS: usize = 7;

fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn by_compio(at_once: usize) -> io::Result<[f64; 2]> {
    let dispatcher = Dispatcher::builder().workers(1).build()?;
    compio::task::block_on(async {
        let run = async || {
            for _ in 0..JOBS / at_once {
                let job = |number| dispatcher.dispatch(move || async move { black_box(number) });
                let jobs: Vec<_> = (0..at_once).map(job).collect();
                for job in jobs {
                    job.await?;
                }
            }
            io::Result::Ok(())
        };
        measure(run).await
    })
}

fn by_tokio(at_once: usize) -> io::Result<[f64; 2]> {
    let worker = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()?;
    let caller = tokio::runtime::Builder::new_current_thread().build()?;
    caller.block_on(async {
        let run = async || {
            for _ in 0..JOBS / at_once {
                let job = |number| worker.handle().spawn(async move { black_box(number) });
                let jobs: Vec<_> = (0..at_once).map(job).collect();
                for job in jobs {
                    job.await?;
                }
            }
            io::Result::Ok(())
        };
        measure(run).await
    })
}

/// Nanoseconds of wall time and of CPU time for one job.
async fn measure(run: impl AsyncFn() -> io::Result<()>) -> io::Result<[f64; 2]> {
    let (cpu, began) = (cpu_time(), Instant::now());
    run().await?;
    let each = |nanos: f64| nanos / JOBS as f64;
    Ok([
        each(began.elapsed().as_nanos() as f64),
        each((cpu_time() - cpu) as f64),
    ])
}

fn main() -> io::Result<()> {
    for at_once in [1, 64] {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rounds[0].push(by_compio(at_once)?);
            rounds[1].push(by_tokio(at_once)?);
        }
        for (name, rounds) in ["compio", "tokio"].into_iter().zip(&rounds) {
            let show = |column: usize| {
                let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
                values.sort_by(f64::total_cmp);
                let [low, median, high] = [0, ROUNDS / 2, ROUNDS - 1].map(|place| values[place]);
                format!("{median:.0} ({low:.0}-{high:.0})")
            };
            println!(
                "{at_once} at once, {name}: wall {} ns, CPU {} ns a job",
                show(0),
                show(1)
            );
        }
    }
    Ok(())
}
