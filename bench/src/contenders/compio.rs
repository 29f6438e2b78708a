//! compio, of this checkout.

use std::{hint::black_box, io, path::Path, rc::Rc};

use compio::{
    fs::{self, File},
    io::{AsyncRead, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    op::Nop,
    runtime::submit,
    task::{JoinHandle, block_on},
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
    name: "compio",
    setting: "this checkout, as it comes",
    echo: Some(echo),
    pairs: Some(pairs),
    file: Some(file),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: Some(nop),
    spawn: Some(spawn),
    blocking: Some(blocking),
    turns: Some(turns),
    sleep: Some(sleep),
};

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(compio::task::spawn(give_back(stream, echo::BUFFER)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
}

async fn give_back(mut stream: impl AsyncRead + AsyncWriteExt, room: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(room);
    loop {
        let (length, read) = stream.read(buffer).await;
        if length? == 0 {
            return Ok(());
        }
        let (result, written) = stream.write_all(read).await;
        result?;
        buffer = written;
    }
}

fn pairs(load: Load) -> io::Result<Cost> {
    block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = UnixStream::pair()?;
            ends.push(compio::task::spawn(ask(near, load.each())));
            ends.push(compio::task::spawn(give_back(far, pairs::BUFFER)));
        }
        join(ends).await?;
        meter.stop()
    })
}

async fn ask(mut stream: UnixStream, times: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(pairs::BUFFER);
    buffer.resize(pairs::MESSAGE, b'x');
    for _ in 0..times {
        let (result, written) = stream.write_all(buffer).await;
        result?;
        let (length, read) = stream.read(written).await;
        assert_eq!(length?, pairs::MESSAGE);
        buffer = read;
    }
    Ok(())
}

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(File::open(path)?);
        let meter = Meter::start()?;
        let reader = |index| compio::task::spawn(read(file.clone(), index, load.each()));
        let readers = (0..load.width).map(reader).collect();
        join(readers).await?;
        meter.stop()
    })
}

async fn read(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let mut block = Vec::with_capacity(BLOCK);
    for _ in 0..times {
        let (length, read) = file.read_at(block, places.next()).await;
        assert_eq!(length?, BLOCK);
        block = read;
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

fn by_tasks<F: Future<Output = io::Result<()>> + 'static>(
    load: Load,
    task: impl Fn(usize) -> F,
) -> io::Result<Cost> {
    block_on(async {
        let meter = Meter::start()?;
        let tasks = (0..load.width).map(|index| compio::task::spawn(task(index)));
        join(tasks.collect()).await?;
        meter.stop()
    })
}

fn nop(load: Load) -> io::Result<Cost> {
    block_on(async {
        let meter = Meter::start()?;
        let task = |_| compio::task::spawn(do_nothing(load.each()));
        join((0..load.width).map(task).collect()).await?;
        meter.stop()
    })
}

async fn do_nothing(times: usize) -> io::Result<()> {
    for _ in 0..times {
        submit(Nop::new()).await?;
    }
    Ok(())
}

fn spawn(load: Load) -> io::Result<Cost> {
    let number = |joined: Result<usize, _>| joined.expect("the task does not panic");
    let start = |number| compio::task::spawn(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, number))
}

fn blocking(load: Load) -> io::Result<Cost> {
    let number = |joined: Result<usize, _>| joined.expect("the work does not panic");
    let start = |number| compio::task::spawn_blocking(move || black_box(number));
    block_on(spawn::spawn_and_join(load, start, number))
}

fn turns(load: Load) -> io::Result<Cost> {
    block_on(async {
        let meter = Meter::start()?;
        let task = |_| compio::task::spawn(turns::task(load.each()));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await.map_err(io::Error::other)?;
        }
        meter.stop()
    })
}

fn sleep(load: Load) -> io::Result<Cost> {
    block_on(async {
        let meter = Meter::start()?;
        let sleep = compio::time::sleep;
        let task = |index| compio::task::spawn(sleep::task(index, load.each(), sleep));
        for task in (0..load.width).map(task).collect::<Vec<_>>() {
            task.await.map_err(io::Error::other)?;
        }
        meter.stop()
    })
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }
    Ok(())
}
