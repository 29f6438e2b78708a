//! Crashes and restarts.

use std::{
    io::{self, ErrorKind},
    mem,
    time::Duration,
};

use compio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    pipe::pipe,
    sim::{self, DiskFaults, Simulation, Unsynced},
    time,
};

use super::Log;

/// Counts its starts in a file, and sends the number to each client.
async fn counter(syncs: bool) -> io::Result<()> {
    let count = match fs::read("/count").await {
        Ok(bytes) => bytes[0] + 1,
        Err(error) if error.kind() == ErrorKind::NotFound => 1,
        Err(error) => return Err(error),
    };
    let file = File::create("/count")?;
    file.write_all_at([count], 0).await.0?;
    if syncs {
        file.sync_all().await?;
        File::open("/")?.sync_all().await?;
    }
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all([count]).await.0?;
        // Until the peer closes.
        stream.read([0; 1]).await.0?;
    }
}

async fn ask() -> io::Result<(u8, TcpStream)> {
    let mut stream = TcpStream::connect("server:80").await?;
    let (read, count) = stream.read_exact([0; 1]).await;
    read?;
    Ok((count[0], stream))
}

fn run(syncs: bool, client: impl Future<Output = io::Result<()>> + 'static) {
    let mut simulation = Simulation::builder().seed(3).build();
    simulation
        .host("server", move || counter(syncs))
        .client("client", client);
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn crash_closes_connections_and_keeps_files() {
    run(false, async {
        let (count, mut stream) = ask().await?;
        assert_eq!(count, 1);
        sim::crash("server").unwrap();
        // As the kernel does for a killed process.
        assert_eq!(stream.read([0; 1]).await.0?, 0);
        let error = ask().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        sim::restart("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask().await?.0, 2);
        Ok(())
    });
}

#[test]
fn power_loss_loses_unsynced_files_and_is_silent() {
    run(false, async {
        let (_, mut stream) = ask().await?;
        sim::disk("server").unwrap().set(DiskFaults {
            unsynced: Unsynced::Lost,
            ..DiskFaults::default()
        });
        sim::power_loss("server").unwrap();
        let wait = time::timeout(Duration::from_secs(60), stream.read([0; 1])).await;
        assert!(wait.is_err());
        sim::restart("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask().await?.0, 1);
        Ok(())
    });
}

#[test]
fn power_loss_keeps_synced_files() {
    run(true, async {
        ask().await?;
        sim::power_loss("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        sim::restart("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask().await?.0, 2);
        Ok(())
    });
}

#[test]
fn data_to_a_host_without_power_waits_and_is_reset_after_the_restart() {
    run(true, async {
        let (_, mut stream) = ask().await?;
        sim::power_loss("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        stream.write_all("anyone?").await.0?;
        let wait = time::timeout(Duration::from_secs(60), stream.read([0; 1])).await;
        assert!(wait.is_err());
        sim::restart("server").unwrap();
        let error = stream.read([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn connect_to_a_host_without_power_times_out() {
    run(true, async {
        ask().await?;
        sim::power_loss("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
        let begin = time::now();
        let error = ask().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(time::now() - begin > Duration::from_secs(120));
        Ok(())
    });
}

#[test]
fn destructors_of_a_crashed_program_have_no_effect() {
    struct Writes(Log);
    impl Drop for Writes {
        fn drop(&mut self) {
            let errors = [
                File::create("/late").err(),
                // It would stay open, and the next program could not bind.
                UnixListener::bind("/socket").map(mem::forget).err(),
                UnixStream::pair().err(),
                pipe().err(),
            ];
            let codes = errors.map(|error| error.and_then(|error| error.raw_os_error()));
            self.0.add(format!("{codes:?}"));
        }
    }
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().build();
    simulation.host("server", move || {
        let log = log.clone();
        async move {
            let _writes = Writes(log);
            std::future::pending::<()>().await
        }
    });
    simulation.client("client", async {
        sim::crash("server").unwrap();
        time::sleep(Duration::from_secs(1)).await;
    });
    simulation.run().unwrap();
    // EIO.
    assert_eq!(seen.entries(), [format!("{:?}", [Some(5); 4])]);
}
