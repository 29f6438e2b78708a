//! compio 0.19 from crates.io, through its documented API.

use std::{hint::black_box, io, num::NonZero, os::unix::net, path::Path, rc::Rc, sync::Arc};

use registry_compio::{
    BufResult,
    buf::{IntoInner, IoBuf},
    driver::ProactorBuilder,
    fs::{self, File, OpenOptions},
    io::{AsyncRead, AsyncReadAt, AsyncReadManaged, AsyncWriteAt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    runtime::{self, JoinError, JoinHandle, Runtime, spawn_blocking},
    time,
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    place,
    rows::{
        disk::{self, aligned_block, name_of},
        echo::{self},
        file::{BLOCK, Places},
        idle,
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
    name: "compio 0.19",
    package: Some("compio"),
    setting: "coop_taskrun and taskrun_flag, for its documentation says that they serve most programs",
    lacks: &[("nop", "no operation that does nothing")],
    echo: Some(echo),
    echo_pooled: Some(echo_pooled),
    unix: Some(unix),
    udp: Some(udp),
    accept: Some(accept),
    pairs: Some(pairs),
    file: Some(file),
    direct: Some(direct),
    fsync: Some(fsync),
    metadata: Some(metadata),
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
    Ok(start(&ring())?.block_on(main))
}

fn start(ring: &ProactorBuilder) -> io::Result<Runtime> {
    Runtime::builder().with_proactor(ring.clone()).build()
}

fn ring() -> ProactorBuilder {
    let mut ring = ProactorBuilder::new();
    ring.coop_taskrun(true).taskrun_flag(true);
    ring
}

fn serve<F: Future<Output = io::Result<()>> + 'static>(
    ring: &ProactorBuilder,
    load: Load,
    listening: Listening<'_>,
    connection: impl Fn(TcpStream) -> F,
) -> io::Result<Cost> {
    start(ring)?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(runtime::spawn(connection(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
}

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(&ring(), load, listening, give_back)
}

fn unix(load: Load, path: &Path, listening: ListeningThere<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = UnixListener::bind(path).await?;
        listening()?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(runtime::spawn(give_back(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })?
}

fn accept(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        listening(listener.local_addr()?)?;
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let (stream, _) = listener.accept().await?;
            drop(stream);
        }
        meter.stop()
    })?
}

async fn give_back(mut stream: impl AsyncRead + AsyncWriteExt) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(echo::BUFFER);
    loop {
        let BufResult(length, read) = stream.read(buffer).await;
        if length? == 0 {
            return Ok(());
        }
        let BufResult(result, written) = stream.write_all(read).await;
        result?;
        buffer = written;
        buffer.clear();
    }
}

fn echo_pooled(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    let mut ring = ring();
    let count = NonZero::new(idle::POOL).expect("a pool has buffers");
    ring.buffer_pool_size(count)
        .buffer_pool_buffer_len(echo::BUFFER);
    serve(&ring, load, listening, give_back_pooled)
}

async fn give_back_pooled(mut stream: TcpStream) -> io::Result<()> {
    while let Some(buffer) = stream.read_managed(echo::BUFFER).await? {
        let BufResult(result, _) = stream.write_all(buffer).await;
        result?;
    }
    Ok(())
}

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        listening(socket.local_addr()?)?;
        let mut buffer = Vec::with_capacity(echo::BUFFER);
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let BufResult(received, read) = socket.recv_from(buffer).await;
            let (_, from) = received?;
            let BufResult(sent, written) = socket.send_to(read, from).await;
            sent?;
            buffer = written;
            buffer.clear();
            buffer.clear();
        }
        meter.stop()
    })?
}

fn pairs(load: Load) -> io::Result<Cost> {
    block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = net::UnixStream::pair()?;
            let (near, far) = (UnixStream::from_std(near)?, UnixStream::from_std(far)?);
            ends.push(runtime::spawn(ask(near, load.each())));
            ends.push(runtime::spawn(give_back(far)));
        }
        join(ends).await?;
        meter.stop()
    })?
}

async fn ask(mut stream: UnixStream, times: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(pairs::BUFFER);
    buffer.resize(pairs::MESSAGE, b'x');
    for _ in 0..times {
        let BufResult(result, mut written) = stream.write_all(buffer).await;
        result?;
        written.clear();
        let BufResult(length, read) = stream.read(written).await;
        assert_eq!(length?, pairs::MESSAGE);
        buffer = read;
    }
    Ok(())
}

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(File::open(path).await?);
        by_tasks(load, |index| read(file.clone(), index, load.each())).await
    })?
}

async fn read(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let mut block = Vec::with_capacity(BLOCK);
    for _ in 0..times {
        block.clear();
        let BufResult(length, read) = file.read_at(block, places.next()).await;
        assert_eq!(length?, BLOCK);
        block = read;
    }
    Ok(())
}

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let mut options = OpenOptions::new();
        let direct = options.read(true).custom_flags(libc::O_DIRECT);
        let file = Rc::new(direct.open(path).await?);
        by_tasks(load, |index| read_direct(file.clone(), index, load.each())).await
    })?
}

async fn read_direct(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let (mut block, begin) = aligned_block();
    for _ in 0..times {
        let part = block.slice(begin..begin + BLOCK);
        let BufResult(length, read) = file.read_at(part, places.next()).await;
        assert_eq!(length?, BLOCK);
        block = read.into_inner();
    }
    Ok(())
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(async {
        let mut files = Vec::with_capacity(load.width);
        for index in 0..load.width {
            let path = name_of(dir, index);
            files.push(OpenOptions::new().write(true).open(path).await?);
        }
        by_tasks(load, |index| write(files[index].clone(), load.each())).await
    })?
}

async fn write(mut file: File, times: usize) -> io::Result<()> {
    let mut block = vec![b'x'; BLOCK];
    for times in 0..times {
        let BufResult(length, written) = file.write_at(block, disk::place_of(times)).await;
        assert_eq!(length?, BLOCK);
        file.sync_data().await?;
        block = written;
    }
    Ok(())
}

fn metadata(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(by_tasks(load, |index| {
        let path = name(dir, index, 0);
        async move {
            for _ in 0..load.each() {
                fs::metadata(&path).await?;
            }
            Ok(())
        }
    }))?
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(by_tasks(load, |index| {
        let names = [name(dir, index, 0), name(dir, index, 1)];
        async move {
            for times in 0..load.each() {
                fs::rename(&names[times % 2], &names[(times + 1) % 2]).await?;
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
    let tasks = (0..load.width).map(|index| runtime::spawn(task(index)));
    join(tasks.collect()).await?;
    meter.stop()
}

fn spawn(load: Load) -> io::Result<Cost> {
    let start = |number| runtime::spawn(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, joined))?
}

fn blocking(load: Load) -> io::Result<Cost> {
    let start = |number| spawn_blocking(move || black_box(number));
    block_on(spawn::spawn_and_join(load, start, joined))?
}

fn turns(load: Load) -> io::Result<Cost> {
    let start = |_| runtime::spawn(turns::task(load.each()));
    block_on(workload::tasks(load, start, joined))?
}

fn sleep(load: Load) -> io::Result<Cost> {
    let start = |index| runtime::spawn(sleep::task(index, load.each(), time::sleep));
    block_on(workload::tasks(load, start, joined))?
}

fn timeout(load: Load) -> io::Result<Cost> {
    let timeout = || time::timeout(HOUR, turns::yield_once());
    let start = |_| runtime::spawn(timeout::task(load.each(), timeout));
    block_on(workload::tasks(load, start, joined))?
}

fn wake_parked(load: Load) -> io::Result<Parked> {
    wake::parked(load, |task| run_task(place::SERVER_CORE, task))
}

fn wake_running(load: Load) -> io::Result<Running> {
    block_on(wake::running(load, runtime::spawn, joined))?
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    wake::ping_pong(load, run_task)
}

fn run_task(_: usize, task: wake::Task) -> io::Result<()> {
    block_on(async { joined(runtime::spawn(task).await) })
}

fn scale_tasks(load: Load) -> io::Result<Tasks> {
    let start = || runtime::spawn(scale::task());
    block_on(scale::tasks(load, start, joined))?
}

fn scale_timers(load: Load) -> io::Result<Timers> {
    let start = |moment: Arc<scale::Moment>, index| runtime::spawn(moment.pass(index, time::sleep));
    block_on(scale::timers(load, time::sleep, start, joined))?
}

fn joined<T>(result: Result<T, JoinError>) -> T {
    result.expect("the task does not panic")
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        joined(task.await)?;
    }
    Ok(())
}
