//! The connection of one observer.

use std::{io, rc::Rc, time::Duration};

use super::answers::Answers;
use crate::{
    io::{AsyncRead, AsyncWriteExt},
    metrics::{Recording, record_histograms},
    net::UnixStream,
    time::{sleep, timeout},
};

/// The longest request, in bytes with its end.
const REQUEST_MAX: usize = 64;

/// The time in which an observer has to read an answer.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// The pause after each answer: an observer that asks without end does not occupy a core.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves an observer until it disconnects or breaks the protocol.
pub(super) async fn serve(mut stream: UnixStream, is_allowed: bool, answers: Rc<Answers>) {
    // The error concerns this observer only.
    let _ = if is_allowed {
        answer_all(&mut stream, &answers).await
    } else {
        send(&mut stream, error("too many observers")).await
    };
}

async fn answer_all(stream: &mut UnixStream, answers: &Answers) -> io::Result<()> {
    let mut recording: Option<Recording> = None;
    let mut requests = Requests::default();
    send(stream, answers.hello()).await?;
    while let Some(request) = requests.next(stream).await? {
        let answer = match request.as_str() {
            "metrics" => answers.metrics(),
            "tasks" => answers.tasks(),
            "histograms on" => {
                recording.get_or_insert_with(record_histograms);
                done()
            }
            "histograms off" => {
                recording = None;
                done()
            }
            _ => return send(stream, error("unknown request")).await,
        };
        send(stream, answer).await?;
        sleep(PAUSE).await;
    }
    Ok(())
}

fn done() -> Rc<str> {
    "{\"type\":\"done\"}\n".into()
}

/// The message needs no escapes.
fn error(message: &str) -> Rc<str> {
    format!("{{\"type\":\"error\",\"message\":\"{message}\"}}\n").into()
}

/// Sends a line, within the limit.
async fn send(stream: &mut UnixStream, line: Rc<str>) -> io::Result<()> {
    let (sent, _) = timeout(READ_LIMIT, stream.write_all(line)).await?;
    sent
}

/// The bytes that have been received, and are no whole request yet.
#[derive(Default)]
struct Requests {
    received: Vec<u8>,
}

impl Requests {
    /// The next line without its end. `None` after the end of the stream, and for a line that is too long.
    async fn next(&mut self, stream: &mut UnixStream) -> io::Result<Option<String>> {
        loop {
            if let Some(len) = self.received.iter().position(|byte| *byte == b'\n') {
                let line = self.received.drain(..=len);
                let text = String::from_utf8_lossy(&line.as_slice()[..len]).into_owned();
                return Ok(Some(text));
            }
            if self.received.len() >= REQUEST_MAX {
                return Ok(None);
            }
            let room = Vec::with_capacity(REQUEST_MAX);
            let (read, bytes) = stream.read(room).await;
            if read? == 0 {
                return Ok(None);
            }
            self.received.extend_from_slice(&bytes);
        }
    }
}
