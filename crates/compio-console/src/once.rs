//! The overview of `--once`: plain text, without a terminal.

use std::{path::Path, sync::mpsc, time::Duration};

use crate::{
    client::{Client, Event},
    draw::overview,
    model::Model,
    protocol::Message,
    replay::Replay,
};

/// Columns of the overview.
const WIDTH: u16 = 132;

/// Longest time until an event, beside the interval. A program that accepts no connection blocks the client's thread.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a program twice, for rates, and returns the overview.
///
/// # Errors
///
/// The reason why the program does not answer.
pub fn of_program(path: &Path, interval: Duration) -> Result<String, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // The first failure ends the channel: it is not tried again.
    let _client = Client::start(path, interval, move |event| sender.send(event).is_ok());
    let mut model = Model::default();
    loop {
        match receiver.recv_timeout(interval + PATIENCE) {
            Ok(Event::Line { message, .. }) => {
                let has_metrics = matches!(message, Message::Metrics(_));
                model.apply(message);
                if has_metrics && model.previous.is_some() {
                    return Ok(overview(&model, WIDTH));
                }
            }
            Ok(Event::Histograms(_)) => {}
            Ok(Event::Disconnected(reason)) => return Err(reason),
            Err(_) => return Err("the program does not answer".into()),
        }
    }
}

/// Returns the overview of the last step of a recording.
///
/// # Errors
///
/// A description of the error of the file.
pub fn of_recording(path: &Path) -> Result<String, String> {
    let mut replay = Replay::open(path)?;
    replay.step(isize::MAX);
    let overview = overview(&replay.model()?, WIDTH);
    Ok(match replay.damage() {
        Some(damage) => format!("{overview}\n{damage}\n"),
        None => overview,
    })
}
