//! tokio on its current-thread scheduler.

use std::{
    fs::File, hint::black_box, io, net::SocketAddr, os::unix::fs::FileExt, path::Path, sync::Arc,
};

use tokio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    runtime::{Builder, Runtime},
    task::{JoinError, JoinHandle},
    time,
};

use crate::{
    contender::Contender,
    cost::{Cost, Meter},
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
    name: "tokio",
    package: Some("tokio"),
    setting: "current_thread, enable_all; work on files by spawn_blocking, as its documentation \
              advises; readable and try_read where no buffer shall wait",
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

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The address that servers bind.
const ANY: (&str, u16) = ("127.0.0.1", 0);

fn echo(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(load, listening, give_back)
}

fn echo_pooled(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    serve(load, listening, give_back_when_readable)
}

fn serve<F: Future<Output = io::Result<()>> + Send + 'static>(
    load: Load,
    listening: Listening<'_>,
    connection: impl Fn(TcpStream) -> F,
) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind(ANY).await?;
        listening(listener.local_addr()?)?;
        let mut connections = Vec::with_capacity(load.width);
        for _ in 0..load.width {
            let (stream, _) = listener.accept().await?;
            connections.push(tokio::spawn(connection(stream)));
        }
        let meter = Meter::start()?;
        join(connections).await?;
        meter.stop()
    })
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

async fn give_back_when_readable(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut buffer = vec![0; echo::BUFFER];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => stream.write_all(&buffer[..length]).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn unix(load: Load, path: &Path, listening: ListeningThere<'_>) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let listener = UnixListener::bind(path)?;
        listening()?;
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

fn udp(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let socket = UdpSocket::bind(ANY).await?;
        listening(socket.local_addr()?)?;
        let mut buffer = vec![0; echo::BUFFER];
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let (length, from): (usize, SocketAddr) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..length], from).await?;
        }
        meter.stop()
    })
}

fn accept(load: Load, listening: Listening<'_>) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind(ANY).await?;
        listening(listener.local_addr()?)?;
        let meter = Meter::start()?;
        for _ in 0..load.count {
            let (stream, _) = listener.accept().await?;
            drop(stream);
        }
        meter.stop()
    })
}

fn pairs(load: Load) -> io::Result<Cost> {
    runtime()?.block_on(async {
        let mut ends = Vec::with_capacity(2 * load.width);
        let meter = Meter::start()?;
        for _ in 0..load.width {
            let (near, far) = UnixStream::pair()?;
            ends.push(tokio::spawn(ask(near, load.each())));
            ends.push(tokio::spawn(give_back(far)));
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

fn file(load: Load, path: &Path) -> io::Result<Cost> {
    let file = Arc::new(File::open(path)?);
    by_tasks(load, |index| read(file.clone(), index, load.each()))
}

async fn read(file: Arc<File>, index: usize, times: usize) -> io::Result<()> {
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

fn direct(load: Load, path: &Path) -> io::Result<Cost> {
    let file = Arc::new(open_direct(path)?);
    by_tasks(load, |index| read_direct(file.clone(), index, load.each()))
}

async fn read_direct(file: Arc<File>, index: usize, times: usize) -> io::Result<()> {
    let mut places = Places::new(index);
    let (mut block, begin) = aligned_block();
    for _ in 0..times {
        let file = file.clone();
        let place = places.next();
        let read = move || {
            file.read_exact_at(&mut block[begin..begin + BLOCK], place)
                .map(|()| block)
        };
        block = tokio::task::spawn_blocking(read).await??;
    }
    Ok(())
}

fn fsync(load: Load, dir: &Path) -> io::Result<Cost> {
    let files = (0..load.width).map(|index| open_to_write(dir, index).map(Arc::new));
    let files = files.collect::<io::Result<Vec<_>>>()?;
    by_tasks(load, |index| {
        let file = files[index].clone();
        async move {
            let block = Arc::new([b'x'; BLOCK]);
            for times in 0..load.each() {
                let (file, block) = (file.clone(), block.clone());
                let write = move || {
                    file.write_all_at(&*block, disk::place_of(times))?;
                    file.sync_data()
                };
                tokio::task::spawn_blocking(write).await??;
            }
            Ok(())
        }
    })
}

fn metadata(load: Load, dir: &Path) -> io::Result<Cost> {
    by_tasks(load, |index| {
        let path = name(dir, index, 0);
        async move {
            for _ in 0..load.each() {
                fs::metadata(&path).await?;
            }
            Ok(())
        }
    })
}

fn rename(load: Load, dir: &Path) -> io::Result<Cost> {
    by_tasks(load, |index| {
        let names = [name(dir, index, 0), name(dir, index, 1)];
        async move {
            for times in 0..load.each() {
                fs::rename(&names[times % 2], &names[(times + 1) % 2]).await?;
            }
            Ok(())
        }
    })
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
    let start = |number| tokio::spawn(spawn::task(number));
    runtime()?.block_on(spawn::spawn_and_join(load, start, joined))
}

fn blocking(load: Load) -> io::Result<Cost> {
    let start = |number| tokio::task::spawn_blocking(move || black_box(number));
    runtime()?.block_on(spawn::spawn_and_join(load, start, joined))
}

fn turns(load: Load) -> io::Result<Cost> {
    let start = |_| tokio::spawn(turns::task(load.each()));
    runtime()?.block_on(workload::tasks(load, start, joined))
}

fn sleep(load: Load) -> io::Result<Cost> {
    let start = |index| tokio::spawn(sleep::task(index, load.each(), time::sleep));
    runtime()?.block_on(workload::tasks(load, start, joined))
}

fn timeout(load: Load) -> io::Result<Cost> {
    let timeout = || time::timeout(HOUR, turns::yield_once());
    let start = |_| tokio::spawn(timeout::task(load.each(), timeout));
    runtime()?.block_on(workload::tasks(load, start, joined))
}

fn wake_parked(load: Load) -> io::Result<Parked> {
    let runtime = runtime()?;
    wake::parked(load, |task| {
        runtime.block_on(async { joined(tokio::spawn(task).await) });
        Ok(())
    })
}

fn wake_running(load: Load) -> io::Result<Running> {
    runtime()?.block_on(wake::running(load, tokio::spawn, joined))
}

fn ping_pong(load: Load) -> io::Result<Cost> {
    wake::ping_pong(load, |_, task| {
        runtime()?.block_on(async { joined(tokio::spawn(task).await) });
        Ok(())
    })
}

fn scale_tasks(load: Load) -> io::Result<Tasks> {
    let start = || tokio::spawn(scale::task());
    runtime()?.block_on(scale::tasks(load, start, joined))
}

fn scale_timers(load: Load) -> io::Result<Timers> {
    let start = |moment: Arc<scale::Moment>, index| tokio::spawn(moment.pass(index, time::sleep));
    runtime()?.block_on(scale::timers(load, time::sleep, start, joined))
}

fn joined<T>(result: Result<T, JoinError>) -> T {
    result.expect("the task does not panic")
}

async fn join(tasks: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for task in tasks {
        task.await??;
    }
    Ok(())
}
