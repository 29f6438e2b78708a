//! The programs under madsim.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    thread,
    time::Duration,
};

use madsim::{
    Config,
    fs::{self, File},
    net::{NetSim, TcpListener, TcpStream, UdpSocket},
    runtime::{Handle, Runtime},
    task, time,
};
use simulators::{Fault, Scenario, System, operate, report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() -> ExitCode {
    report::<Madsim>(&[])
}

struct Madsim;

impl System for Madsim {
    const NAME: &'static str = "madsim";
    type File = File;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Socket = UdpSocket;

    fn run(scenario: &Scenario) {
        // A thread for each seed, as madsim's own test runner has: hash tables have their seeds by thread.
        thread::scope(|scope| {
            if scope.spawn(|| run_in_thread(scenario)).join().is_err() {
                scenario.observer.check(false, "a panic");
            }
        });
    }

    fn now() -> Duration {
        time::TimeHandle::current().elapsed()
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

    /// Only `create` opens a file to write, and it removes the content. No fault can come in between: no call waits.
    async fn open(path: &str) -> io::Result<File> {
        let content = Self::read(path).await?;
        let file = File::create(path).await?;
        file.write_all_at(&content, 0).await?;
        Ok(file)
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

    async fn write_at(file: &File, bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        file.write_all_at(&bytes, offset).await
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

    async fn rename(_: &str, _: &str) -> io::Result<()> {
        Err(io::Error::new(ErrorKind::Unsupported, "rename"))
    }

    /// There is no function for it: an empty file takes the place of none.
    async fn remove(path: &str) -> io::Result<()> {
        File::create(path).await.map(drop)
    }

    /// Names are durable.
    async fn sync_directory(_: &str) -> io::Result<()> {
        Ok(())
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

    /// A write without a flush is never sent.
    async fn send(stream: &mut TcpStream, bytes: Vec<u8>) -> io::Result<()> {
        stream.write_all(&bytes).await?;
        stream.flush().await
    }

    async fn bind(port: u16) -> io::Result<UdpSocket> {
        UdpSocket::bind(("0.0.0.0", port)).await
    }

    async fn send_to(socket: &UdpSocket, bytes: Vec<u8>, to: SocketAddr) -> io::Result<()> {
        socket.send_to(to, &bytes).await
    }

    async fn recv_from(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
        let mut bytes = vec![0; 2048];
        let (read, from) = socket.recv_from(&mut bytes).await?;
        bytes.truncate(read);
        Ok((bytes, from))
    }
}

fn run_in_thread(scenario: &Scenario) {
    // Its latencies are 1 to 10 ms by default.
    let runtime = Runtime::with_seed_and_config(scenario.seed, Config::default());
    let mut nodes = Vec::new();
    for (number, host) in scenario.hosts.iter().enumerate() {
        let start = host.start.clone();
        let node = runtime
            .create_node()
            .name(host.name)
            .ip(Scenario::address(number))
            .init(move || start())
            .build();
        nodes.push(node.id());
    }
    let execute = |fault| {
        let (handle, network) = (Handle::current(), NetSim::current());
        match fault {
            // There is one kind: all files stay.
            Fault::Crash(host) | Fault::PowerLoss(host) => handle.kill(nodes[host]),
            Fault::Restart(host) => handle.restart(nodes[host]),
            Fault::Partition(one, other) => {
                network.clog_link(nodes[one], nodes[other]);
                network.clog_link(nodes[other], nodes[one]);
            }
            Fault::Repair(one, other) => {
                network.unclog_link(nodes[one], nodes[other]);
                network.unclog_link(nodes[other], nodes[one]);
            }
        }
    };
    let (faults, observer) = (scenario.faults.clone(), scenario.observer.clone());
    runtime.block_on(operate::<Madsim>(faults, scenario.limit, observer, execute));
}
