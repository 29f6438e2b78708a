//! The pitfalls of channels and of tokio's crates inside compio, each with its remedy. The message of a
//! panic is a part of the output.
//!
//! ```console
//! $ cargo run --release --example sync_pitfalls
//! a mesh that waits for itself, tokio's time, and tokio's budget: shown and avoided
//! ```

use std::{cell::Cell, io, rc::Rc, time::Duration};

use compio::{
    cores::Dispatcher,
    task::{consume_budget, spawn, yield_now},
    time::timeout,
};
use tokio::sync::mpsc;

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages from each member of the mesh to each other one.
const EACH: usize = 10;

/// A channel for each ordered pair of members, with room for one message.
type Mesh = Vec<(Vec<mpsc::Sender<usize>>, Vec<mpsc::Receiver<usize>>)>;

fn mesh(members: usize) -> Mesh {
    let mut mesh: Mesh = (0..members).map(|_| (Vec::new(), Vec::new())).collect();
    for from in 0..members {
        for to in (0..members).filter(|to| *to != from) {
            let (sender, receiver) = mpsc::channel(1);
            mesh[from].0.push(sender);
            mesh[to].1.push(receiver);
        }
    }
    mesh
}

async fn send_all(senders: Vec<mpsc::Sender<usize>>) {
    for number in 0..EACH {
        for sender in &senders {
            sender.send(number).await.expect("a receiver");
        }
    }
}

async fn receive_all(receivers: Vec<mpsc::Receiver<usize>>) -> usize {
    let mut sum = 0;
    for mut receiver in receivers {
        while let Some(number) = receiver.recv().await {
            sum += number;
        }
    }
    sum
}

/// Each member sends all its messages before it receives: all wait for room, and none makes any.
async fn mesh_that_sends_first_waits_for_itself() {
    let members: Vec<_> = mesh(2)
        .into_iter()
        .map(|(senders, receivers)| {
            spawn(async move {
                send_all(senders).await;
                receive_all(receivers).await
            })
        })
        .collect();
    // On one core, so that no other thread can make progress in between.
    for _ in 0..1000 {
        yield_now().await;
    }
    for member in members {
        assert!(!member.is_finished());
        member.abort();
    }
}

/// Another task receives.
async fn mesh_with_receiving_tasks_ends(workers: &Dispatcher) {
    let members: Vec<_> = mesh(workers.len())
        .into_iter()
        .enumerate()
        .map(|(worker, (senders, receivers))| {
            workers.dispatch_to(worker, || async {
                let receiving = spawn(receive_all(receivers));
                send_all(senders).await;
                receiving.await.expect("no panic")
            })
        })
        .collect();
    let peers = workers.len() - 1;
    for member in members {
        let sum = member.await.expect("no panic");
        assert_eq!(sum, peers * EACH * (EACH - 1) / 2);
    }
}

/// `tokio::time`, `tokio::net` and `tokio::spawn` need tokio's runtime.
async fn time_of_tokio_panics() {
    let foreign = spawn(async { tokio::time::sleep(Duration::ZERO).await });
    assert!(foreign.await.expect_err("no timer").is_panic());
    compio::time::sleep(Duration::ZERO).await;
}

/// Receives messages that are all ready. Returns the number of polls of another task in the meantime.
async fn polls_beside_ready_channel(gives_way: bool) -> usize {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (0..10_000).for_each(|number| sender.send(number).expect("a receiver"));
    drop(sender);
    let (polls, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let over = Rc::clone(&is_over);
    let receiving = spawn(async move {
        while receiver.recv().await.is_some() {
            if gives_way {
                consume_budget().await;
            }
        }
        over.set(true);
    });
    let counted = Rc::clone(&polls);
    let other = spawn(async move {
        while !is_over.get() {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    receiving.await.expect("no panic");
    other.await.expect("no panic");
    polls.get()
}

/// Only tokio's runtime sets the budget of tokio's channels: here they have none.
async fn budget_of_tokio_has_no_effect() {
    assert_eq!(polls_beside_ready_channel(false).await, 0);
    // 256 messages in each poll.
    assert_eq!(polls_beside_ready_channel(true).await, 10_000 / 256);
}

/// A compio runtime that a tokio task polls shares the budget of one tokio poll among all its tasks. Returns
/// the polls that 1,000 messages need.
async fn polls_inside_tokio(is_unconstrained: bool) -> io::Result<usize> {
    let runtime = compio::runtime::Runtime::new()?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (0..1000).for_each(|number| sender.send(number).expect("a receiver"));
    drop(sender);
    let task = runtime.spawn(async move { while receiver.recv().await.is_some() {} });
    let mut polls = 0;
    let driving = std::future::poll_fn(|cx| {
        polls += 1;
        let turned = runtime.poll_with(cx);
        if task.is_finished() || turned.is_err() {
            return std::task::Poll::Ready(turned.map(|_| ()));
        }
        std::task::Poll::Pending
    });
    if is_unconstrained {
        tokio::task::unconstrained(driving).await?;
    } else {
        driving.await?;
    }
    Ok(polls)
}

fn budget_of_tokio_is_shared_inside_tokio() -> io::Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    // 128 messages in each poll.
    assert_eq!(tokio.block_on(polls_inside_tokio(false))?, 8);
    assert_eq!(tokio.block_on(polls_inside_tokio(true))?, 1);
    Ok(())
}

fn main() -> io::Result<()> {
    budget_of_tokio_is_shared_inside_tokio()?;
    let all = async {
        let workers = Dispatcher::builder().workers(4).build()?;
        mesh_that_sends_first_waits_for_itself().await;
        mesh_with_receiving_tasks_ends(&workers).await;
        time_of_tokio_panics().await;
        budget_of_tokio_has_no_effect().await;
        workers.shutdown().await
    };
    compio::task::block_on(timeout(PATIENCE, all))??;
    println!("a mesh that waits for itself, tokio's time, and tokio's budget: shown and avoided");
    Ok(())
}
