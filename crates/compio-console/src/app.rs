//! The state of the console: the data, the screens, and the source of both. `keys.rs` changes it, `draw.rs` shows it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    client::{Client, Event},
    keys::Key,
    model::Model,
    protocol::{Hello, Message},
    record::Recorder,
    replay::Replay,
    screens::{Data, Detail, Screen, Sheet, task_lines},
    table::RowKey,
    text::escape,
    view::{View, moved},
};

/// The console, without its terminal.
#[derive(Debug)]
pub struct App {
    source: Source,
    /// The latest data.
    live: Model,
    /// The data of a stopped view.
    frozen: Option<Model>,
    screen: Screen,
    views: [View; Screen::ALL.len()],
    detail: Option<(Detail, usize)>,
    worker: Option<u64>,
    shows_help: bool,
    has_quit: bool,
    notice: Option<String>,
}

/// The source of the data.
#[derive(Debug)]
pub(crate) enum Source {
    Live(Live),
    Replay(Replay),
}

/// The state of a connection to a program.
#[derive(Debug)]
pub(crate) struct Live {
    client: Option<Client>,
    pub(crate) link: Link,
    /// The last first line, with which a recording begins.
    hello: Option<Vec<u8>>,
    /// The answer to the last request to start or stop histograms.
    histograms: Option<bool>,
    pub(crate) recorder: Option<Recorder>,
    /// The folder of recordings.
    folder: PathBuf,
}

/// The state of the connection.
#[derive(Debug)]
pub(crate) enum Link {
    Connecting,
    Connected,
    Disconnected(String),
}

impl App {
    /// Shows the program of a client. Recordings are created in `folder`. Without a client, the caller passes the events.
    pub fn live(client: Option<Client>, folder: PathBuf) -> Self {
        Self::new(Source::Live(Live {
            client,
            link: Link::Connecting,
            hello: None,
            histograms: None,
            recorder: None,
            folder,
        }))
    }

    /// Shows a recording.
    pub fn replay(replay: Replay) -> Self {
        let notice = replay.damage().map(str::to_owned);
        let mut app = Self::new(Source::Replay(replay));
        app.load_step();
        app.notice = app.notice.or(notice);
        app
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            live: Model::default(),
            frozen: None,
            screen: Screen::Workers,
            views: Screen::ALL.map(View::new),
            detail: None,
            worker: None,
            shows_help: false,
            has_quit: false,
            notice: None,
        }
    }

    /// Records to a new file.
    ///
    /// # Errors
    ///
    /// A description of the error of the OS. The file exists, or cannot be written.
    pub fn record_to(&mut self, path: &Path) -> Result<(), String> {
        let recorder = Recorder::create(path)?;
        self.begin_recording(recorder);
        Ok(())
    }

    /// Takes an event of the client.
    pub fn on_event(&mut self, event: Event) {
        let Source::Live(live) = &mut self.source else {
            return;
        };
        match event {
            Event::Line { line, message } => {
                if let Some(error) = live.record(&line) {
                    self.notice = Some(error);
                }
                if matches!(message, Message::Hello(_)) {
                    live.link = Link::Connected;
                    live.histograms = None;
                    live.hello = Some(line);
                }
                self.live.apply(message);
            }
            Event::Histograms(is_on) => live.histograms = Some(is_on),
            Event::Disconnected(reason) => {
                live.link = Link::Disconnected(reason);
                // The reason takes the line of notices.
                self.notice = None;
            }
        }
        self.update_detail();
    }

    /// Whether the user has quit.
    pub fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// The screen that is shown.
    pub fn screen(&self) -> Screen {
        self.screen
    }

    /// The time from the current step of a replay to the next, if it plays.
    pub fn play_delay(&self) -> Option<Duration> {
        match &self.source {
            Source::Replay(replay) if replay.is_playing => replay.delay(),
            Source::Replay(_) | Source::Live(_) => None,
        }
    }

    /// Makes a step of a replay that plays. It stops at the end.
    pub fn play(&mut self) {
        self.move_replay(1);
        if let Source::Replay(replay) = &mut self.source {
            replay.is_playing &= replay.has_next();
        }
    }

    /// Replaces the data.
    pub(crate) fn set_model(&mut self, model: Model) {
        self.live = model;
    }

    /// The data of the view.
    pub(crate) fn model(&self) -> &Model {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(crate) fn worker(&self) -> Option<u64> {
        self.worker
    }

    pub(crate) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    pub(crate) fn clear_notice(&mut self) {
        self.notice = None;
    }

    pub(crate) fn view(&self) -> &View {
        &self.views[self.screen as usize]
    }

    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.views[self.screen as usize]
    }

    /// The content of the screen, filtered and sorted.
    pub(crate) fn sheet(&self) -> Sheet {
        let data = Data {
            model: self.model(),
            worker: self.worker,
            has_histograms: self.has_histograms(),
        };
        let mut sheet = self.screen.sheet(&data);
        self.view().arrange(&mut sheet);
        sheet
    }

    /// The lines of the task's page, and the first one to draw.
    pub(crate) fn detail(&self) -> Option<(Vec<String>, usize)> {
        let (detail, first) = self.detail.as_ref()?;
        let lines = task_lines(detail);
        let first = (*first).min(lines.len().saturating_sub(1));
        Some((lines, first))
    }

    pub(crate) fn shows_help(&self) -> bool {
        self.shows_help
    }

    fn update_detail(&mut self) {
        let model = self.frozen.as_ref().unwrap_or(&self.live);
        if let Some((detail, _)) = &mut self.detail {
            detail.update(model);
        }
    }

    fn has_histograms(&self) -> bool {
        let answered = match &self.source {
            Source::Live(live) => live.histograms,
            Source::Replay(_) => None,
        };
        let metrics = &self.model().metrics;
        let reported = metrics.as_ref().and_then(|metrics| metrics.recording);
        answered.or(reported).unwrap_or_else(|| {
            let mut runtimes = metrics.iter().flat_map(|metrics| &metrics.runtimes);
            runtimes.any(|runtime| {
                let mut kinds = runtime.operations.iter();
                runtime.poll_times.is_some() || kinds.any(|kind| kind.latency.is_some())
            })
        })
    }
}

/// Effects of keys.
impl App {
    pub(crate) fn quit(&mut self) {
        self.has_quit = true;
    }

    pub(crate) fn toggle_help(&mut self) {
        self.shows_help = !self.shows_help;
    }

    pub(crate) fn show(&mut self, screen: Screen) {
        self.screen = screen;
        self.detail = None;
        if let Source::Live(live) = &self.source
            && let Some(client) = &live.client
        {
            client.want_tasks(screen.needs_tasks());
        }
    }

    pub(crate) fn cycle_screen(&mut self, steps: usize) {
        let next = (self.screen as usize + steps) % Screen::ALL.len();
        self.show(Screen::ALL[next]);
    }

    pub(crate) fn move_selection(&mut self, key: Key) {
        if let Some((lines, first)) = self.detail() {
            let last = lines.len().saturating_sub(1);
            let moved = moved(key, first, 10, last);
            self.detail = self.detail.take().map(|(detail, _)| (detail, moved));
            return;
        }
        let rows = self.sheet().rows;
        self.view_mut().move_to(key, &rows);
    }

    pub(crate) fn open_task(&mut self) {
        if self.screen != Screen::Tasks {
            return;
        }
        let rows = self.sheet().rows;
        if let Some(RowKey::Task { runtime, id }) = self.view_mut().selected(&rows) {
            self.detail = Some((Detail::new(self.model(), *runtime, *id), 0));
        }
    }

    /// Leaves the task's page, or else clears the filter.
    pub(crate) fn go_back(&mut self) {
        if self.detail.take().is_none() {
            self.view_mut().filter.clear();
        }
    }

    pub(crate) fn begin_filter(&mut self) {
        if self.detail.is_none() {
            self.view_mut().is_editing = true;
        }
    }

    pub(crate) fn sort_by_next_column(&mut self) {
        let columns = self.screen.columns();
        let view = self.view_mut();
        view.sort = (view.sort + 1) % columns.len();
        view.is_descending = columns[view.sort].is_number();
    }

    pub(crate) fn reverse_order(&mut self) {
        let view = self.view_mut();
        view.is_descending = !view.is_descending;
    }

    pub(crate) fn cycle_worker(&mut self, is_forward: bool) {
        let mut choices = vec![None];
        choices.extend(self.model().runtimes().into_iter().map(Some));
        let current = choices.iter().position(|choice| *choice == self.worker);
        let count = choices.len();
        let step = if is_forward { 1 } else { count - 1 };
        self.worker = choices[(current.unwrap_or(0) + step) % count];
    }

    pub(crate) fn toggle_histograms(&mut self) {
        let is_on = !self.has_histograms();
        match &self.source {
            Source::Live(live) => {
                if let Some(client) = &live.client {
                    client.set_histograms(is_on);
                }
            }
            Source::Replay(_) => self.notice = Some("a replay has no program to change".into()),
        }
    }

    pub(crate) fn toggle_pause(&mut self) {
        match &mut self.source {
            Source::Live(_) if self.frozen.is_some() => self.frozen = None,
            Source::Live(_) => self.frozen = Some(self.live.clone()),
            Source::Replay(replay) => {
                replay.is_playing = !replay.is_playing && replay.has_next();
            }
        }
        self.update_detail();
    }

    pub(crate) fn step(&mut self, steps: isize) {
        if let Source::Replay(replay) = &mut self.source {
            replay.is_playing = false;
            self.move_replay(steps);
        }
    }

    fn move_replay(&mut self, steps: isize) {
        if let Source::Replay(replay) = &mut self.source
            && replay.step(steps)
        {
            self.load_step();
        }
    }

    fn load_step(&mut self) {
        let Source::Replay(replay) = &mut self.source else {
            return;
        };
        match replay.model() {
            Ok(model) => self.live = model,
            Err(error) => self.notice = Some(format!("the file cannot be read: {error}")),
        }
        self.update_detail();
    }

    pub(crate) fn toggle_recording(&mut self) {
        let Source::Live(live) = &mut self.source else {
            self.notice = Some("a replay is not recorded again".into());
            return;
        };
        if let Some(recorder) = live.recorder.take() {
            self.notice = Some(format!("recorded to {}", recorder.name()));
            return;
        }
        match Recorder::create_in(&live.folder, live.hello().as_ref()) {
            Ok(recorder) => self.begin_recording(recorder),
            Err(error) => self.notice = Some(format!("no recording: {error}")),
        }
    }

    fn begin_recording(&mut self, recorder: Recorder) {
        let Source::Live(live) = &mut self.source else {
            return;
        };
        live.recorder = Some(recorder);
        if let Some(hello) = live.hello.take() {
            self.notice = live.record(&hello);
            live.hello = Some(hello);
        }
    }
}

impl Live {
    /// Appends a line to the recording. Returns the error that ends it.
    fn record(&mut self, line: &[u8]) -> Option<String> {
        let error = self.recorder.as_mut()?.write(line).err()?;
        self.recorder = None;
        Some(format!(
            "the recording has ended: {}",
            escape(&error.to_string())
        ))
    }

    fn hello(&self) -> Option<Hello> {
        match Message::parse(self.hello.as_ref()?) {
            Ok(Message::Hello(hello)) => Some(hello),
            Ok(Message::Metrics(_) | Message::Tasks(_) | Message::Done | Message::Error(_))
            | Err(_) => None,
        }
    }
}
