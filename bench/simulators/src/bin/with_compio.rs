//! The programs under `compio::sim`.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    process::ExitCode,
    time::Duration,
};

use compio::{
    fs::{self, File},
    io::{AsyncRead, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sim::{self, NetworkFaults, Simulation},
    task, time,
};
use simulators::{Fault, Scenario, System, operate, report};

/// Without the remedies of docs/simulation.md.
const MISSED: [&str; 2] = ["order_of_hash_set", "clock_of_std"];

fn main() -> ExitCode {
    report::<Compio>(&MISSED)
}

struct Compio;

/// Of a packet.
const LATENCY: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(10);
/// Of an operation of a disk.
const DISK_LATENCY: RangeInclusive<Duration> = Duration::from_micros(50)..=Duration::from_millis(5);

impl System for Compio {
    const NAME: &'static str = "compio";
    type File = File;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Socket = UdpSocket;

    fn run(scenario: &Scenario) {
        let mut simulation = Simulation::builder()
            .seed(scenario.seed)
            .latency(LATENCY)
            .build();
        let mut names = Vec::new();
        for host in &scenario.hosts {
            let start = host.start.clone();
            simulation.host(host.name, move || start());
            let disk = sim::DiskFaults {
                sync_error: scenario.disk.sync_error,
                bit_rot: scenario.disk.bit_rot,
                latency: DISK_LATENCY,
                ..Default::default()
            };
            simulation.disk(host.name, disk);
            names.push(host.name);
        }
        simulation.network(NetworkFaults {
            duplicate: scenario.duplicate,
            ..Default::default()
        });
        let execute = move |fault| {
            let done = match fault {
                Fault::Crash(host) => sim::crash(names[host]),
                Fault::PowerLoss(host) => sim::power_loss(names[host]),
                Fault::Restart(host) => sim::restart(names[host]),
                Fault::Partition(one, other) => sim::partition(names[one], names[other]),
                Fault::Repair(one, other) => sim::repair(names[one], names[other]),
            };
            done.expect("the hosts exist");
        };
        let Scenario {
            faults,
            limit,
            observer,
            ..
        } = scenario;
        let operator = operate::<Self>(faults.clone(), *limit, observer.clone(), execute);
        simulation.client("operator", operator);
        if let Err(error) = simulation.run() {
            observer.check(false, error);
        }
    }

    fn now() -> Duration {
        sim::elapsed().unwrap_or_default()
    }

    async fn sleep(time: Duration) {
        time::sleep(time).await;
    }

    async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        time::timeout(limit, future).await.ok()
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        task::spawn(task).detach();
    }

    async fn open(path: &str) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true);
        options.open_async(path).await
    }

    async fn create(path: &str) -> io::Result<File> {
        File::create_async(path).await
    }

    async fn read_at(file: &File, len: usize, offset: u64) -> io::Result<Vec<u8>> {
        let (read, bytes) = file.read_at(Vec::with_capacity(len), offset).await;
        read.map(|_| bytes)
    }

    async fn write_at(file: &File, bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset).await.0
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
        File::open_async(path).await?.sync_all().await
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
        let (read, bytes) = stream.read(Vec::with_capacity(len)).await;
        read.map(|_| bytes)
    }

    async fn send(stream: &mut TcpStream, bytes: Vec<u8>) -> io::Result<()> {
        stream.write_all(bytes).await.0
    }

    async fn bind(port: u16) -> io::Result<UdpSocket> {
        UdpSocket::bind(("0.0.0.0", port)).await
    }

    async fn send_to(socket: &UdpSocket, bytes: Vec<u8>, to: SocketAddr) -> io::Result<()> {
        socket.send_to(bytes, to).await.0.map(drop)
    }

    async fn recv_from(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
        let (received, bytes) = socket.recv_from(Vec::with_capacity(2048)).await;
        received.map(|(_, from)| (bytes, from))
    }
}
