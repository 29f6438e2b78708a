//! A compio runtime inside Tokio's current-thread runtime, on one thread and without a second one.
//!
//! `drive` is sufficient: it polls the compio runtime as one task of Tokio, and is polled again when the
//! task is woken, the descriptor is readable, or the time of the next timer is up.
//!
//! The program has a compio server and a Tokio client, and a compio task that a Tokio task wakes.
//!
//! ```console
//! $ cargo run --release --example inside_tokio
//! 1000 messages were echoed, 1000 wakes were heard
//! ```

use std::{
    future::poll_fn,
    io,
    os::fd::{AsRawFd, RawFd},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio::{io::AsyncWriteExt as _, runtime::Runtime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest, unix::AsyncFd},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

const COUNT: usize = 1000;

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The descriptor of a runtime, which Tokio watches.
struct Watched(Rc<Runtime>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        compio::driver::AsRawFd::as_raw_fd(&*self.0)
    }
}

/// Drives a compio runtime while it is polled.
async fn drive(runtime: Rc<Runtime>) -> io::Result<()> {
    #[allow(
        deprecated,
        reason = "`Watched` keeps the runtime, and so the descriptor open"
    )]
    let watched = AsyncFd::with_interest(Watched(Rc::clone(&runtime)), Interest::READABLE)?;
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let timeout = runtime.poll_with(cx)?;
            // Tokio reports edges. An edge after `poll_with` is seen here.
            if let Poll::Ready(guard) = watched.poll_read_ready(cx) {
                guard?.clear_ready();
                continue;
            }
            match timeout {
                // There is more work, and the task has been woken for it: other tasks run first.
                Some(Duration::ZERO) | None => return Poll::Pending,
                Some(timeout) => timer.as_mut().reset(Instant::now() + timeout),
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A compio server, which echoes one connection.
async fn serve(listener: compio::net::TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let read;
        (read, buffer) = compio::io::AsyncRead::read(&mut stream, buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
    }
}

async fn run() -> io::Result<()> {
    let runtime = Rc::new(Runtime::new()?);
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let driver = tokio::task::spawn_local(drive(Rc::clone(&runtime)));
            let listener = runtime.spawn(compio::net::TcpListener::bind("127.0.0.1:0"));
            let listener = listener.await.expect("no panic")?;
            let address = listener.local_addr()?;
            let server = runtime.spawn(serve(listener));

            // Each message of this channel wakes a compio task on this thread.
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let listening = runtime.spawn(async move {
                let mut heard = 0;
                while receiver.recv().await.is_some() {
                    heard += 1;
                    compio::time::sleep(Duration::from_micros(10)).await;
                }
                heard
            });

            let mut client = tokio::net::TcpStream::connect(address).await?;
            for number in 0..COUNT {
                let message = number.to_le_bytes();
                client.write_all(&message).await?;
                let mut echo = [0; size_of::<usize>()];
                client.read_exact(&mut echo).await?;
                assert_eq!(echo, message);
                sender.send(number).expect("a task that listens");
            }
            drop((client, sender));
            let heard: usize = listening.await.expect("no panic");
            server.await.expect("no panic")?;
            driver.abort();
            println!("{COUNT} messages were echoed, {heard} wakes were heard");
            assert_eq!(heard, COUNT);
            Ok(())
        })
        .await
}

fn main() -> io::Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(async { timeout(PATIENCE, run()).await? })
}
