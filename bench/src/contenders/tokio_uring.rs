//! tokio-uring: an io_uring beside a current-thread tokio.

use std::{
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::net,
    path::Path,
    rc::Rc,
    sync::Arc,
};

use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time,
};
use tokio_uring::{
    buf::BoundedBuf,
    fs::{self, File},
    net::{TcpListener, TcpStream, UdpSocket, UnixStream},
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
    name: "tokio-uring",
    package: Some("tokio-uring"),
    setting: "tokio_uring::start, as it comes; timers and the pool of threads are those of tokio below it",
    lacks: &[(
        "idle-pooled",
        "neither provided buffers nor waiting for readiness",
    )],
    echo: Some(echo),
    unix: Some(unix),
    udp: Some(udp),
    accept: Some(accept),
    pairs: Some(pairs),
    file: Some(file),
    direct: Some(direct),
    fsync: Some(fsync),
    metadata: Some(metadata),
    rename: Some(rename),
    nop: Some(nop),
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

fn block_on<Main: Future>(main: Main) -> Main::Output {
    tokio_uring::start(main)
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
            connections.push(tokio_uring::spawn(connection(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
}

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(load, listening, give_back)
}

fn unix(load: Load, path: &Path, listening: ListeningThere<'_>) -> io::Result<Cost> {
    block_on(async {
        // tokio-uring's listener sets SO_REUSEPORT, which newer kernels reject here.
        let listener = net::UnixListener::bind(path)?;
        listening()?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept()?;
            let stream = UnixStream::from_std(stream);
            connections.push(tokio_uring::spawn(give_back_unix(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
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
    })
}

/// The same code for both kinds of streams, which have no common trait.
macro_rules! give_back {
    ($name:ident, $stream:ty) => {
        async fn $name(stream: $stream) -> io::Result<()> {
            let mut buffer = Vec::with_capacity(echo::BUFFER);
            loop {
                let (length, read) = stream.read(buffer).await;
                if length? == 0 {
                    return Ok(());
                }
                let (result, written) = stream.write_all(read).await;
                result?;
                buffer = written;
                buffer.clear();
            }
        }
    };
}

give_back!(give_back, TcpStream);
give_back!(give_back_unix, UnixStream);

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    block_on(async {
        let socket = UdpSocket::bind(ANY).await?;
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
    })
}

fn pairs(load: Load) -> io::Result<Cost> {
    block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = net::UnixStream::pair()?;
            let [near, far] = [near, far].map(UnixStream::from_std);
            ends.push(tokio_uring::spawn(ask(near, load.each())));
            ends.push(tokio_uring::spawn(give_back_unix(far)));
        }
        join(ends).await?;
        meter.stop()
    })
}

async fn ask(stream: UnixStream, times: usize) -> io::Result<()> {
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

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    block_on(async {
        let file = Rc::new(File::from_std(open_direct(path)?));
        by_tasks(load, |index| read_direct(file.clone(), index, load.each())).await
    })
}

async fn read_direct(file: Rc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let (mut block, begin) = aligned_block();
    for _ in 0..times {
        let part = block.slice(begin..begin + BLOCK);
        let (length, read) = file.read_at(part, places.next()).await;
        assert_eq!(length?, BLOCK);
        block = read.into_inner();
    }
    Ok(())
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    block_on(by_tasks(load, |index| {
        let file = open_to_write(dir, index).map(File::from_std);
        async move { write(file?, load.each()).await }
    }))
}

async fn write(file: File, times: usize) -> io::Result<()> {
    let mut block = vec![b'x'; BLOCK];
    for times in 0..times {
        let (length, written) = file.write_at(block, disk::place_of(times)).submit().await;
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
                fs::statx(&path).await?;
            }
            Ok(())
        }
    }))
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
    }))
}

async fn by_tasks<F: Future<Output = io::Result<()>> + 'static>(
    load: Load,
    task: impl Fn(usize) -> F,
) -> io::Result<Cost> {
    let meter = Meter::start()?;
    let tasks = (0..load.width).map(|index| tokio_uring::spawn(task(index)));
    join(tasks.collect()).await?;
    meter.stop()
}

fn nop(load: Load) -> io::Result<Cost> {
    block_on(by_tasks(load, |_| async move {
        for _ in 0..load.each() {
            tokio_uring::no_op().await?;
        }
        Ok(())
    }))
}

fn spawn(load: Load) -> io::Result<Cost> {
    let start = |number| tokio_uring::spawn(spawn::task(number));
    block_on(spawn::spawn_and_join(load, start, joined))
}

fn blocking(load: Load) -> io::Result<Cost> {
    let start = |number| spawn_blocking(move || black_box(number));
    block_on(spawn::spawn_and_join(load, start, joined))
}

fn turns(load: Load) -> io::Result<Cost> {
    let start = |_| tokio_uring::spawn(turns::task(load.each()));
    block_on(workload::tasks(load, start, joined))
}

fn sleep(load: Load) -> io::Result<Cost> {
    let start = |index| tokio_uring::spawn(sleep::task(index, load.each(), time::sleep));
    block_on(workload::tasks(load, start, joined))
}

fn timeout(load: Load) -> io::Result<Cost> {
    let timeout = || time::timeout(HOUR, turns::yield_once());
    let start = |_| tokio_uring::spawn(timeout::task(load.each(), timeout));
    block_on(workload::tasks(load, start, joined))
}

fn wake_parked(load: Load) -> io::Result<Parked> {
    wake::parked(load, |task| run_task(place::SERVER_CORE, task))
}

fn wake_running(load: Load) -> io::Result<Running> {
    block_on(wake::running(load, tokio_uring::spawn, joined))
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    wake::ping_pong(load, run_task)
}

fn run_task(_: usize, task: wake::Task) -> io::Result<()> {
    block_on(async { joined(tokio_uring::spawn(task).await) });
    Ok(())
}

fn scale_tasks(load: Load) -> io::Result<Tasks> {
    let start = || tokio_uring::spawn(scale::task());
    block_on(scale::tasks(load, start, joined))
}

fn scale_timers(load: Load) -> io::Result<Timers> {
    let start =
        |moment: Arc<scale::Moment>, index| tokio_uring::spawn(moment.pass(index, time::sleep));
    block_on(scale::timers(load, time::sleep, start, joined))
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
