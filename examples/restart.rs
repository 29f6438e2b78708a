//! A TCP server on all cores that restarts without downtime, on unix. It answers each line with its process ID and
//! the line. SIGHUP starts the program file again, which may be a new version: no connection is refused or reset.
//! SIGTERM ends it.
//!
//! `cargo run --release --example restart -- 127.0.0.1:7000`, then for instance `nc 127.0.0.1 7000`, and
//! `pkill -HUP -x restart`. A socket unit of systemd can start it as well.

#[cfg(not(unix))]
fn main() {
    eprintln!("this example is for unix");
}

#[cfg(unix)]
#[compio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    unix::run(&address.unwrap_or("127.0.0.1:7000".into())).await
}

#[cfg(unix)]
mod unix {
    use std::{io, pin::pin, process, time::Duration};

    use compio::{
        cores::{RunningServer, Server, run_until_draining},
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
        process::Child,
        restart::{self, Successor},
        signal::unix::{SignalKind, signal},
        time::timeout,
    };
    use futures_util::future::{Either, select};

    /// The name of the listeners.
    const NAME: &str = "lines";

    /// The longest line in bytes. A longer one is answered in parts.
    const LINE_MAX: u64 = 4096;

    /// The time limit of a new process for its start.
    const START_LIMIT: Duration = Duration::from_secs(10);

    /// The time limit of the old process for its connections.
    const DRAIN_LIMIT: Duration = Duration::from_secs(30);

    pub(crate) async fn run(address: &str) -> io::Result<()> {
        let inherited = restart::inherited_listeners()?.take_tcp(NAME)?;
        let server = if inherited.is_empty() {
            Server::bind(address).await?
        } else {
            Server::from_listeners(inherited)
        };
        let server = server.start(async |stream: TcpStream| {
            if let Err(error) = serve(stream).await {
                eprintln!("connection: {error}");
            }
        })?;
        // Before the message: from now on, a signal must not kill this process.
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        restart::notify_ready().await?;
        println!("listening on {}", server.local_addr());
        loop {
            match select(pin!(hangup.recv()), pin!(terminate.recv())).await {
                Either::Left((received, _)) => received?,
                Either::Right((received, _)) => {
                    received?;
                    break;
                }
            }
            match start_successor(&server).await {
                Ok(_) => break,
                Err(error) => eprintln!("the restart has failed: {error}"),
            }
        }
        server.shutdown_timeout(DRAIN_LIMIT).await
    }

    /// Starts the new process, and waits until it accepts connections.
    async fn start_successor(server: &RunningServer<TcpListener>) -> io::Result<Child> {
        let successor = Successor::same_program()?.server(NAME, server)?;
        timeout(START_LIMIT, successor.start())
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it was not ready in time"))?
    }

    async fn serve(stream: TcpStream) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        // The first line is answered in any case: its sender has just connected. Between two further lines, the
        // shutdown ends the connection.
        let mut next = Some(
            reader
                .by_ref()
                .take(LINE_MAX)
                .read_line(String::new())
                .await,
        );
        while let Some((read, line)) = next {
            if read? == 0 {
                break;
            }
            let answer = format!("{} {}\n", process::id(), line.trim_end());
            writer.write_all(answer).await.0?;
            let mut limited = reader.by_ref().take(LINE_MAX);
            next = run_until_draining(limited.read_line(String::new())).await;
        }
        Ok(())
    }
}
