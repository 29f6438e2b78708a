//! A simulation makes no system call for its sockets, files, timers and blocking work. A seccomp filter proves it in a child process.

use std::{
    io::{self, ErrorKind},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::Duration,
};

use compio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWrite, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    pipe,
    process::Command,
    sim::{self, Simulation},
    task, time,
};
use compio_testkit::{process::this_test, sys::seccomp::allow_only};

/// Memory and the state of the thread, random numbers for hash maps, and the output of the test harness. `write` is for the output
/// alone: no other descriptor can be opened.
const ALLOWED: [libc::c_long; 20] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_write,
    libc::SYS_rseq,
];

async fn server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let socket = UdpSocket::bind("0.0.0.0:53").await?;
    task::spawn(async move {
        loop {
            let (received, bytes) = socket.recv_from(Vec::with_capacity(100)).await;
            let (_, from) = received?;
            socket.send_to(bytes, from).await.0?;
        }
        #[allow(unreachable_code, reason = "it names the type of the errors")]
        io::Result::Ok(())
    })
    .detach();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (read, bytes) = stream.read_to_end(Vec::new()).await;
        read?;
        fs::write("/tmp/received", bytes).await.0?;
        stream.write_all(fs::read("/tmp/received").await?).await.0?;
        stream.close().await?;
    }
}

async fn client() -> io::Result<()> {
    let mut stream = TcpStream::connect("server:80").await?;
    stream.write_all(vec![7; 300_000]).await.0?;
    stream.shutdown().await?;
    let (read, bytes) = stream.read_to_end(Vec::new()).await;
    read?;
    assert_eq!(bytes.len(), 300_000);
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect("server:53").await?;
    socket.send("datagram").await.0?;
    assert_eq!(socket.recv(Vec::with_capacity(100)).await.1, b"datagram");

    let listener = UnixListener::bind("/tmp/socket")?;
    let mut one = UnixStream::connect("/tmp/socket").await?;
    let (mut other, _) = listener.accept().await?;
    one.write_all("unix").await.0?;
    assert_eq!(&other.read_exact([0; 4]).await.1, b"unix");
    let (mut reader, mut writer) = pipe::pipe()?;
    writer.write_all("pipe").await.0?;
    assert_eq!(&reader.read_exact([0; 4]).await.1, b"pipe");

    let file = File::create("/file")?;
    file.write_all_at("content", 0).await.0?;
    file.sync_all().await?;
    file.close().await?;
    fs::create_dir_all("/a/b").await?;
    fs::rename("/file", "/a/b/file").await?;
    let mut entries = fs::read_dir("/a/b").await?;
    while let Some(entry) = entries.next_entry().await? {
        assert_eq!(entry.metadata().await?.len(), 7);
    }
    fs::remove_dir_all("/a").await?;
    // A file that every real system has.
    assert!(!fs::try_exists("/proc/self/status").await?);

    assert_eq!(task::spawn_blocking(|| 6 * 7).await.unwrap(), 42);
    time::sleep(Duration::from_secs(3600)).await;
    sim::crash("server").unwrap();
    time::sleep(Duration::from_secs(1)).await;
    let refused = TcpStream::connect("server:80").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let unsupported = [
        Command::new("true").spawn().map(drop),
        compio::signal::ctrl_c().await,
    ];
    for result in unsupported {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    Ok(())
}

fn run_filtered(extra: impl FnOnce() + 'static) {
    let mut simulation = Simulation::builder().seed(5).build();
    simulation.host("server", server);
    simulation.client("client", async {
        client().await?;
        extra();
        io::Result::Ok(())
    });
    // The allocator of glibc reads a file of /proc when it shrinks its memory for the first time.
    drop(vec![vec![1_u8; 100_000]; 500]);
    allow_only(&ALLOWED);
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

fn status_of(test: &str) -> ExitStatus {
    let output = this_test(&format!("system_calls::{test}"))
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stderr));
    output.status
}

#[test]
#[ignore = "a child of `simulation_under_a_filter_succeeds`"]
fn child_without_real_calls() {
    run_filtered(|| {});
}

#[test]
#[ignore = "a child of `real_call_under_the_filter_is_fatal`"]
fn child_with_a_real_call() {
    run_filtered(|| drop(std::fs::metadata("/")));
}

#[test]
fn simulation_under_a_filter_succeeds() {
    let status = status_of("child_without_real_calls");
    assert!(status.success(), "{status}");
}

#[test]
fn real_call_under_the_filter_is_fatal() {
    let status = status_of("child_with_a_real_call");
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
}
