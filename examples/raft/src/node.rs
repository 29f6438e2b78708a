//! A node: the tasks of its connections, and the loop that stores and sends.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::PathBuf,
    time::Duration,
};

use async_channel::{Receiver, Sender};
use compio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{self, sleep, timeout, timeout_at},
};

use crate::{
    bug::Bug,
    frame,
    log::Log,
    message::{Answer, Entry, Message, NodeId, Request},
    raft::Raft,
};

/// The time limit of a connect, and the time between two.
const CONNECT: Duration = Duration::from_millis(100);
/// The time limit for an address that is in use.
const BIND: Duration = Duration::from_secs(10);
/// The most messages that wait for a connection. Others are lost, which Raft tolerates.
const QUEUE: usize = 64;

/// The settings of a node.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) id: NodeId,
    /// Of all nodes.
    pub(crate) addresses: Vec<String>,
    /// It has the log.
    pub(crate) directory: PathBuf,
    /// The begin of the random numbers.
    pub(crate) random: u64,
    pub(crate) bug: Bug,
}

/// Sees the states of a node.
pub(crate) trait Observer {
    /// The log was read. This number of bytes at its end were no records.
    fn recovered(&self, torn: usize);
    /// After each step. Its records are not stored yet.
    fn stepped(&self, raft: &Raft);
}

/// A request of a connection, and the way to its client.
struct Event {
    request: Request,
    answers: Sender<Answer>,
}

/// An answer that waits for the commit of an entry.
struct Waiting {
    term: u64,
    is_read: bool,
    answers: Sender<Answer>,
}

/// Runs a node until it fails: mostly by an error of its disk. It can start again then.
pub(crate) async fn run(config: Config, observer: impl Observer) -> io::Result<()> {
    let Config {
        id,
        addresses,
        directory,
        random,
        bug,
    } = config;
    let (mut log, saved, torn) = Log::open(&directory, bug).await?;
    observer.recovered(torn);
    let mut raft = Raft::new(id, addresses.len(), saved, random, time::now(), bug);
    let (events, inbox) = async_channel::bounded(QUEUE);
    // The tasks end with the node.
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(bind(&addresses[id]).await?, events));
    let mut links = Vec::new();
    for address in addresses {
        let (link, messages) = async_channel::bounded(QUEUE);
        tasks.spawn(send(address, messages));
        links.push(link);
    }
    let mut waiting = BTreeMap::new();
    loop {
        let event = timeout_at(raft.deadline(), inbox.recv()).await;
        raft.tick(time::now());
        let mut event = event.ok().and_then(Result::ok);
        // One sync is for all events that have arrived.
        while let Some(Event { request, answers }) = event {
            handle(&mut raft, request, answers, &mut waiting);
            event = inbox.try_recv().ok();
        }
        observer.stepped(&raft);
        let (records, messages) = raft.take_output();
        let is_early = bug.is(Bug::AnswersBeforeSync);
        if !is_early {
            log.append(&records).await?;
        }
        for (to, message) in messages {
            // A full queue loses it.
            drop(links[to].try_send(message));
        }
        answer(&raft, &mut waiting);
        if is_early {
            log.append(&records).await?;
        }
    }
}

/// Waits for the end of a killed node: the kernel closes the listener of an io_uring a moment after the end of its process.
async fn bind(address: &str) -> io::Result<TcpListener> {
    let deadline = time::now() + BIND;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && time::now() < deadline => {
                sleep(CONNECT).await;
            }
            bound => return bound,
        }
    }
}

fn handle(
    raft: &mut Raft,
    request: Request,
    answers: Sender<Answer>,
    waiting: &mut BTreeMap<u64, Waiting>,
) {
    let (proposed, is_read) = match request {
        Request::Peer(message) => return raft.receive(message),
        Request::Append {
            client,
            sequence,
            value,
        } => (raft.propose(client, sequence, value), false),
        // The commit of an entry proves that no other node has become the leader before.
        Request::Read => (raft.propose(0, 0, Vec::new()), true),
    };
    if let Some(index) = proposed {
        // The entry may replace one of an earlier term, whose client gets no answer and repeats its request.
        waiting.insert(
            index,
            Waiting {
                term: raft.term(),
                is_read,
                answers,
            },
        );
    } else {
        drop(answers.try_send(Answer::NotLeader(raft.leader())));
    }
}

/// Answers the requests whose entries are committed, or can be committed by another leader only.
fn answer(raft: &Raft, waiting: &mut BTreeMap<u64, Waiting>) {
    let committed = raft.committed();
    let later = waiting.split_off(&(committed.len() as u64 + 1));
    for (
        index,
        Waiting {
            term,
            is_read,
            answers,
        },
    ) in std::mem::replace(waiting, later)
    {
        let answer = match &committed[..index as usize] {
            [.., last] if last.term != term => Answer::NotLeader(raft.leader()),
            entries if is_read => Answer::Values(values(entries)),
            _ => Answer::Appended,
        };
        // The client may be gone.
        drop(answers.try_send(answer));
    }
    if !raft.is_leader() {
        for (_, Waiting { answers, .. }) in std::mem::take(waiting) {
            drop(answers.try_send(Answer::NotLeader(raft.leader())));
        }
    }
}

/// The values of entries. A client may have repeated a request: only its first entry counts.
pub(crate) fn values(entries: &[Entry]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut done = BTreeMap::new();
    let mut values = Vec::new();
    for Entry {
        client,
        sequence,
        value,
        ..
    } in entries
    {
        let last = done.entry(*client).or_insert(0);
        if *sequence > *last {
            *last = *sequence;
            values.push((*client, *sequence, value.clone()));
        }
    }
    values
}

/// Accepts connections of nodes and clients.
async fn accept(listener: TcpListener, events: Sender<Event>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, events.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, events: Sender<Event>) -> io::Result<()> {
    let (answers, to_write) = async_channel::bounded(1);
    loop {
        let request = frame::read(&mut stream).await?;
        let has_answer = !matches!(request, Request::Peer(_));
        let answers = answers.clone();
        if events.send(Event { request, answers }).await.is_err() {
            return Ok(());
        }
        if has_answer && let Ok(answer) = to_write.recv().await {
            frame::write(&mut stream, &answer).await?;
        }
    }
}

/// Sends messages to another node, by one connection after the other.
async fn send(address: String, messages: Receiver<Message>) {
    loop {
        if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(&address)).await {
            // It has waited for the connection.
            while messages.try_recv().is_ok() {}
            // The error is the end of the connection.
            let _ended = send_by(stream, &messages).await;
        }
        sleep(CONNECT).await;
    }
}

async fn send_by(mut stream: TcpStream, messages: &Receiver<Message>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Ok(message) = messages.recv().await {
        frame::write(&mut stream, &Request::Peer(message)).await?;
    }
    Ok(())
}
