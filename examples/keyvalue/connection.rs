//! One connection: commands are parsed, distributed to the shards, and answered in order.

use std::{io, slice};

use compio::{
    cores::{self, Workers},
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::SendJoinHandle,
};

use crate::{
    command::{self, Command},
    resp,
    shard::{self, Operation, Outcome},
};

/// The limit of unparsed bytes.
const INPUT_MAX: usize = 1 << 30;

pub(crate) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let workers = cores::current().expect("a connection is served by a worker");
    let mut input = Vec::with_capacity(16 << 10);
    let mut replies = Vec::with_capacity(16 << 10);
    loop {
        input.reserve(4 << 10);
        let read;
        (read, input) = stream.append(input).await;
        if read? == 0 {
            return Ok(());
        }
        let mut parsed = 0;
        let mut commands = Vec::new();
        while let Some((arguments, len)) = resp::command(&input[parsed..])? {
            commands.push(command::parse(&arguments));
            parsed += len;
        }
        let batch = Batch {
            workers: &workers,
            commands,
        };
        batch.execute(&mut replies).await?;
        input.drain(..parsed);
        if input.len() > INPUT_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a command is too long",
            ));
        }
        let written;
        (written, replies) = stream.write_all(replies).await;
        written?;
        replies.clear();
    }
}

/// The commands that have arrived together.
struct Batch<'a> {
    workers: &'a Workers,
    commands: Vec<Command<'a>>,
}

/// The operations for another core, with the places of their outcomes.
type Sent = Vec<(usize, Operation<Vec<u8>>)>;

/// The replies of another core's operations, by their places.
type Received = Vec<(usize, Vec<u8>, Outcome)>;

impl<'a> Batch<'a> {
    fn owner(&self, operation: &Operation<&[u8]>) -> usize {
        shard::owner(operation.key, self.workers.len())
    }

    /// Executes all commands, and appends their replies in order. The operations of other cores are sent first, so
    /// that they run at the same time as ours.
    async fn execute(self, replies: &mut Vec<u8>) -> io::Result<()> {
        let here = cores::worker_index();
        let mut received = self.execute_elsewhere(here).await?.into_iter().peekable();
        let mut place = 0;
        let mut execute = |operation: &Operation<&[u8]>, replies: &mut Vec<u8>| {
            let outcome = match received.next_if(|(at, ..)| *at == place) {
                Some((_, reply, outcome)) => {
                    replies.extend(reply);
                    outcome
                }
                None => shard::execute(operation, replies),
            };
            place += 1;
            outcome
        };
        for command in &self.commands {
            match command {
                Command::Reply(reply) => replies.extend(reply),
                Command::One(operation) => {
                    execute(operation, replies);
                }
                Command::Each(operations) => {
                    resp::array(replies, operations.len());
                    for operation in operations {
                        execute(operation, replies);
                    }
                }
                Command::Sum(operations) => {
                    let mut sum = 0;
                    for operation in operations {
                        if let Outcome::Count(count) = execute(operation, replies) {
                            sum += count;
                        }
                    }
                    resp::integer(replies, sum);
                }
                Command::Info => {
                    let mut keys = Vec::new();
                    for shard in self.workers.dispatch_to_each(|_| async { shard::len() }) {
                        keys.push(shard.await?);
                    }
                    let info = format!("shards:{}\r\nkeys:{keys:?}\r\n", keys.len());
                    resp::bulk(replies, Some(info.as_bytes()));
                }
            }
        }
        Ok(())
    }

    /// Executes the operations that this core does not own.
    async fn execute_elsewhere(&self, here: Option<usize>) -> io::Result<Received> {
        let mut sent: Vec<Sent> = (0..self.workers.len()).map(|_| Vec::new()).collect();
        let operations = self.commands.iter().flat_map(|command| match command {
            Command::One(operation) => slice::from_ref(operation),
            Command::Each(operations) | Command::Sum(operations) => operations,
            Command::Reply(_) | Command::Info => &[],
        });
        for (place, operation) in operations.enumerate() {
            let owner = self.owner(operation);
            if Some(owner) != here {
                sent[owner].push((place, operation.copy()));
            }
        }
        let mut running: Vec<SendJoinHandle<Received>> = Vec::new();
        for (owner, operations) in sent.into_iter().enumerate() {
            if !operations.is_empty() {
                let run = move || async move { operations.into_iter().map(execute_sent).collect() };
                running.push(self.workers.dispatch_to(owner, run));
            }
        }
        let mut received = Received::new();
        for running in running {
            received.extend(running.await?);
        }
        received.sort_unstable_by_key(|(place, ..)| *place);
        Ok(received)
    }
}

fn execute_sent((place, operation): (usize, Operation<Vec<u8>>)) -> (usize, Vec<u8>, Outcome) {
    let mut reply = Vec::new();
    let outcome = shard::execute(&operation, &mut reply);
    (place, reply, outcome)
}
