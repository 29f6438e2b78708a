//! The cases. Each is bounded and always has work, so that the runtime never waits. So the cost is
//! independent of the speed of the machine.

use std::{
    env, fs,
    future::{Future, poll_fn},
    hint::black_box,
    io::{self, Write},
    pin::Pin,
    process,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio::{
    event::Event,
    fs::File,
    io::{AsyncRead, AsyncWriteExt},
    net::{BufferPool, UnixStream},
    op::Nop,
    runtime::submit,
    task::{JoinHandle, spawn, yield_now},
    time::timeout,
};

/// The result of a case.
pub type Outcome = io::Result<()>;

/// One kind of work.
pub struct Case {
    pub name: &'static str,
    /// The number of operations after which the figure no longer changes.
    pub count: usize,
    /// The number of them in flight at once.
    pub at_once: usize,
    /// The backends with different costs, by their names in `COMPIO_BACKEND`.
    pub backends: &'static [&'static str],
    /// Runs so many operations at once, so many times.
    pub run: fn(usize, usize) -> Work,
}

type Work = Pin<Box<dyn Future<Output = Outcome>>>;

const BOTH: &[&str] = &["io-uring", "poll"];
/// For work without the kernel, where a backend only polls for completions now and then.
const ONE: &[&str] = &["io-uring"];

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "nop", count: 16_000, at_once: 64, backends: BOTH,
           run: |at_once, times| Box::pin(by_tasks(at_once, move |_| do_nothing(times))) },
    Case { name: "pairs", count: 3_200, at_once: 64, backends: BOTH,
           run: |at_once, times| Box::pin(pairs(at_once, times)) },
    Case { name: "pooled", count: 3_200, at_once: 64, backends: BOTH,
           run: |at_once, times| Box::pin(pooled(at_once, times)) },
    Case { name: "file", count: 16_000, at_once: 32, backends: BOTH,
           run: |at_once, times| Box::pin(file(at_once, times)) },
    Case { name: "spawn", count: 16_000, at_once: 1, backends: ONE,
           run: |at_once, times| Box::pin(spawn_and_join(at_once, times)) },
    Case { name: "spawn-many", count: 16_000, at_once: 1_000, backends: ONE,
           run: |at_once, times| Box::pin(spawn_and_join(at_once, times)) },
    Case { name: "yield", count: 32_000, at_once: 2, backends: ONE,
           run: |at_once, times| Box::pin(by_tasks(at_once, move |_| give_way(times))) },
    Case { name: "wake", count: 32_000, at_once: 2, backends: ONE,
           run: |at_once, times| Box::pin(by_tasks(at_once, move |_| be_woken(times))) },
    Case { name: "event", count: 16_000, at_once: 1, backends: ONE,
           run: |_, times| Box::pin(signal_to_and_fro(times)) },
    Case { name: "timeout", count: 16_000, at_once: 1, backends: ONE,
           run: |_, times| Box::pin(beat_the_clock(times)) },
];

/// Operations without effect.
async fn do_nothing(times: usize) -> Outcome {
    for _ in 0..times {
        submit(Nop::new()).await?;
    }
    Ok(())
}

/// Socket pairs, both ends on this thread: each round trip is two sends and two receives.
async fn pairs(at_once: usize, times: usize) -> Outcome {
    let mut ends = Vec::new();
    for _ in 0..at_once {
        let (near, far) = UnixStream::pair()?;
        ends.push(spawn(ask(near, times)));
        ends.push(spawn(answer(far)));
    }
    join(ends).await
}

/// The size of a message, in bytes.
const MESSAGE: usize = 128;
/// The size of a receive buffer, in bytes.
const ROOM: usize = 4096;

async fn ask(mut stream: UnixStream, times: usize) -> Outcome {
    let mut buffer = Vec::with_capacity(ROOM);
    buffer.resize(MESSAGE, b'x');
    for _ in 0..times {
        let (written, full) = stream.write_all(buffer).await;
        written?;
        let (length, read) = stream.read(full).await;
        assert_eq!(length?, MESSAGE);
        buffer = read;
    }
    Ok(())
}

async fn answer(mut stream: UnixStream) -> Outcome {
    let mut buffer = Vec::with_capacity(ROOM);
    loop {
        let (length, read) = stream.read(buffer).await;
        if length? == 0 {
            return Ok(());
        }
        let (written, sent) = stream.write_all(read).await;
        written?;
        buffer = sent;
    }
}

/// As `pairs`, received into pooled buffers.
async fn pooled(at_once: usize, times: usize) -> Outcome {
    let buffers = u16::try_from(4 * at_once).map_err(io::Error::other)?;
    let pool = BufferPool::new(buffers, ROOM as u32)?;
    let mut ends = Vec::new();
    for _ in 0..at_once {
        let (near, far) = UnixStream::pair()?;
        ends.push(spawn(ask_pooled(near, pool.clone(), times)));
        ends.push(spawn(answer_pooled(far, pool.clone())));
    }
    join(ends).await
}

async fn ask_pooled(mut stream: UnixStream, pool: BufferPool, times: usize) -> Outcome {
    let mut received = stream.recv_stream(&pool);
    let mut message = vec![b'x'; MESSAGE];
    for _ in 0..times {
        let (written, sent) = stream.write_all(message).await;
        written?;
        message = sent;
        let answer = received.next().await.expect("the peer answers")?;
        assert_eq!(answer.len(), MESSAGE);
    }
    Ok(())
}

async fn answer_pooled(mut stream: UnixStream, pool: BufferPool) -> Outcome {
    let mut received = stream.recv_stream(&pool);
    while let Some(message) = received.next().await {
        let (written, _) = stream.write_all(message?).await;
        written?;
    }
    Ok(())
}

/// Reads at random offsets of a file in the page cache.
async fn file(at_once: usize, times: usize) -> Outcome {
    let file = Rc::new(cached_file()?);
    by_tasks(at_once, |index| read(file.clone(), index, times)).await
}

/// The size of a read, in bytes.
const BLOCK: usize = 4096;
const BLOCKS: usize = 1024;

async fn read(file: Rc<File>, index: usize, times: usize) -> Outcome {
    let mut buffer = Vec::with_capacity(BLOCK);
    let mut place = index;
    for _ in 0..times {
        // Visits all blocks (Hull and Dobell), in an order that read-ahead cannot predict.
        place = (place * 5 + 7) % BLOCKS;
        let (length, read) = file.read_at(buffer, (place * BLOCK) as u64).await;
        assert_eq!(length?, BLOCK);
        buffer = read;
    }
    Ok(())
}

/// A file whose pages are all in the page cache, because they have just been written. It is
/// unlinked.
fn cached_file() -> io::Result<File> {
    let path = env::temp_dir().join(format!("costs-{}", process::id()));
    let mut new = fs::File::create_new(&path)?;
    let filled = new.write_all(&vec![0xA5; BLOCK * BLOCKS]);
    let file = File::open(&path);
    fs::remove_file(&path)?;
    filled?;
    file
}

/// Spawns `at_once` tasks, then awaits them all; repeatedly.
async fn spawn_and_join(at_once: usize, times: usize) -> Outcome {
    let mut tasks: Vec<JoinHandle<usize>> = Vec::with_capacity(at_once);
    for _ in 0..times {
        tasks.extend((0..at_once).map(|index| spawn(async move { black_box(index) })));
        for task in tasks.drain(..) {
            task.await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

async fn give_way(times: usize) -> Outcome {
    for _ in 0..times {
        yield_now().await;
    }
    Ok(())
}

/// Like a wake from elsewhere, but on its own thread: by a cloned waker, which is consumed.
async fn be_woken(times: usize) -> Outcome {
    for _ in 0..times {
        let mut waits = true;
        poll_fn(|context| {
            if !waits {
                return Poll::Ready(());
            }
            waits = false;
            let waker = context.waker().clone();
            waker.wake();
            Poll::Pending
        })
        .await;
    }
    Ok(())
}

/// Two tasks and two events: each signal ends one wait.
async fn signal_to_and_fro(times: usize) -> Outcome {
    let [ping, pong] = [Event::new(), Event::new()];
    let [pings, pongs] = [ping.handle(), pong.handle()];
    let answers = spawn(async move {
        for _ in 0..times {
            ping.wait().await;
            ping.reset();
            pongs.notify();
        }
        Ok(())
    });
    for _ in 0..times {
        pings.notify();
        pong.wait().await;
        pong.reset();
    }
    join(vec![answers]).await
}

/// A timer that is armed, because its future is not ready at once, and then removed.
async fn beat_the_clock(times: usize) -> Outcome {
    const LONG: Duration = Duration::from_secs(3600);
    for _ in 0..times {
        timeout(LONG, yield_now()).await?;
    }
    Ok(())
}

async fn by_tasks<F>(count: usize, task: impl Fn(usize) -> F) -> Outcome
where
    F: Future<Output = Outcome> + 'static,
{
    join((0..count).map(|index| spawn(task(index))).collect()).await
}

async fn join(tasks: Vec<JoinHandle<Outcome>>) -> Outcome {
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }
    Ok(())
}
