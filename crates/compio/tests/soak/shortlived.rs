//! A runtime that is dropped with operations of all kinds in flight.

use std::{
    future::pending,
    io::{self, Write},
    os::unix::net::UnixStream as StdStream,
    thread,
    time::Duration,
};

use compio::{
    driver::ThreadPool,
    fs::File,
    io::AsyncRead,
    net::{TcpListener, TcpStream, UnixStream},
    process::Command,
    runtime::{BufferPool, Runtime},
    task::{spawn, spawn_blocking},
    time::sleep,
};

use crate::random::Random;

/// The number of operations of each kind.
const EACH: usize = 5;

pub(crate) fn live(mut random: Random, pool: &ThreadPool) {
    let runtime = Runtime::builder().pool(pool.clone()).build();
    let runtime = runtime.expect("a runtime");
    let mut peers = Vec::new();
    runtime.block_on(async {
        for _ in 0..EACH {
            begin_some(&mut random, &mut peers).await.expect("no limit");
        }
        sleep(random.micros_below(2000)).await;
    });
    if random.once_in(2) {
        // The peers close before the runtime is dropped.
        peers.clear();
    }
    drop(runtime);
    drop(peers);
}

async fn begin_some(random: &mut Random, peers: &mut Vec<StdStream>) -> io::Result<()> {
    let mut connection = || -> io::Result<UnixStream> {
        let (near, mut far) = StdStream::pair()?;
        far.write_all(&vec![1; random.below(500)])?;
        peers.push(far);
        UnixStream::from_std(near)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    spawn(async move {
        let mut incoming = listener.incoming();
        while let Some(Ok(stream)) = incoming.next().await {
            spawn(async move {
                let _stream = stream;
                pending::<()>().await;
            });
        }
    });
    spawn(async move { client.read(vec![0; 100]).await.0 });
    let mut reading = connection()?;
    spawn(async move { while reading.read(vec![0; 100]).await.0.is_ok_and(|n| n > 0) {} });
    let receiving = connection()?;
    spawn(async move {
        let pool = BufferPool::new(4, 128)?;
        let mut stream = receiving.recv_stream(&pool);
        let mut kept = Vec::new();
        while let Some(Ok(buffer)) = stream.next().await {
            kept.push(buffer);
        }
        io::Result::Ok(())
    });
    let sending = connection()?;
    spawn(async move {
        let mut loans = Vec::new();
        loop {
            let (sent, loan) = sending.send_zero_copy(vec![2; 10_000]).await;
            sent?;
            loans.push(loan);
            if loans.len() == 100 {
                return io::Result::Ok(());
            }
        }
    });
    spawn(async { sleep(Duration::from_secs(1000)).await });
    spawn_blocking(|| thread::sleep(Duration::from_micros(300)));
    spawn(async {
        File::open_async("/proc/self/exe")
            .await?
            .read_at(vec![0; 4096], 0)
            .await
            .0
    });
    if random.once_in(10) {
        let mut command = Command::new("sleep");
        command.arg("100").kill_on_drop(true);
        let mut child = command.spawn()?;
        spawn(async move { child.wait().await });
    }
    Ok(())
}
