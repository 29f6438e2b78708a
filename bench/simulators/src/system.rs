//! The calls that all simulators have.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{Fault, Observer, Scenario};

/// A simulator. Its calls work in programs of its hosts.
#[allow(async_fn_in_trait, reason = "no future has to be `Send`")]
pub trait System: 'static {
    const NAME: &'static str;
    type File;
    type Listener;
    type Stream;
    type Socket;

    /// Runs the hosts until the observer has seen the end, or until the time limit.
    fn run(scenario: &Scenario);

    fn now() -> Duration;
    async fn sleep(time: Duration);
    /// `None` if it takes longer.
    async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T>;
    fn spawn(task: impl Future<Output = ()> + 'static);

    /// To read and write. Made if it does not exist.
    async fn open(path: &str) -> io::Result<Self::File>;
    /// As `open`. Its content is removed.
    async fn create(path: &str) -> io::Result<Self::File>;
    async fn read_at(file: &Self::File, len: usize, offset: u64) -> io::Result<Vec<u8>>;
    async fn write_at(file: &Self::File, bytes: Vec<u8>, offset: u64) -> io::Result<()>;
    async fn sync(file: &Self::File) -> io::Result<()>;
    /// The whole content, empty without the file.
    async fn read(path: &str) -> io::Result<Vec<u8>>;
    async fn rename(from: &str, to: &str) -> io::Result<()>;
    async fn remove(path: &str) -> io::Result<()>;
    async fn sync_directory(path: &str) -> io::Result<()>;

    async fn listen(port: u16) -> io::Result<Self::Listener>;
    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;
    async fn connect(host: IpAddr, port: u16) -> io::Result<Self::Stream>;
    /// One read of `len` bytes at most. Empty at the end.
    async fn recv(stream: &mut Self::Stream, len: usize) -> io::Result<Vec<u8>>;
    async fn send(stream: &mut Self::Stream, bytes: Vec<u8>) -> io::Result<()>;

    async fn bind(port: u16) -> io::Result<Self::Socket>;
    async fn send_to(socket: &Self::Socket, bytes: Vec<u8>, to: SocketAddr) -> io::Result<()>;
    async fn recv_from(socket: &Self::Socket) -> io::Result<(Vec<u8>, SocketAddr)>;
}

/// Executes the faults at their moments, and waits for the end of the run. For simulators in which a program can do so.
pub async fn operate<S: System>(
    faults: Vec<(Duration, Fault)>,
    limit: Duration,
    observer: Observer,
    execute: impl Fn(Fault),
) {
    let begin = S::now();
    let elapsed = || S::now() - begin;
    let mut faults = faults.into_iter().peekable();
    while observer.end().is_none() && elapsed() < limit {
        while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= elapsed()) {
            execute(fault);
        }
        let poll = elapsed() + Duration::from_millis(20);
        let next = faults.peek().map_or(poll, |(at, _)| poll.min(*at));
        S::sleep(next.saturating_sub(elapsed())).await;
    }
}
