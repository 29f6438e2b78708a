//! Each screen against a text file. `UPDATE_SCREENS=1` writes the files anew.

use std::{env, fs, path::PathBuf};

use compio_console::{app::App, client::Event, keys::Key, protocol::Message};

use crate::support::{LINES, app, feed, keys, screen};

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

fn compare(app: &mut App, name: &str) {
    for (width, height) in SIZES {
        let found = screen(app, width, height);
        assert!(!found.replace('\n', "").contains(char::is_control));
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = path.join(format!("tests/screens/{name}-{width}x{height}.txt"));
        if env::var_os("UPDATE_SCREENS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let expected = expected.replace("\r\n", "\n");
        assert!(
            found == expected,
            "{} differs. Found:\n{found}",
            path.display()
        );
    }
}

#[test]
fn workers_match_their_file() {
    compare(&mut app(), "workers");
}

#[test]
fn readme_has_the_screen_of_workers() {
    let readme = include_str!("../../README.md").replace("\r\n", "\n");
    let shown = screen(&mut app(), 80, 24);
    let mut lines: Vec<_> = shown.lines().collect();
    // The page has one of several empty lines.
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    assert!(readme.contains(&lines.join("\n")), "{shown}");
}

#[test]
fn operations_match_their_file() {
    let mut app = app();
    keys(&mut app, "2");
    compare(&mut app, "operations");
    keys(&mut app, "ww");
    compare(&mut app, "operations-of-one-worker");
}

#[test]
fn operations_in_flight_match_their_file() {
    let mut app = app();
    keys(&mut app, "3");
    compare(&mut app, "in-flight");
}

#[test]
fn tasks_match_their_file() {
    let mut app = app();
    keys(&mut app, "4");
    compare(&mut app, "tasks");
}

#[test]
fn page_of_a_task_matches_its_file() {
    let mut app = app();
    keys(&mut app, "4/echo");
    app.on_key(Key::Enter);
    app.on_key(Key::Enter);
    compare(&mut app, "task");
    let tasks =
        r#"{"type":"tasks","time":15,"runtimes":[{"runtime":1,"state":"answered","tasks":[]}]}"#;
    feed(&mut app, tasks);
    compare(&mut app, "task-ended");
}

#[test]
fn connections_match_their_file() {
    let mut app = app();
    keys(&mut app, "5");
    compare(&mut app, "connections");
}

#[test]
fn help_matches_its_file() {
    let mut app = app();
    keys(&mut app, "?");
    compare(&mut app, "help");
}

#[test]
fn console_without_data_matches_its_file() {
    let mut app = App::live(None, PathBuf::new());
    compare(&mut app, "connecting");
}

#[test]
fn lost_connection_keeps_the_data_and_matches_its_file() {
    let mut app = app();
    let reason = "the program closed the connection".to_owned();
    app.on_event(Event::Disconnected(reason));
    compare(&mut app, "disconnected");
    // Another process takes the place.
    feed(
        &mut app,
        &LINES.lines().next().unwrap().replace("4711", "4712"),
    );
    let shown = screen(&mut app, 80, 24);
    assert!(
        shown.contains("process 4712") && shown.contains("connected |"),
        "{shown}"
    );
    assert!(!shown.contains("worker 1"), "{shown}");
}

#[test]
fn tiny_terminal_has_no_panic() {
    for screen_key in ["1", "2", "3", "4", "5", "?"] {
        let mut app = app();
        keys(&mut app, screen_key);
        for (width, height) in [(1, 1), (2, 3), (10, 4), (20, 5), (3, 60), (300, 2)] {
            screen(&mut app, width, height);
        }
    }
}

#[test]
fn nonsense_numbers_have_no_panic() {
    let max = u64::MAX;
    let lines = [
        format!(r#"{{"type":"hello","protocol":1,"process":{max}}}"#),
        r#"{"type":"metrics","time":-1e308}"#.into(),
        format!(
            r#"{{"type":"metrics","time":1e308,"runtimes":[
                {{"runtime":{max},"cpu":-5,"since_turn":-1e300,"polls":{max},
                  "operations":[{{"kind":"a","completed":{max},"latency":{{"buckets":[[{max},{max}],[0,{max}]]}}}},
                                {{"kind":"a","completed":{max},"bytes":{max}}}],
                  "poll_times":{{"buckets":[[1,1],[1,1]]}}}},
                {{"runtime":{max}}}]}}"#
        ),
        r#"{"type":"metrics","time":0}"#.into(),
        format!(
            r#"{{"type":"tasks","time":1,"runtimes":[
                {{"runtime":1,"state":"?"}}, {{"runtime":1,"state":"busy"}},
                {{"runtime":1,"state":"answered","omitted":{max},"tasks":[
                    {{"id":{max},"age":-1e308,"polls":{max},"since_poll":1e308,
                      "waits":[{{}},{{"timer":{{"left":-1}}}},{{"operation":"x","object":"unix datagram "}}]}},
                    {{"id":{max}}}]}}]}}"#
        ),
    ];
    let mut app = App::live(None, PathBuf::new());
    for line in &lines {
        // The test's lines have line breaks.
        feed(&mut app, line);
        for key in "12345hwWsS".chars() {
            app.on_key(Key::Char(key));
            screen(&mut app, 80, 24);
        }
        keys(&mut app, "4");
        app.on_key(Key::End);
        app.on_key(Key::Enter);
        screen(&mut app, 80, 24);
    }
}

#[test]
fn many_tasks_are_shown_in_a_bounded_time() {
    // Quadratic work on 100,000 rows would not end.
    let task = |id: u64| {
        format!(
            r#"{{"id":{id},"since_poll":{id},"waits":[{{"operation":"k{id}","descriptor":"fd 1","object":"tcp a"}}]}}"#
        )
    };
    let tasks: Vec<_> = (0..100_000).map(task).collect();
    let tasks = tasks.join(",");
    let line = format!(
        r#"{{"type":"tasks","time":1,"runtimes":[{{"runtime":1,"state":"answered","tasks":[{tasks}]}}]}}"#
    );
    let mut app = App::live(None, PathBuf::new());
    let message = Message::parse(line.as_bytes()).unwrap();
    app.on_event(Event::Line {
        line: line.into_bytes(),
        message,
    });
    for key in "345".chars() {
        app.on_key(Key::Char(key));
        app.on_key(Key::End);
        screen(&mut app, 80, 24);
    }
    keys(&mut app, "4");
    app.on_key(Key::Home);
    assert!(screen(&mut app, 80, 24).contains("99999"));
}
