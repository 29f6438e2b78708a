//! A chat server: each line of a client goes to all others.
//!
//! `cargo run --release --example chat -- 127.0.0.1:7001`, and then several times
//! `nc 127.0.0.1 7001`

use std::{cell::RefCell, collections::HashMap, env, io, net::SocketAddr, rc::Rc};

use async_channel::{Receiver, Sender, TrySendError};
use compio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream},
    task,
};

/// The number of lines that may be queued for a client. A slower client is disconnected.
const LINES_WAITING: usize = 256;

/// The longest line, in bytes.
const LINE_MAX: u64 = 4096;

/// The queued lines of each client. All tasks are on one thread: no lock is needed.
#[derive(Clone, Default)]
struct Room(Rc<RefCell<HashMap<SocketAddr, Sender<Rc<str>>>>>);

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7001".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Room::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                task::spawn(attend(room.clone(), stream, peer));
            }
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// Handles one client.
async fn attend(room: Room, stream: TcpStream, peer: SocketAddr) {
    let (reader, writer) = stream.into_split();
    let lines = room.enter(peer);
    let writing = task::spawn(write_lines(lines, writer));
    room.tell(peer, &format!("* {peer} has joined\n"));
    if let Err(error) = read_lines(&room, peer, reader).await {
        eprintln!("{peer}: {error}");
    }
    // This closes the channel, and the writer ends.
    room.leave(peer);
    room.tell(peer, &format!("* {peer} has left\n"));
    let _ = writing.await;
}

async fn read_lines(
    room: &Room,
    peer: SocketAddr,
    reader: OwnedReadHalf<TcpStream>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        let read;
        (read, line) = reader.by_ref().take(LINE_MAX).read_line(line).await;
        if read? == 0 || !room.has(peer) {
            return Ok(());
        }
        room.tell(peer, &format!("{peer}: {}\n", line.trim_end()));
    }
}

async fn write_lines(lines: Receiver<Rc<str>>, mut writer: OwnedWriteHalf<TcpStream>) {
    while let Ok(line) = lines.recv().await {
        let (written, _) = writer.write_all(line.as_bytes().to_vec()).await;
        if written.is_err() {
            return;
        }
    }
}

impl Room {
    fn enter(&self, peer: SocketAddr) -> Receiver<Rc<str>> {
        let (sender, receiver) = async_channel::bounded(LINES_WAITING);
        self.0.borrow_mut().insert(peer, sender);
        receiver
    }

    fn has(&self, peer: SocketAddr) -> bool {
        self.0.borrow().contains_key(&peer)
    }

    fn leave(&self, peer: SocketAddr) {
        self.0.borrow_mut().remove(&peer);
    }

    /// Sends a line to all clients but one.
    fn tell(&self, except: SocketAddr, line: &str) {
        let line = Rc::<str>::from(line);
        self.0.borrow_mut().retain(|peer, sender| {
            *peer == except || !matches!(sender.try_send(line.clone()), Err(TrySendError::Full(_)))
        });
    }
}
