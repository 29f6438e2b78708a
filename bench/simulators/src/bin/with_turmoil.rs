//! The programs under turmoil.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use simulators::{Fault, Scenario, System, report};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task, time,
};
use turmoil::{
    Builder, Sim,
    fs::shim::tokio::fs::{self, File, OpenOptions},
    net::{TcpListener, TcpStream, UdpSocket},
};

fn main() -> ExitCode {
    report::<Turmoil>(&[])
}

struct Turmoil;

/// A fault of turmoil is executed between two steps, not by a host.
fn execute(sim: &mut Sim<'_>, fault: Fault) {
    let address = Scenario::address;
    match fault {
        // There is one kind of crash: it loses the changes without a sync.
        Fault::Crash(host) | Fault::PowerLoss(host) => sim.crash(address(host)),
        Fault::Restart(host) => sim.bounce(address(host)),
        Fault::Partition(one, other) => sim.partition(address(one), address(other)),
        Fault::Repair(one, other) => sim.repair(address(one), address(other)),
    }
}

impl System for Turmoil {
    const NAME: &'static str = "turmoil";
    type File = File;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Socket = UdpSocket;

    fn run(scenario: &Scenario) {
        let mut builder = Builder::new();
        builder
            .rng_seed(scenario.seed)
            .enable_random_order()
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(10))
            .simulation_duration(scenario.limit + Duration::from_secs(1));
        let disk = builder.fs();
        disk.block_size(512)
            .io_error_probability(scenario.disk.sync_error)
            .corruption_probability(scenario.disk.bit_rot);
        // Its default is 50 µs to 5 ms.
        disk.io_latency();
        let mut sim = builder.build();
        for (number, host) in scenario.hosts.iter().enumerate() {
            let start = host.start.clone();
            sim.host(Scenario::address(number), move || {
                let running = start();
                async move {
                    running.await;
                    Ok(())
                }
            });
        }
        let mut faults = scenario.faults.iter().copied().peekable();
        while scenario.observer.end().is_none() && sim.elapsed() < scenario.limit {
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= sim.elapsed()) {
                execute(&mut sim, fault);
            }
            if let Err(error) = sim.step() {
                scenario.observer.check(false, error);
            }
        }
    }

    fn now() -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    async fn sleep(time: Duration) {
        time::sleep(time).await;
    }

    async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        time::timeout(limit, future).await.ok()
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        task::spawn_local(task);
    }

    async fn open(path: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        options.open(path).await
    }

    async fn create(path: &str) -> io::Result<File> {
        File::create(path).await
    }

    async fn read_at(file: &File, len: usize, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = file.read_at(&mut bytes, offset).await?;
        bytes.truncate(read);
        Ok(bytes)
    }

    async fn write_at(file: &File, bytes: Vec<u8>, mut offset: u64) -> io::Result<()> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let written = file.write_at(rest, offset).await?;
            rest = &rest[written..];
            offset += written as u64;
        }
        Ok(())
    }

    async fn sync(file: &File) -> io::Result<()> {
        file.sync_all().await
    }

    async fn read(path: &str) -> io::Result<Vec<u8>> {
        match fs::read(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    async fn rename(from: &str, to: &str) -> io::Result<()> {
        fs::rename(from, to).await
    }

    async fn remove(path: &str) -> io::Result<()> {
        match fs::remove_file(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    async fn sync_directory(path: &str) -> io::Result<()> {
        fs::sync_dir(path).await
    }

    async fn listen(port: u16) -> io::Result<TcpListener> {
        TcpListener::bind(("0.0.0.0", port)).await
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept().await?.0)
    }

    async fn connect(host: IpAddr, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect((host, port)).await
    }

    async fn recv(stream: &mut TcpStream, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = stream.read(&mut bytes).await?;
        bytes.truncate(read);
        Ok(bytes)
    }

    async fn send(stream: &mut TcpStream, bytes: Vec<u8>) -> io::Result<()> {
        stream.write_all(&bytes).await
    }

    async fn bind(port: u16) -> io::Result<UdpSocket> {
        UdpSocket::bind(("0.0.0.0", port)).await
    }

    async fn send_to(socket: &UdpSocket, bytes: Vec<u8>, to: SocketAddr) -> io::Result<()> {
        socket.send_to(&bytes, to).await.map(drop)
    }

    async fn recv_from(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
        let mut bytes = vec![0; 2048];
        let (read, from) = socket.recv_from(&mut bytes).await?;
        bytes.truncate(read);
        Ok((bytes, from))
    }
}
