//! The connection to a program: requests, histograms, and the way back after its end.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use compio_console::{
    app::App,
    client::{Client, Event},
    keys::Key,
    protocol::Message,
};

use crate::{
    fake::{PATIENCE, Program, socket},
    support::{keys, screen},
};

/// A console with a client, whose events the test passes on.
struct Console {
    app: App,
    events: mpsc::Receiver<Event>,
}

impl Console {
    fn start(folder: &tempfile::TempDir) -> Self {
        let (sender, events) = mpsc::sync_channel(16);
        let interval = Duration::from_millis(100);
        let client = Client::start(&socket(folder), interval, move |event| {
            sender.send(event).is_ok()
        });
        Self {
            app: App::live(Some(client), folder.path().to_owned()),
            events,
        }
    }

    /// Passes on events until the screen has the text.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shows(text) {
            let shown = screen(&mut self.app, 160, 50);
            assert!(Instant::now() < deadline, "no {text} in {shown}");
            let event = self.events.recv_timeout(PATIENCE).expect("an event");
            self.app.on_event(event);
        }
    }

    fn shows(&mut self, text: &str) -> bool {
        screen(&mut self.app, 160, 50).contains(text)
    }
}

#[test]
fn metrics_of_a_program_reach_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let _program = Program::start(&folder, 4711);
    let mut console = Console::start(&folder);
    console.wait_for("process 4711");
    console.wait_for("212k");
}

#[test]
fn tasks_are_requested_on_screens_that_need_them() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let mut console = Console::start(&folder);
    for _ in 0..3 {
        program.wait_for_request("metrics");
        console
            .app
            .on_event(console.events.recv_timeout(PATIENCE).unwrap());
    }
    assert!(!program.requests().contains(&"tasks".to_owned()));
    keys(&mut console.app, "4");
    console.wait_for("echo");
    keys(&mut console.app, "1");
    // The next request may be on its way. Three intervals have none.
    for _ in 0..4 {
        console.wait_for_metrics();
    }
    program.requests();
    for _ in 0..3 {
        console.wait_for_metrics();
    }
    assert!(!program.requests().contains(&"tasks".to_owned()));
}

impl Console {
    fn wait_for_metrics(&mut self) {
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap();
            let is_metrics = matches!(
                &event,
                Event::Line {
                    message: Message::Metrics(_),
                    ..
                }
            );
            self.app.on_event(event);
            if is_metrics {
                return;
            }
        }
    }
}

#[test]
fn h_starts_and_stops_histograms_in_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let mut console = Console::start(&folder);
    keys(&mut console.app, "2");
    console.wait_for("100 polls");
    keys(&mut console.app, "h");
    console.wait_for("records no latencies");
    program.wait_for_request("histograms off");
    keys(&mut console.app, "h");
    console.wait_for("100 polls");
    program.wait_for_request("histograms on");
}

#[test]
fn console_connects_again_to_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let mut console = Console::start(&folder);
    keys(&mut console.app, "4");
    console.wait_for("echo");
    console.app.on_key(Key::Down);
    console.app.on_key(Key::Enter);
    console.wait_for("Task 1 of worker 1");
    drop(program);
    console.wait_for("disconnected: the program closed the connection");
    // The last data are there.
    assert!(console.shows("process 4711") && console.shows("recv fd 12"));
    console.wait_for("console.sock: ");
    let _program = Program::start(&folder, 4712);
    console.wait_for("process 4712");
    console.wait_for("ended with its process");
    assert!(console.shows("connected |") && console.shows("recv fd 12"));
    // Tasks are still wanted.
    console.app.on_key(Key::Esc);
    console.wait_for("resolver");
}

#[test]
fn program_that_starts_later_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Console::start(&folder);
    console.wait_for("disconnected: ");
    let _program = Program::start(&folder, 4711);
    console.wait_for("process 4711");
}

#[test]
fn dropped_console_closes_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let mut console = Console::start(&folder);
    console.wait_for("process 4711");
    drop(console);
    program.wait_for_disconnect();
}
