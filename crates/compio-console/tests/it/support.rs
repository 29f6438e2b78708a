//! A console without a program, and its screen as text.

use std::path::Path;

use compio_console::{app::App, client::Event, keys::Key, protocol::Message};
use ratatui::{Terminal, backend::TestBackend};

/// The lines of a program: hello, metrics, metrics, tasks.
pub(crate) const LINES: &str = include_str!("../data/lines.jsonl");

/// A console with all of [`LINES`], which records to `folder`.
pub(crate) fn app_in(folder: &Path) -> App {
    let mut app = App::live(None, folder.to_owned());
    for line in LINES.lines() {
        feed(&mut app, line);
    }
    app
}

/// A console with all of [`LINES`].
pub(crate) fn app() -> App {
    app_in(Path::new("/nonexistent"))
}

/// Passes a line of the program.
pub(crate) fn feed(app: &mut App, line: &str) {
    let message = Message::parse(line.as_bytes()).unwrap();
    let line = line.as_bytes().to_vec();
    app.on_event(Event::Line { line, message });
}

/// Types characters.
pub(crate) fn keys(app: &mut App, characters: &str) {
    for character in characters.chars() {
        app.on_key(Key::Char(character));
    }
}

/// The screen, without blanks at the ends of lines.
pub(crate) fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text += line.trim_end();
        text += "\n";
    }
    text
}

/// The text of the selected row: the reversed line of the body.
pub(crate) fn selected(app: &mut App) -> String {
    let (width, height) = (160, 50);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let is_reversed = |y: &u16| {
        let modifier = buffer[(0, *y)].modifier;
        modifier.contains(ratatui::style::Modifier::REVERSED)
    };
    let y = (2..height - 2)
        .find(is_reversed)
        .expect("a row is selected");
    let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
