//! A program that is slow, to find out why. A service answers small requests. One kind of them computes for a long time on the
//! thread of the loop, so that all others wait.
//!
//! `cargo run --release --example slow` prints the times of answers and the reports of the watchdog.
//! `docs/finding-out-why-it-is-slow.md` explains the output.

use std::{io, time::Instant};

use compio::{
    metrics::OpKind,
    runtime::Handle,
    task,
    time::{Duration, sleep},
    watchdog::Watchdog,
};

#[compio::main]
async fn main() -> io::Result<()> {
    let _watchdog = Watchdog::builder()
        .poll_limit(Duration::from_millis(50))
        .start()?;
    let small = task::Builder::new().name("small requests").spawn(async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let begin = Instant::now();
            sleep(Duration::from_millis(10)).await;
            slowest = slowest.max(begin.elapsed());
        }
        slowest
    });
    let report = task::Builder::new().name("report").spawn(async {
        sleep(Duration::from_millis(50)).await;
        // The fault. The remedy is `task::spawn_blocking(sum_of_digits)`.
        sum_of_digits()
    });
    println!("the sum is {}", report.await.unwrap());
    println!(
        "the slowest small request took {:?} instead of 10 ms",
        small.await.unwrap()
    );

    let metrics = Handle::current().metrics();
    println!(
        "{} polls in {} turns of the loop, {} operations in flight, {} recv",
        metrics.poll_count(),
        metrics.turn_count(),
        metrics.num_operations(),
        metrics.operations(OpKind::Recv).completed
    );
    Ok(())
}

/// Computes for about a second.
fn sum_of_digits() -> u64 {
    let begin = Instant::now();
    let mut sum = 0;
    let mut number = 0_u64;
    while begin.elapsed() < Duration::from_secs(1) {
        number += 1;
        sum += number
            .to_string()
            .bytes()
            .map(|digit| u64::from(digit - b'0'))
            .sum::<u64>();
    }
    sum
}
