//! Draws the console: title, tabs, the screen, and two lines of status.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use crate::{
    app::{App, Link, Source},
    client::RETRY,
    format,
    model::Model,
    record::Recorder,
    screens::{HELP, Screen, Sheet},
    table,
    view::View,
};

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
const HINTS: &str = "? help  q quit  s sort  S reverse  / filter  w worker  Space pause  r record";
const REPLAY_HINTS: &str =
    "? help  q quit  s sort  S reverse  / filter  Left/Right step  Space play";

impl App {
    /// Draws all.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        self.draw_on(frame.buffer_mut(), area);
    }

    fn draw_on(&mut self, buffer: &mut Buffer, area: Rect) {
        let [title, tabs, body, state, message] = areas(area);
        line(buffer, title, &title_line(self.model()), BOLD);
        draw_tabs(buffer, tabs, self.screen());
        if self.shows_help() {
            draw_lines(buffer, body, HELP);
        } else if let Some((lines, first)) = self.detail() {
            let lines = lines.iter().skip(first).map(String::as_str);
            draw_lines(buffer, body, lines);
        } else {
            let sheet = self.sheet();
            let screen = self.screen();
            let half = body.height.div_ceil(2);
            draw_sheet(buffer, body, screen, &sheet, self.view_mut(), half);
        }
        line(buffer, state, &self.state_line(), REVERSED);
        let (text, style) = self.message_line();
        line(buffer, message, &text, style);
    }

    /// Mode, recording, worker, order and filter.
    fn state_line(&self) -> String {
        let mut parts = vec![self.mode()];
        if self.recorder().is_some() {
            parts.push("REC".into());
        }
        parts.push(match self.worker() {
            Some(worker) => format!("worker {worker}"),
            None => "all workers".into(),
        });
        let view = self.view();
        let order = if view.is_descending { "down" } else { "up" };
        let column = self.screen().columns()[view.sort].title();
        parts.push(format!("sort: {column} {order}"));
        if view.is_editing {
            parts.push(format!("filter: {}_", view.filter));
        } else if !view.filter.is_empty() {
            parts.push(format!("filter: {}", view.filter));
        }
        parts.join(" | ")
    }

    fn mode(&self) -> String {
        match self.source() {
            Source::Live(_) if self.is_paused() => "PAUSED".into(),
            Source::Live(live) => match &live.link {
                Link::Connecting => "connecting".into(),
                Link::Connected => "connected".into(),
                Link::Disconnected(_) => "DISCONNECTED".into(),
            },
            Source::Replay(replay) => {
                let (step, all) = replay.position();
                let state = if replay.is_playing {
                    "plays"
                } else {
                    "stopped"
                };
                let time = self
                    .model()
                    .metrics
                    .as_ref()
                    .map_or(0.0, |metrics| metrics.time);
                let time = format::seconds(time);
                format!("replay {step} of {all}, at {time}, {state}")
            }
        }
    }

    fn recorder(&self) -> Option<&Recorder> {
        match self.source() {
            Source::Live(live) => live.recorder.as_ref(),
            Source::Replay(_) => None,
        }
    }

    /// A notice, the reason of a lost connection, the name of the recording, or the most important keys.
    fn message_line(&self) -> (String, Style) {
        if let Some(notice) = self.notice() {
            return (notice.into(), Style::new().fg(Color::Yellow));
        }
        match self.source() {
            Source::Live(live) => match &live.link {
                Link::Disconnected(reason) => {
                    let retry = RETRY.as_secs();
                    let text = format!("disconnected: {reason} (next try within {retry} s)");
                    (text, Style::new().fg(Color::Red))
                }
                Link::Connecting | Link::Connected => {
                    let name = self.recorder().map(Recorder::name);
                    let recording = name.map(|name| format!("recording {name}  r stop"));
                    (recording.unwrap_or(HINTS.into()), Style::new())
                }
            },
            Source::Replay(_) => (REPLAY_HINTS.into(), Style::new()),
        }
    }
}

/// Splits the terminal into its parts. In a small one, the status comes last.
fn areas(area: Rect) -> [Rect; 5] {
    let mut top = area.y;
    let mut take = |height: u16| {
        let height = height.min(area.bottom() - top);
        let part = Rect {
            y: top,
            height,
            ..area
        };
        top += height;
        part
    };
    let body = area.height.saturating_sub(4);
    [take(1), take(1), take(body), take(1), take(1)]
}

/// The identity of the process.
pub(crate) fn title_line(model: &Model) -> String {
    let Some(hello) = &model.hello else {
        return "compio-console".into();
    };
    let mut title = format!(
        "compio-console: {}  process {}  compio {}",
        hello.program, hello.process, hello.version
    );
    if let Some(metrics) = &model.metrics {
        title += &format!("  time {}", format::seconds(metrics.time));
    }
    title
}

fn draw_tabs(buffer: &mut Buffer, area: Rect, selected: Screen) {
    let mut left = area;
    for (index, screen) in Screen::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", index + 1, screen.title());
        let style = if screen == selected {
            REVERSED
        } else {
            Style::new()
        };
        line_part(buffer, left, &text, style);
        let width = u16::try_from(text.len())
            .unwrap_or(u16::MAX)
            .min(left.width);
        left.x += width;
        left.width -= width;
    }
}

fn draw_lines<'a>(buffer: &mut Buffer, area: Rect, lines: impl IntoIterator<Item = &'a str>) {
    for (text, y) in lines.into_iter().zip(area.y..area.bottom()) {
        line(
            buffer,
            Rect {
                y,
                height: 1,
                ..area
            },
            text,
            Style::new(),
        );
    }
}

/// Draws the lines above, the table with at least `min` lines, and the lines below.
fn draw_sheet(
    buffer: &mut Buffer,
    area: Rect,
    screen: Screen,
    sheet: &Sheet,
    view: &mut View,
    min: u16,
) {
    let room = area.height.saturating_sub(min);
    let above = height(sheet.above.len()).min(room);
    let below = height(sheet.below.len()).min(room - above);
    let table = Rect {
        y: area.y + above,
        height: area.height.saturating_sub(above + below),
        ..area
    };
    draw_lines(
        buffer,
        Rect {
            height: above,
            ..area
        },
        sheet.above.iter().map(String::as_str),
    );
    draw_rows(buffer, table, screen, sheet, view);
    let y = table.bottom();
    let rest = Rect {
        y,
        height: area.bottom() - y,
        ..area
    };
    draw_lines(buffer, rest, sheet.below.iter().map(String::as_str));
}

fn draw_rows(buffer: &mut Buffer, area: Rect, screen: Screen, sheet: &Sheet, view: &mut View) {
    let page = usize::from(area.height).saturating_sub(1).max(1);
    let first = view.scroll(&sheet.rows, page);
    let selected = view.resolve(&sheet.rows);
    let styles = |row: Option<usize>| match row {
        None => BOLD,
        Some(row) if row == selected => REVERSED,
        Some(_) => Style::new(),
    };
    table::draw(buffer, area, screen.columns(), &sheet.rows, first, styles);
    if sheet.rows.is_empty() && area.height > 1 {
        let text = if view.filter.is_empty() {
            sheet.empty
        } else {
            "No row contains the text of the filter."
        };
        let place = Rect {
            y: area.y + 1,
            height: 1,
            ..area
        };
        line(buffer, place, text, Style::new());
    }
}

fn height(lines: usize) -> u16 {
    u16::try_from(lines).unwrap_or(u16::MAX)
}

/// Draws a text on a whole line.
fn line(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    buffer.set_style(area, style);
    line_part(buffer, area, text, style);
}

fn line_part(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 && area.width > 0 {
        buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
    }
}

/// The screen of workers as text, for `--once`.
pub(crate) fn overview(model: &Model, width: u16) -> String {
    let mut text = title_line(model) + "\n";
    for screen in [Screen::Workers, Screen::Operations] {
        let mut app = App::live(None, Default::default());
        app.set_model(model.clone());
        app.show(screen);
        let sheet = app.sheet();
        let lines = sheet.above.len() + sheet.below.len() + sheet.rows.len().max(1) + 1;
        // A buffer has at most as many lines as a terminal.
        let area = Rect::new(0, 0, width, height(lines.min(1000)));
        let mut buffer = Buffer::empty(area);
        draw_sheet(&mut buffer, area, screen, &sheet, app.view_mut(), 2);
        text += "\n";
        for y in 0..area.height {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            text += line.trim_end();
            text += "\n";
        }
    }
    text
}
