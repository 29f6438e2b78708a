//! monoio on its io_uring driver.

use std::{io, path::Path, rc::Rc};

use monoio::{
    IoUringDriver, RuntimeBuilder,
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, UnixStream},
    task::JoinHandle,
};

use super::Contender;
use crate::{
    cost::{Cost, Meter},
    rows::{
        Load,
        echo::{self, Listening},
        file::{BLOCK, Places},
        pairs, sleep, spawn, turns,
    },
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "monoio",
    setting: "IoUringDriver with its default ring; the timer enabled where it is needed",
    echo: Some(echo),
    pairs: Some(pairs),
    file: Some(file),
    metadata: None,
    rename: None,
    nop: None,
    spawn: Some(spawn),
    blocking: None,
    turns: Some(turns),
    sleep: Some(sleep),
};

fn block_on<Main: Future>(main: Main) -> io::Result<Main::Output> {
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new().build()?;
    Ok(runtime.block_on(main))
}

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(monoio::spawn(give_back(stream, echo::BUFFER)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })?
}

async fn give_back(
    mut stream: impl AsyncReadRent + AsyncWriteRentExt,
    room: usize,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(room);
    let mut result;
    loop {
        (result, buffer) = stream.read(buffer).await;
        if result? == 0 {
            return Ok(());
        }
        (result, buffer) = stream.write_all(buffer).await;
        result?;
        buffer.clear();
    }
}

fn pairs(load: Load) -> io::Result<Cost> {
    block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = UnixStream::pair()?;
            ends.push(monoio::spawn(ask(near, load.each())));
            ends.push(monoio::spawn(give_back(far, pairs::BUFFER)));
        }
        join(ends).await?;
        meter.stop()
    })?
}

async fn ask(mut stream: UnixStream, times: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(pairs::BUFFER);
    buffer.resize(pairs::MESSAGE, b'x');
    let mut result;
    for _ in 0..times {
        (result, buffer) = stream.write_all(buffer).await;
        result?;
        buffer.clear();
        (result, buffer) = stream.read(buffer).await;
        assert_eq!(result?, pairs::MESSAGE);
    }
    Ok(())
}

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(File::from_std(std::fs::File::open(path)?)?);
        let meter = Meter::start()?;
        let reader = |index| monoio::spawn(read(file.clone(), index, load.each()));
        let readers = (0..load.width).map(reader).collect();
        join(readers).await?;
        meter.stop()
    })?
}

async fn read(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let mut block = Vec::with_capacity(BLOCK);
    let mut result;
    for _ in 0..times {
        block.clear();
        (result, block) = file.read_at(block, places.next()).await;
        assert_eq!(result?, BLOCK);
    }
    Ok(())
}

fn spawn(load: Load) -> io::Result<Cost> {
    let start = |number| monoio::spawn(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, |number| number))?
}

fn turns(load: Load) -> io::Result<Cost> {
    block_on(async {
        let meter = Meter::start()?;
        let task = |_| monoio::spawn(turns::task(load.each()));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await;
        }
        meter.stop()
    })?
}

fn sleep(load: Load) -> io::Result<Cost> {
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .enable_timer()
        .build()?;
    runtime.block_on(async {
        let meter = Meter::start()?;
        let task = |index| monoio::spawn(sleep::task(index, load.each(), monoio::time::sleep));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await;
        }
        meter.stop()
    })
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await?;
    }
    Ok(())
}
