//! tokio on its current-thread scheduler.

use std::{hint::black_box, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use tokio::{
    fs,
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::Contender;
use crate::{
    cost::{Cost, Meter},
    rows::{
        Load,
        echo::{self, Listening},
        file::{BLOCK, Places},
        names::name,
        pairs, sleep, spawn, turns,
    },
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "tokio",
    setting: "current_thread, enable_all; file reads by spawn_blocking, as its documentation \
              advises",
    echo: Some(echo),
    pairs: Some(pairs),
    file: Some(file),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: None,
    spawn: Some(spawn),
    blocking: Some(blocking),
    turns: Some(turns),
    sleep: Some(sleep),
};

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(tokio::spawn(give_back(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
}

async fn give_back(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; echo::BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

fn pairs(load: Load) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = UnixStream::pair()?;
            ends.push(tokio::spawn(ask(near, load.each())));
            ends.push(tokio::spawn(answer(far)));
        }
        join(ends).await?;
        meter.stop()
    })
}

async fn ask(mut stream: UnixStream, times: usize) -> io::Result<()> {
    let mut buffer = vec![0; pairs::BUFFER];
    for _ in 0..times {
        stream.write_all(&buffer[..pairs::MESSAGE]).await?;
        let length = stream.read(&mut buffer).await?;
        assert_eq!(length, pairs::MESSAGE);
    }
    Ok(())
}

async fn answer(mut stream: UnixStream) -> io::Result<()> {
    let mut buffer = vec![0; pairs::BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    let file = Arc::new(std::fs::File::open(path)?);
    runtime()?.block_on(async {
        let meter = Meter::start()?;
        let reader = |index| tokio::spawn(read(file.clone(), index, load.each()));
        let readers = (0..load.width).map(reader).collect();
        join(readers).await?;
        meter.stop()
    })
}

async fn read(file: Arc<std::fs::File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let mut block = vec![0; BLOCK];
    for _ in 0..times {
        let file = file.clone();
        let place = places.next();
        let read = move || file.read_exact_at(&mut block, place).map(|()| block);
        block = tokio::task::spawn_blocking(read).await??;
    }
    Ok(())
}

fn metadata(load: Load, dir: &Path) -> io::Result<Cost> {
    let ask = |index| {
        let path = name(dir, index, 0);
        async move {
            for _ in 0..load.each() {
                fs::metadata(&path).await?;
            }
            Ok(())
        }
    };
    by_tasks(load, ask)
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    let rename = |index| {
        let names = [name(dir, index, 0), name(dir, index, 1)];
        async move {
            for times in 0..load.each() {
                fs::rename(&names[times % 2], &names[(times + 1) % 2]).await?;
            }
            Ok(())
        }
    };
    by_tasks(load, rename)
}

fn by_tasks<F: Future<Output = io::Result<()>> + Send + 'static>(
    load: Load,
    task: impl Fn(usize) -> F,
) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let meter = Meter::start()?;
        let tasks = (0..load.width).map(|index| tokio::spawn(task(index)));
        join(tasks.collect()).await?;
        meter.stop()
    })
}

fn spawn(load: Load) -> io::Result<Cost> {
    let number = |joined: Result<usize, _>| joined.expect("the task does not panic");
    let start = |number| tokio::spawn(spawn::task(number));
    runtime()?.block_on(spawn::spawn_and_join(load, start, number))
}

fn blocking(load: Load) -> io::Result<Cost> {
    let number = |joined: Result<usize, _>| joined.expect("the work does not panic");
    let start = |number| tokio::task::spawn_blocking(move || black_box(number));
    runtime()?.block_on(spawn::spawn_and_join(load, start, number))
}

fn turns(load: Load) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let meter = Meter::start()?;
        let task = |_| tokio::spawn(turns::task(load.each()));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await?;
        }
        meter.stop()
    })
}

fn sleep(load: Load) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let meter = Meter::start()?;
        let task = |index| tokio::spawn(sleep::task(index, load.each(), tokio::time::sleep));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await?;
        }
        meter.stop()
    })
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await??;
    }
    Ok(())
}
