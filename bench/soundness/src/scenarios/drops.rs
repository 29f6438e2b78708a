//! The duration of a drop whose operation is slow to cancel.

use std::{io, task::Poll, time::Duration};

use crate::{
    common::{Fifo, Quiet, Terminal, connected, ms, pause, poll_once, report, run, stage, timed},
    contender::{Contender, Local},
};

const TIMES: usize = 5;

/// A read of a silent socket.
pub fn socket<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, _peer) = connected::<C>().await;
        let mut worst = Duration::ZERO;
        for _ in 0..TIMES {
            let read = C::read(&mut stream, Vec::with_capacity(100));
            worst = worst.max(drop_in_time::<C, _>(read, read_end).await);
        }
        tell::<C>(worst).await;
    });
}

/// A FIFO without data.
pub fn fifo_read<C: Contender>() {
    file_read::<C>(&Fifo::held());
}

/// A terminal without input.
pub fn terminal_read<C: Contender>() {
    file_read::<C>(&Terminal::new());
}

fn file_read<C: Contender>(quiet: &impl Quiet) {
    run::<C, _>(async {
        let mut worst = Duration::ZERO;
        for _ in 0..TIMES {
            let file = C::open(quiet.path()).await;
            let mut file = file.expect("it can be opened");
            let read = C::read_file(&mut file, Vec::with_capacity(100));
            worst = worst.max(drop_in_time::<C, _>(read, read_end).await);
        }
        tell::<C>(worst).await;
    });
}

/// A FIFO without a reader.
pub fn fifo_open<C: Contender>() {
    run::<C, _>(async {
        let fifo = Fifo::new();
        let mut worst = Duration::ZERO;
        for _ in 0..TIMES {
            worst = worst.max(drop_in_time::<C, _>(C::create(&fifo.path), open_end).await);
        }
        tell::<C>(worst).await;
    });
}

fn read_end((result, _): (io::Result<usize>, Vec<u8>)) -> String {
    format!("{result:?}")
}

fn open_end<F>(result: io::Result<F>) -> String {
    format!("{:?}", result.map(drop))
}

async fn drop_in_time<C: Contender, T>(
    mut operation: Local<'_, T>,
    end: fn(T) -> String,
) -> Duration {
    stage("the first polls");
    for _ in 0..2 {
        if let Poll::Ready(ended) = poll_once(&mut operation).await {
            report(&format!(
                "not observable: it ends by itself with {}",
                end(ended)
            ));
        }
        pause::<C>(5).await;
    }
    stage("the drop");
    timed(|| drop(operation)).1
}

async fn tell<C: Contender>(worst: Duration) {
    stage("a timer after the drop");
    pause::<C>(1).await;
    report(&format!("{}, and goes on", ms(worst)));
}
