//! The loop over keys and events, on a terminal in raw mode.

use std::{
    io::{self, IsTerminal},
    iter,
    mem::ManuallyDrop,
    panic,
    path::{Path, PathBuf},
    process,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, KeyEvent},
        execute,
        terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
    },
};

use crate::{
    app::App,
    client::{Client, Event},
    keys::Key,
    replay::Replay,
    sys,
};

/// Time between two looks at the terminal, which may have gone.
const TERMINAL_CHECK: Duration = Duration::from_secs(1);

/// Inputs that wait for the loop. A slow terminal slows the client, and does not queue lines of 16 MiB.
const QUEUE: usize = 2;

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
    let (sender, inputs) = mpsc::sync_channel(QUEUE);
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
    let (sender, inputs) = mpsc::sync_channel(QUEUE);
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
    restore_after_panic();
    let result = Screen::enter().and_then(|mut screen| {
        start_inputs(sender)?;
        handle_inputs(app, inputs, &mut screen.terminal)
    });
    result.map_err(failed)
}

/// The terminal in raw mode, on its alternate screen. It is restored when this is dropped.
struct Screen {
    // Its own drop would write an error to standard error, and panic if that has gone with the terminal.
    terminal: ManuallyDrop<DefaultTerminal>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let enter = || {
            execute!(io::stdout(), EnterAlternateScreen)?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        };
        let terminal = enter().inspect_err(|_| restore())?;
        Ok(Self {
            terminal: ManuallyDrop::new(terminal),
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal. It fails if the terminal has gone, and then there is nothing to restore.
fn restore() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = terminal::disable_raw_mode();
}

/// A panic of any thread restores the terminal, prints its message, and ends the program.
fn restore_after_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        print(info);
        process::exit(101);
    }));
}

/// Starts the threads of keys and signals.
fn start_inputs(sender: SyncSender<Input>) -> io::Result<()> {
    let ends = sender.clone();
    // Not on the thread of keys: after a hang-up, a read of crossterm does not return.
    sys::on_end_signal(move || drop(ends.send(Input::End)))?;
    thread::spawn(move || read_keys(&sender));
    Ok(())
}

/// Passes on keys until the loop ends.
fn read_keys(sender: &SyncSender<Input>) {
    loop {
        let input = match event::read() {
            Ok(event::Event::Key(key)) => Input::Key(key),
            Ok(event::Event::Resize(..)) => Input::Resize,
            Ok(_) => continue,
            Err(_) => Input::End,
        };
        let is_end = matches!(input, Input::End);
        if sender.send(input).is_err() || is_end {
            return;
        }
    }
}

fn handle_inputs(
    app: &mut App,
    inputs: &Receiver<Input>,
    terminal: &mut DefaultTerminal,
) -> io::Result<()> {
    let mut shown_at = Instant::now();
    terminal.draw(|frame| app.draw(frame))?;
    // After a hang-up without SIGHUP, standard input is no terminal any more.
    while !app.has_quit() && io::stdin().is_terminal() {
        let play_at = app.play_delay().map(|delay| shown_at + delay);
        let left = play_at.map(|time| time.saturating_duration_since(Instant::now()));
        let wait = left.map_or(TERMINAL_CHECK, |left| left.min(TERMINAL_CHECK));
        match inputs.recv_timeout(wait) {
            Ok(input) => {
                // One drawing for all inputs that wait.
                let waiting = inputs.try_iter().take(QUEUE);
                for input in iter::once(input).chain(waiting) {
                    if matches!(input, Input::End) {
                        return Ok(());
                    }
                    handle(app, input);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout)
                if play_at.is_some_and(|time| Instant::now() >= time) =>
            {
                app.play();
                shown_at = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => continue,
        }
        // The delay begins with the key that starts it.
        if play_at.is_none() {
            shown_at = Instant::now();
        }
        terminal.draw(|frame| app.draw(frame))?;
    }
    Ok(())
}

fn handle(app: &mut App, input: Input) {
    match input {
        Input::Key(event) => {
            if let Some(key) = Key::from_event(&event) {
                app.on_key(key);
            }
        }
        Input::Program(event) => app.on_event(event),
        // The next drawing has the new size.
        Input::Resize | Input::End => {}
    }
}
