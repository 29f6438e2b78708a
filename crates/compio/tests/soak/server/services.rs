//! The services for a connection. The first byte selects the service; then the peer acts at random.

use std::{future::Future, io, rc::Rc, time::Duration};

use compio::{
    buf::BufResult,
    event::Event,
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{Loan, RecvStream, TcpStream, UnixStream},
    process::Command,
    runtime::{BufferPool, CancelToken, is_cancelled},
    task::{spawn, spawn_blocking},
    time::{cancel_after, sleep, timeout},
};

use super::House;
use crate::{LONG, random::Random};

/// The services that a peer can request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// All bytes come back.
    Echo,
    /// The same, by a pool of buffers.
    EchoPooled,
    /// The same, by halves in two tasks.
    EchoHalves,
    /// The same, with reads that are cancelled all the time and lose nothing.
    EchoCancelled,
    /// Reads that are dropped all the time.
    Select,
    /// More bytes than the peer may read.
    Flood,
    FloodZeroCopy,
    File,
    /// A part of a pool is held for a while.
    Hoard,
    Blocking,
    /// Events from another thread.
    Wakes,
    /// A task that is aborted in the middle of a read.
    Abort,
    /// A connection to another listener.
    Connect,
    Process,
}

const ALL: [Service; 14] = [
    Service::Echo,
    Service::EchoPooled,
    Service::EchoHalves,
    Service::EchoCancelled,
    Service::Select,
    Service::Flood,
    Service::FloodZeroCopy,
    Service::File,
    Service::Hoard,
    Service::Blocking,
    Service::Wakes,
    Service::Abort,
    Service::Connect,
    Service::Process,
];

impl Service {
    pub(crate) fn drawn(random: &mut Random) -> Self {
        let drawn = ALL[random.below(ALL.len())];
        // Processes are slow.
        if drawn == Self::Process && !random.once_in(8) {
            return Self::EchoCancelled;
        }
        drawn
    }

    /// Whether all sent bytes come back.
    pub(crate) fn returns_all(self) -> bool {
        matches!(
            self,
            Self::Echo | Self::EchoPooled | Self::EchoHalves | Self::EchoCancelled
        )
    }
}

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + 'static {
    fn receive(&self, pool: &BufferPool) -> RecvStream;
    fn lend(&self, buffer: Vec<u8>) -> impl Future<Output = BufResult<usize, Loan<Vec<u8>>>>;
    fn halves(self) -> (impl AsyncRead + 'static, impl AsyncWrite + 'static);
}

macro_rules! stream {
    ($stream:ty) => {
        impl Stream for $stream {
            fn receive(&self, pool: &BufferPool) -> RecvStream {
                self.recv_stream(pool)
            }

            async fn lend(&self, buffer: Vec<u8>) -> BufResult<usize, Loan<Vec<u8>>> {
                self.send_zero_copy(buffer).await
            }

            fn halves(self) -> (impl AsyncRead + 'static, impl AsyncWrite + 'static) {
                self.into_split()
            }
        }
    };
}

stream!(TcpStream);
stream!(UnixStream);

/// Serves one connection to its end, and stores the requested service in `asked_for`.
pub(super) async fn serve(
    mut stream: impl Stream,
    house: &Rc<House>,
    asked_for: &mut Option<Service>,
) -> io::Result<()> {
    // Some servers have a short timeout: they close a connection that stays silent for so long.
    let patience = if house.once_in(4) {
        Duration::from_millis(30)
    } else {
        LONG
    };
    let asked = timeout(patience, stream.read_exact([0; 1]));
    let Ok((asked, [number])) = asked.await else {
        return Ok(());
    };
    asked?;
    let service = ALL.get(usize::from(number)).copied();
    *asked_for = service;
    match service.unwrap_or(Service::Echo) {
        Service::Echo => echo(&mut stream).await,
        Service::EchoPooled => echo_pooled(stream, house).await,
        Service::EchoHalves => echo_halves(stream).await,
        Service::EchoCancelled => echo_cancelled(stream, house).await,
        Service::Select => select(stream, house).await,
        Service::Flood => flood(stream, house).await,
        Service::FloodZeroCopy => flood_zero_copy(stream, house).await,
        Service::File => file(stream, house).await,
        Service::Hoard => hoard(stream, house).await,
        Service::Blocking => blocking(stream, house).await,
        Service::Wakes => wakes(stream, house).await,
        Service::Abort => abort(stream, house).await,
        Service::Connect => connect(stream, house).await,
        Service::Process => process(stream, house).await,
    }
}

async fn echo(stream: &mut impl Stream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1500);
    loop {
        let (read, bytes) = stream.read(buffer).await;
        if read? == 0 {
            return stream.shutdown().await;
        }
        let (written, bytes) = stream.write_all(bytes).await;
        written?;
        buffer = bytes;
    }
}

async fn echo_pooled(mut stream: impl Stream, house: &House) -> io::Result<()> {
    let mut received = stream.receive(&house.buffers);
    while let Some(buffer) = received.next().await {
        stream.write_all(buffer?).await.0?;
    }
    Ok(())
}

async fn echo_halves(stream: impl Stream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.halves();
    let task = spawn(async move {
        let (read, bytes) = reader.read_to_end(Vec::new()).await;
        read.map(|_| bytes)
    });
    let bytes = task.await.expect("no panic")?;
    writer.write_all(bytes).await.0
}

async fn echo_cancelled(mut stream: impl Stream, house: &House) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(500);
    loop {
        let (read, bytes) = if house.once_in(2) {
            cancel_after(house.micros_below(200), stream.read(buffer)).await
        } else {
            let token = CancelToken::new();
            let (pause, canceller) = (house.micros_below(200), token.clone());
            drop(spawn(async move {
                sleep(pause).await;
                canceller.cancel();
            }));
            token.run(stream.read(buffer)).await
        };
        buffer = match read {
            Ok(0) => return Ok(()),
            Ok(_) => {
                let (written, bytes) = stream.write_all(bytes).await;
                written?;
                bytes
            }
            Err(error) if is_cancelled(&error) => bytes,
            Err(error) => return Err(error),
        };
    }
}

async fn select(mut stream: impl Stream, house: &House) -> io::Result<()> {
    for _ in 0..20 {
        let read = timeout(house.micros_below(100), stream.read(vec![0; 100]));
        if let Ok((read, _)) = read.await
            && read? == 0
        {
            break;
        }
        let write = timeout(house.micros_below(100), stream.write(vec![0; 100]));
        if let Ok((written, _)) = write.await {
            written?;
        }
    }
    Ok(())
}

async fn flood(mut stream: impl Stream, house: &House) -> io::Result<()> {
    for _ in 0..20 {
        let write = timeout(house.micros_below(3000), stream.write_all(vec![1; 50_000]));
        // The peer does not read.
        let Ok((written, _)) = write.await else { break };
        written?;
    }
    Ok(())
}

async fn flood_zero_copy(stream: impl Stream, house: &House) -> io::Result<()> {
    let mut loans = Vec::new();
    for _ in 0..10 {
        let send = timeout(house.micros_below(3000), stream.lend(vec![1; 50_000]));
        let Ok((sent, loan)) = send.await else { break };
        sent?;
        match house.below(3) {
            0 => drop(loan),
            1 => drop(timeout(house.micros_below(1000), loan).await),
            _ => loans.push(loan),
        }
    }
    if house.once_in(2) {
        // Closing the socket returns the buffers of unread bytes.
        drop(stream);
        for loan in loans {
            let _ = timeout(Duration::from_millis(5), loan).await;
        }
    }
    Ok(())
}

async fn file(mut stream: impl Stream, house: &House) -> io::Result<()> {
    for _ in 0..3 {
        let open = timeout(house.micros_below(500), File::open_async("/proc/self/exe"));
        let Ok(file) = open.await else { continue };
        let file = file?;
        let read = timeout(house.micros_below(500), file.read_at(vec![0; 3000], 100));
        if let Ok((read, bytes)) = read.await {
            read?;
            stream.write_all(bytes).await.0?;
        }
        if house.once_in(2) {
            let _ = timeout(house.micros_below(50), file.close()).await;
        }
    }
    Ok(())
}

async fn hoard(stream: impl Stream, house: &House) -> io::Result<()> {
    let mut received = stream.receive(&house.buffers);
    let mut kept = Vec::new();
    for _ in 0..5 {
        match timeout(house.micros_below(500), received.next()).await {
            Ok(Some(buffer)) => kept.push(buffer?),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    if house.once_in(2) {
        received.cancel();
        while let Some(buffer) = received.next().await {
            // The kept buffers may be all buffers of the pool.
            kept.clear();
            drop(buffer?);
        }
    }
    Ok(())
}

async fn blocking(mut stream: impl Stream, house: &House) -> io::Result<()> {
    let pause = house.micros_below(300);
    let work = spawn_blocking(move || std::thread::sleep(pause));
    match house.below(3) {
        0 => drop(work),
        1 => work.abort(),
        _ => work.await.expect("no panic"),
    }
    stream.write("done").await.0.map(drop)
}

async fn wakes(mut stream: impl Stream, house: &House) -> io::Result<()> {
    for _ in 0..10 {
        let event = Event::new();
        house.bell.ring(event.handle());
        if house.once_in(3) {
            let _ = timeout(house.micros_below(50), event.wait()).await;
        } else {
            event.wait().await;
        }
    }
    stream.write("done").await.0.map(drop)
}

async fn abort(mut stream: impl Stream, house: &House) -> io::Result<()> {
    let task = spawn(async move { echo(&mut stream).await });
    sleep(house.micros_below(1000)).await;
    task.abort();
    if house.once_in(2) {
        let _ = task.await;
    }
    Ok(())
}

async fn connect(mut stream: impl Stream, house: &House) -> io::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    if house.once_in(3) {
        drop(listener);
        let connected = TcpStream::connect(address).await;
        drop(connected.err());
        return stream.write("refused").await.0.map(drop);
    }
    let attempt = timeout(house.micros_below(200), TcpStream::connect(address)).await;
    if let Ok(connected) = attempt {
        let (mut client, server) = (connected?, TcpStream::from_std(listener.accept()?.0)?);
        client.write_all("through").await.0?;
        drop(client);
        drop(timeout(house.micros_below(200), { server }.read(vec![0; 10])).await);
    }
    Ok(())
}

async fn process(mut stream: impl Stream, house: &House) -> io::Result<()> {
    if house.once_in(2) {
        let output = Command::new("echo").arg("hello").output().await?;
        return stream.write_all(output.stdout).await.0;
    }
    let mut command = Command::new("sleep");
    command.arg("100").kill_on_drop(true);
    let mut child = command.spawn()?;
    let _ = timeout(house.micros_below(2000), child.wait()).await;
    Ok(())
}
