//! glommio, an executor bound to its core.

use std::{
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use glommio::{
    LocalExecutorBuilder, Placement, Task, executor,
    io::{self as files, BufferedFile, DmaFile, OpenOptions},
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    timer,
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    place,
    rows::{
        disk::{self, name_of},
        echo::{self},
        file::{BLOCK, Places},
        names::name,
        pairs,
        scale::{self},
        sleep, spawn,
        timeout::{self, HOUR},
        turns,
        wake::{self},
    },
    workload::{self, Listening, ListeningThere, Load, Parked, Running, Tasks, Timers},
};

/// See the module.
pub const CONTENDER: Contender = Contender {
    name: "glommio",
    package: Some("glommio"),
    setting: "an executor bound to its core by Placement::Fixed; BufferedFile, and DmaFile for \
              O_DIRECT; both allocate the buffer of each read themselves",
    lacks: &[
        (
            "idle-pooled",
            "neither provided buffers nor waiting for readiness",
        ),
        ("metadata", "attributes only of an open file"),
        ("nop", "no operation that does nothing"),
    ],
    echo: Some(echo),
    unix: Some(unix),
    udp: Some(udp),
    accept: Some(accept),
    pairs: Some(pairs),
    file: Some(file),
    direct: Some(direct),
    fsync: Some(fsync),
    rename: Some(rename),
    spawn: Some(spawn),
    turns: Some(turns),
    blocking: Some(blocking),
    sleep: Some(sleep),
    timeout: Some(timeout),
    wake_parked: Some(wake_parked),
    wake_running: Some(wake_running),
    ping_pong: Some(ping_pong),
    scale_tasks: Some(scale_tasks),
    scale_timers: Some(scale_timers),
    ..Contender::NONE
};

fn block_on<Main: Future>(main: Main) -> io::Result<Main::Output> {
    block_on_core(place::SERVER_CORE, main)
}

fn block_on_core<Main: Future>(core: usize, main: Main) -> io::Result<Main::Output> {
    let executor = LocalExecutorBuilder::new(Placement::Fixed(core)).make()?;
    Ok(executor.run(main))
}

/// The address that servers bind.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn serve<F: Future<Output = io::Result<()>> + 'static>(
    load: Load,
    listening: Listening<'_>,
    connection: impl Fn(TcpStream) -> F,
) -> io::Result<Cost> {
    block_on(async {
        let listener = TcpListener::bind(ANY)?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let stream = listener.accept().await?;
            connections.push(glommio::spawn_local(connection(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })?
}

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(load, listening, give_back)
}

fn unix(load: Load, path: &Path, listening: ListeningThere<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = UnixListener::bind(path)?;
        listening()?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let stream = listener.accept().await?;
            connections.push(glommio::spawn_local(give_back(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })?
}

fn accept(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = TcpListener::bind(ANY)?;
        listening(listener.local_addr()?)?;
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let stream = listener.accept().await?;
            drop(stream);
        }
        meter.stop()
    })?
}

async fn give_back(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; echo::BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let socket = UdpSocket::bind(ANY)?;
        listening(socket.local_addr()?)?;
        let mut buffer = vec![0; echo::BUFFER];
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..length], from).await?;
        }
        meter.stop()
    })?
}

fn pairs(load: Load) -> io::Result<Cost> {
    block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = UnixStream::pair()?;
            ends.push(glommio::spawn_local(ask(near, load.each())));
            ends.push(glommio::spawn_local(give_back(far)));
        }
        join(ends).await?;
        meter.stop()
    })?
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

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(BufferedFile::open(path).await?);
        by_tasks(load, |index| read(file.clone(), index, load.each())).await
    })?
}

async fn read(file: Rc<BufferedFile>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    for _ in 0..times {
        let block = file.read_at(places.next(), BLOCK).await?;
        assert_eq!(block.len(), BLOCK);
    }
    Ok(())
}

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(DmaFile::open(path).await?);
        by_tasks(load, |index| read_direct(file.clone(), index, load.each())).await
    })?
}

async fn read_direct(file: Rc<DmaFile>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    for _ in 0..times {
        let block = file.read_at_aligned(places.next(), BLOCK).await?;
        assert_eq!(block.len(), BLOCK);
    }
    Ok(())
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(async {
        let mut files = Vec::with_capacity(load.width);
        for index in 0..load.width {
            let path = name_of(dir, index);
            let file = OpenOptions::new().write(true).buffered_open(path).await?;
            files.push(Rc::new(file));
        }
        by_tasks(load, |index| write(files[index].clone(), load.each())).await
    })?
}

async fn write(file: Rc<BufferedFile>, times: usize) -> io::Result<()> {
    for times in 0..times {
        // It takes the buffer and keeps it.
        let length = file
            .write_at(vec![b'x'; BLOCK], disk::place_of(times))
            .await?;
        assert_eq!(length, BLOCK);
        file.fdatasync().await?;
    }
    Ok(())
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(by_tasks(load, |index| {
        let names = [name(dir, index, 0), name(dir, index, 1)];
        async move {
            for times in 0..load.each() {
                files::rename(&names[times % 2], &names[(times + 1) % 2]).await?;
            }
            Ok(())
        }
    }))?
}

async fn by_tasks<F: Future<Output = io::Result<()>> + 'static>(
    load: Load,
    task: impl Fn(usize) -> F,
) -> io::Result<Cost> {
    let meter = Meter::start()?;
    let tasks = (0..load.width).map(|index| glommio::spawn_local(task(index)));
    join(tasks.collect()).await?;
    meter.stop()
}

fn spawn(load: Load) -> io::Result<Cost> {
    let start = |number| glommio::spawn_local(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, joined))?
}

fn blocking(load: Load) -> io::Result<Cost> {
    let start = |number| executor().spawn_blocking(move || black_box(number));
    block_on(spawn::spawn_and_join(load, start, joined))?
}

fn turns(load: Load) -> io::Result<Cost> {
    let start = |_| glommio::spawn_local(turns::task(load.each()));
    block_on(workload::tasks(load, start, joined))?
}

fn sleep(load: Load) -> io::Result<Cost> {
    let start = |index| glommio::spawn_local(sleep::task(index, load.each(), timer::sleep));
    block_on(workload::tasks(load, start, joined))?
}

fn timeout(load: Load) -> io::Result<Cost> {
    let timeout = || {
        timer::timeout(HOUR, async {
            turns::yield_once().await;
            Ok(())
        })
    };
    let start = |_| glommio::spawn_local(timeout::task(load.each(), timeout));
    block_on(workload::tasks(load, start, joined))?
}

fn wake_parked(load: Load) -> io::Result<Parked> {
    wake::parked(load, |task| run_task(place::SERVER_CORE, task))
}

fn wake_running(load: Load) -> io::Result<Running> {
    block_on(wake::running(load, glommio::spawn_local, joined))?
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    wake::ping_pong(load, run_task)
}

fn run_task(core: usize, task: wake::Task) -> io::Result<()> {
    block_on_core(core, async { glommio::spawn_local(task).await })
}

fn scale_tasks(load: Load) -> io::Result<Tasks> {
    let start = || glommio::spawn_local(scale::task());
    block_on(scale::tasks(load, start, joined))?
}

fn scale_timers(load: Load) -> io::Result<Timers> {
    let start =
        |moment: Arc<scale::Moment>, index| glommio::spawn_local(moment.pass(index, timer::sleep));
    block_on(scale::timers(load, timer::sleep, start, joined))?
}

/// A handle returns the task's output.
fn joined<T>(result: T) -> T {
    result
}

async fn join(tasks: Vec<Task<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await?;
    }
    Ok(())
}
