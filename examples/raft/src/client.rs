//! A client, which looks for the leader and repeats its requests.

use std::{io, time::Duration};

use compio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    frame,
    message::{Answer, Request},
};

/// The time limit of an attempt.
const ATTEMPT: Duration = Duration::from_millis(500);
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of all nodes.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    sequence: u64,
    addresses: Vec<String>,
    /// The node that may lead.
    node: usize,
    stream: Option<TcpStream>,
}

impl Client {
    /// A client. No other one may have the ID, not even an earlier run of the same program.
    pub(crate) fn new(id: u64, addresses: Vec<String>) -> Self {
        Self {
            id,
            sequence: 0,
            addresses,
            node: 0,
            stream: None,
        }
    }

    /// Appends a value. It is in the log once, in the order of the calls.
    pub(crate) async fn append(&mut self, value: Vec<u8>) {
        self.sequence += 1;
        let request = Request::Append {
            client: self.id,
            sequence: self.sequence,
            value,
        };
        while !matches!(self.call(&request).await, Answer::Appended) {}
    }

    /// All values, with their clients and sequences. All that were appended before the call are there.
    pub(crate) async fn read(&mut self) -> Vec<(u64, u64, Vec<u8>)> {
        loop {
            if let Answer::Values(values) = self.call(&Request::Read).await {
                return values;
            }
        }
    }

    /// Repeats a request until a leader answers.
    async fn call(&mut self, request: &Request) -> Answer {
        loop {
            match timeout(ATTEMPT, self.attempt(request)).await {
                Ok(Ok(Answer::NotLeader(Some(leader)))) if leader != self.node => {
                    self.visit(leader)
                }
                Ok(Ok(Answer::NotLeader(_))) | Ok(Err(_)) | Err(_) => self.visit(self.node + 1),
                Ok(Ok(answer)) => return answer,
            }
            sleep(PAUSE).await;
        }
    }

    fn visit(&mut self, node: usize) {
        self.node = node % self.addresses.len();
        // An answer that is still to come belongs to an earlier request.
        self.stream = None;
    }

    async fn attempt(&mut self, request: &Request) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.addresses[self.node]).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        frame::write(stream, request).await?;
        frame::read(stream).await
    }
}
