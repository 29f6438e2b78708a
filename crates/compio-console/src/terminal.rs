//! The loop over keys and events, on a terminal in raw mode.

use std::{
    io::{self, IsTerminal},
    panic,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, KeyEvent},
};

use crate::{
    app::App,
    client::{Client, Event},
    keys::Key,
    replay::Replay,
    sys,
};

/// Time between two looks at the flag that signals set.
const SIGNAL_CHECK: Duration = Duration::from_millis(200);

/// Input of the loop.
enum Input {
    Key(KeyEvent),
    Resize,
    Program(Event),
    /// A signal, or the end of the terminal.
    End,
}

/// Observes a program until the user quits.
///
/// # Errors
///
/// A description of an error of the terminal or of the file of a recording.
pub fn attach(socket: &Path, interval: Duration, record: Option<&Path>) -> Result<(), String> {
    check_terminal()?;
    // Bounded: a slow terminal slows the client.
    let (sender, inputs) = mpsc::sync_channel(16);
    let events = sender.clone();
    let client = Client::start(socket, interval, move |event| {
        events.send(Input::Program(event)).is_ok()
    });
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let mut app = App::live(Some(client), folder);
    if let Some(path) = record {
        app.record_to(path)?;
    }
    run(&mut app, sender, &inputs)
}

/// Shows a recording until the user quits.
///
/// # Errors
///
/// A description of an error of the file or of the terminal.
pub fn replay(file: &Path) -> Result<(), String> {
    let mut app = App::replay(Replay::open(file)?);
    check_terminal()?;
    let (sender, inputs) = mpsc::sync_channel(16);
    run(&mut app, sender, &inputs)
}

fn check_terminal() -> Result<(), String> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err("standard input and output are no terminal; --once prints an overview without one".into())
}

fn run(app: &mut App, sender: SyncSender<Input>, inputs: &Receiver<Input>) -> Result<(), String> {
    let failed = |error: io::Error| format!("the terminal fails: {error}");
    let signals = sys::end_signals().map_err(failed)?;
    let mut terminal = ratatui::try_init().map_err(failed)?;
    end_after_panic();
    thread::spawn(move || read_keys(&sender, &signals));
    let result = handle_inputs(app, inputs, &mut terminal);
    ratatui::restore();
    result.map_err(failed)
}

/// A panic of any thread ends the program, after ratatui's hook has restored the terminal.
fn end_after_panic() {
    let restore = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore(info);
        process::exit(101);
    }));
}

/// Passes on keys until a signal, or until the loop ends.
fn read_keys(sender: &SyncSender<Input>, signals: &Arc<AtomicBool>) {
    loop {
        // Relaxed: the flag publishes nothing else.
        if signals.load(Ordering::Relaxed) {
            break;
        }
        let input = match event::poll(SIGNAL_CHECK).and_then(|is_ready| match is_ready {
            true => event::read().map(Some),
            false => Ok(None),
        }) {
            Ok(Some(event::Event::Key(key))) => Input::Key(key),
            Ok(Some(event::Event::Resize(..))) => Input::Resize,
            Ok(_) => continue,
            Err(_) => break,
        };
        if sender.send(input).is_err() {
            return;
        }
    }
    // The loop may have ended.
    let _ = sender.send(Input::End);
}

fn handle_inputs(
    app: &mut App,
    inputs: &Receiver<Input>,
    terminal: &mut DefaultTerminal,
) -> io::Result<()> {
    let mut shown_at = Instant::now();
    while !app.has_quit() {
        terminal.draw(|frame| app.draw(frame))?;
        let input = match app.play_delay() {
            Some(delay) => inputs.recv_timeout(delay.saturating_sub(shown_at.elapsed())),
            None => inputs.recv().map_err(RecvTimeoutError::from),
        };
        match input {
            Ok(input) => {
                let was_playing = app.play_delay().is_some();
                if !handle(app, input) {
                    return Ok(());
                }
                // The delay begins with the key that starts it.
                if !was_playing {
                    shown_at = Instant::now();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                app.play();
                shown_at = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}

/// Returns `false` at the end.
fn handle(app: &mut App, input: Input) -> bool {
    match input {
        Input::Key(event) => {
            if let Some(key) = Key::from_event(&event) {
                app.on_key(key);
            }
        }
        Input::Program(event) => app.on_event(event),
        // The next drawing has the new size.
        Input::Resize => {}
        Input::End => return false,
    }
    true
}
