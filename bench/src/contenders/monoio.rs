//! monoio on its io_uring driver.

use std::{
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use monoio::{
    IoUringDriver, RuntimeBuilder,
    blocking::{DefaultThreadPool, spawn_blocking},
    buf::IoBufMut,
    fs::{self, File},
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{ListenerOpts, TcpListener, TcpStream, UnixListener, UnixStream, udp::UdpSocket},
    task::JoinHandle,
    time,
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
    place,
    rows::{
        disk::{self, aligned_block, open_direct, open_to_write},
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
    name: "monoio",
    package: Some("monoio"),
    setting: "IoUringDriver with its default ring; the timer enabled where it is needed; a pool of \
              4 threads attached where work blocks; readable where no buffer shall wait",
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
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new().build()?;
    Ok(runtime.block_on(main))
}

fn block_on_with_timer<Main: Future>(main: Main) -> io::Result<Main::Output> {
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .enable_timer()
        .build()?;
    Ok(runtime.block_on(main))
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
            let (stream, _) = listener.accept().await?;
            connections.push(monoio::spawn(connection(stream)));
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
    // By default it sets SO_REUSEPORT, which newer kernels reject here.
    let options = ListenerOpts::new().reuse_port(false);
    block_on(async {
        let listener = UnixListener::bind_with_config(path, &options)?;
        listening()?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(monoio::spawn(give_back(stream)));
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
            let (stream, _) = listener.accept().await?;
            drop(stream);
        }
        meter.stop()
    })?
}

async fn give_back(mut stream: impl AsyncReadRent + AsyncWriteRentExt) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(echo::BUFFER);
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

fn echo_pooled(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(load, listening, give_back_when_readable)
}

async fn give_back_when_readable(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.readable(false).await?;
        let (result, buffer) = stream.read(Vec::with_capacity(echo::BUFFER)).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, _) = stream.write_all(buffer).await;
        result?;
    }
}

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let socket = UdpSocket::bind(ANY)?;
        listening(socket.local_addr()?)?;
        let mut buffer = Vec::with_capacity(echo::BUFFER);
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let (received, read) = socket.recv_from(buffer).await;
            let (_, from) = received?;
            let (sent, written) = socket.send_to(read, from).await;
            sent?;
            buffer = written;
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
            ends.push(monoio::spawn(ask(near, load.each())));
            ends.push(monoio::spawn(give_back(far)));
        }
        join(ends).await?;
        meter.stop()
    })?
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
        let file = Rc::new(File::open(path).await?);
        by_tasks(load, |index| read(file.clone(), index, load.each())).await
    })?
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

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(File::from_std(open_direct(path)?)?);
        by_tasks(load, |index| read_direct(file.clone(), index, load.each())).await
    })?
}

async fn read_direct(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let (mut block, begin) = aligned_block();
    for _ in 0..times {
        let part = block.slice_mut(begin..begin + BLOCK);
        let (length, read) = file.read_at(part, places.next()).await;
        assert_eq!(length?, BLOCK);
        block = read.into_inner();
    }
    Ok(())
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(by_tasks(load, |index| {
        let file = open_to_write(dir, index).and_then(File::from_std);
        async move { write(file?, load.each()).await }
    }))?
}

async fn write(file: File, times: usize) -> io::Result<()> {
    let mut block = vec![b'x'; BLOCK];
    for times in 0..times {
        let (length, written) = file.write_at(block, disk::place_of(times)).await;
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
    let tasks = (0..load.width).map(|index| monoio::spawn(task(index)));
    join(tasks.collect()).await?;
    meter.stop()
}

fn spawn(load: Load) -> io::Result<Cost> {
    let start = |number| monoio::spawn(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, joined))?
}

fn blocking(load: Load) -> io::Result<Cost> {
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .attach_thread_pool(Box::new(DefaultThreadPool::new(4)))
        .build()?;
    let start = |number| spawn_blocking(move || black_box(number));
    let done = |result: Result<usize, _>| result.expect("the work is not cancelled");
    runtime.block_on(spawn::spawn_and_join(load, start, done))
}

fn turns(load: Load) -> io::Result<Cost> {
    let start = |_| monoio::spawn(turns::task(load.each()));
    block_on(workload::tasks(load, start, joined))?
}

fn sleep(load: Load) -> io::Result<Cost> {
    let start = |index| monoio::spawn(sleep::task(index, load.each(), time::sleep));
    block_on_with_timer(workload::tasks(load, start, joined))?
}

fn timeout(load: Load) -> io::Result<Cost> {
    let timeout = || time::timeout(HOUR, turns::yield_once());
    let start = |_| monoio::spawn(timeout::task(load.each(), timeout));
    block_on_with_timer(workload::tasks(load, start, joined))?
}

fn wake_parked(load: Load) -> io::Result<Parked> {
    wake::parked(load, |task| run_task(place::SERVER_CORE, task))
}

fn wake_running(load: Load) -> io::Result<Running> {
    block_on(wake::running(load, monoio::spawn, joined))?
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    wake::ping_pong(load, run_task)
}

fn run_task(_: usize, task: wake::Task) -> io::Result<()> {
    block_on(async { monoio::spawn(task).await })
}

fn scale_tasks(load: Load) -> io::Result<Tasks> {
    let start = || monoio::spawn(scale::task());
    block_on(scale::tasks(load, start, joined))?
}

fn scale_timers(load: Load) -> io::Result<Timers> {
    let start = |moment: Arc<scale::Moment>, index| monoio::spawn(moment.pass(index, time::sleep));
    block_on_with_timer(scale::timers(load, time::sleep, start, joined))?
}

/// A handle returns the task's output.
fn joined<T>(result: T) -> T {
    result
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await?;
    }
    Ok(())
}
