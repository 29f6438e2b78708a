//! Keys: order, filter, selection, pause, the page of a task, recording and replay.

use std::fs;

use compio_console::{app::App, client::Event, keys::Key, replay::Replay, screens::Screen};

use crate::support::{LINES, app, app_in, feed, keys, screen, selected};

/// The metrics of [`LINES`] at another time, with one more poll of worker 1.
fn later_metrics(time: &str) -> String {
    let line = LINES.lines().nth(2).unwrap();
    line.replace(r#""time":13.5"#, &format!(r#""time":{time}"#))
}

fn tasks() -> &'static str {
    LINES.lines().nth(3).unwrap()
}

fn shows(app: &mut App, text: &str) -> bool {
    screen(app, 160, 50).contains(text)
}

#[test]
fn digits_and_tab_select_screens() {
    let mut app = app();
    for (key, screen) in ('1'..).zip(Screen::ALL) {
        app.on_key(Key::Char(key));
        assert_eq!(app.screen(), screen);
    }
    app.on_key(Key::Tab);
    assert_eq!(app.screen(), Screen::Workers);
    app.on_key(Key::BackTab);
    assert_eq!(app.screen(), Screen::Connections);
}

#[test]
fn s_sorts_by_the_next_column_and_capital_s_reverses() {
    let mut app = app();
    assert!(shows(&mut app, "sort: worker up"));
    assert!(selected(&mut app).starts_with("1 main"));
    keys(&mut app, "ss");
    assert!(shows(&mut app, "sort: CPU% down"));
    assert!(selected(&mut app).starts_with("2 worker 1"));
    keys(&mut app, "S");
    assert!(shows(&mut app, "sort: CPU% up"));
    // An unknown value is the lowest.
    assert!(selected(&mut app).starts_with("3 -"));
    // The order belongs to its screen.
    keys(&mut app, "2");
    assert!(shows(&mut app, "sort: ops/s down"));
}

#[test]
fn filter_keeps_rows_with_the_text_until_escape() {
    let mut app = app();
    keys(&mut app, "4/MAIN.rs:20q");
    assert!(shows(&mut app, "filter: MAIN.rs:20q_"));
    assert!(shows(&mut app, "No row contains"));
    app.on_key(Key::Backspace);
    assert!(shows(&mut app, "echo") && !shows(&mut app, "resolver"));
    app.on_key(Key::Enter);
    assert!(shows(&mut app, "filter: MAIN.rs:20\n"));
    assert!(!app.has_quit());
    app.on_key(Key::Esc);
    assert!(!shows(&mut app, "filter: ") && shows(&mut app, "resolver"));
    // Escape while the text is typed.
    keys(&mut app, "/echo");
    app.on_key(Key::Esc);
    assert!(!shows(&mut app, "filter: ") && shows(&mut app, "resolver"));
}

#[test]
fn selection_moves_and_stays_on_its_task() {
    let mut app = app();
    keys(&mut app, "4");
    assert!(selected(&mut app).starts_with("2 1m01s"));
    app.on_key(Key::Down);
    assert!(selected(&mut app).starts_with("1 3.2s"));
    // The task has waited longest now.
    let line = tasks().replacen(r#""since_poll":3.2"#, r#""since_poll":99"#, 1);
    feed(&mut app, &line);
    assert!(selected(&mut app).starts_with("1 1m39s"));
    app.on_key(Key::Down);
    assert!(selected(&mut app).starts_with("2 1m01s"));
    app.on_key(Key::End);
    let last = selected(&mut app);
    app.on_key(Key::PageDown);
    assert_eq!(selected(&mut app), last);
    app.on_key(Key::Home);
    assert!(selected(&mut app).starts_with("1 1m39s"));
}

#[test]
fn w_selects_each_worker_then_all() {
    let mut app = app();
    assert!(shows(&mut app, "all workers"));
    for worker in 1..=3 {
        keys(&mut app, "w");
        assert!(shows(&mut app, &format!("| worker {worker} |")));
        assert!(selected(&mut app).starts_with(&worker.to_string()));
    }
    keys(&mut app, "w");
    assert!(shows(&mut app, "all workers"));
    keys(&mut app, "W");
    assert!(shows(&mut app, "| worker 3 |"));
    keys(&mut app, "3");
    assert!(shows(&mut app, "No operation in flight."));
}

#[test]
fn space_stops_the_view_and_continues() {
    let mut app = app();
    keys(&mut app, " ");
    feed(&mut app, &later_metrics("99"));
    assert!(shows(&mut app, "PAUSED") && shows(&mut app, "time 13.5s"));
    keys(&mut app, " ");
    assert!(!shows(&mut app, "PAUSED") && shows(&mut app, "time 1m39s"));
}

#[test]
fn page_of_a_task_stays_on_it_and_says_when_it_has_ended() {
    let mut app = app();
    keys(&mut app, "4");
    app.on_key(Key::Down);
    app.on_key(Key::Enter);
    assert!(shows(&mut app, "Task 1 of worker 1") && shows(&mut app, "since poll  3.2s"));
    feed(
        &mut app,
        &tasks().replacen(r#""since_poll":3.2"#, r#""since_poll":99"#, 1),
    );
    assert!(shows(&mut app, "since poll  1m39s"));
    // Other tasks are left out of the answer: it may be among them.
    let absent = tasks().replacen(r#"{"id":1,"#, r#"{"id":100,"#, 1);
    feed(&mut app, &absent);
    assert!(shows(
        &mut app,
        "No news of the task: the program has left out some tasks"
    ));
    feed(
        &mut app,
        &absent.replacen(r#""omitted":2"#, r#""omitted":0"#, 1),
    );
    assert!(shows(&mut app, "The task has ended.") && shows(&mut app, "since poll  1m39s"));
    let busy = r#"{"type":"tasks","time":20,"runtimes":[{"runtime":1,"state":"busy"}]}"#;
    feed(&mut app, busy);
    assert!(shows(&mut app, "the worker does not answer"));
    feed(
        &mut app,
        &LINES.lines().next().unwrap().replace("4711", "4712"),
    );
    feed(&mut app, tasks());
    assert!(shows(&mut app, "ended with its process"));
    app.on_key(Key::Esc);
    assert!(shows(&mut app, "since poll") && !shows(&mut app, "Task 1 of worker 1"));
}

#[test]
fn histograms_of_the_program_are_announced() {
    let mut app = app();
    keys(&mut app, "2");
    assert!(shows(&mut app, "100 polls: p50 511ns"));
    app.on_event(Event::Histograms(false));
    assert!(shows(&mut app, "records no latencies"));
    app.on_event(Event::Histograms(true));
    assert!(!shows(&mut app, "records no latencies"));
}

#[test]
fn question_mark_shows_and_hides_the_help() {
    let mut app = app();
    keys(&mut app, "?");
    assert!(shows(&mut app, "sorts by the next column"));
    keys(&mut app, "2s");
    assert_eq!(app.screen(), Screen::Workers);
    app.on_key(Key::Esc);
    assert!(!shows(&mut app, "sorts by the next column"));
    keys(&mut app, "?q");
    assert!(app.has_quit());
}

#[test]
fn r_records_the_lines_as_received() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = app_in(folder.path());
    keys(&mut app, "r");
    let name = "console-keyvalue-4711-1.jsonl";
    assert!(shows(&mut app, &format!("recording {name}")) && shows(&mut app, "| REC |"));
    // Spaces are kept.
    let line = later_metrics("14").replacen(':', ": ", 1);
    feed(&mut app, &line);
    // A stopped view is recorded.
    keys(&mut app, " ");
    feed(&mut app, tasks());
    keys(&mut app, "r");
    assert!(shows(&mut app, &format!("recorded to {name}")) && !shows(&mut app, "REC"));
    feed(&mut app, &later_metrics("15"));
    let hello = LINES.lines().next().unwrap();
    let content = fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(content, format!("{hello}\n{line}\n{}\n", tasks()));
    keys(&mut app, "r");
    assert!(shows(&mut app, "recording console-keyvalue-4711-2.jsonl"));
}

#[test]
fn recording_without_a_folder_is_an_error_on_the_screen() {
    let mut app = app();
    keys(&mut app, "r");
    assert!(shows(&mut app, "no recording: /nonexistent"));
    keys(&mut app, "s");
    assert!(!shows(&mut app, "no recording"));
}

#[test]
fn replay_steps_plays_and_stops_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let content = format!(
        "{LINES}garbage\n{}\n{{\"type\":\"met",
        later_metrics("14.5")
    );
    fs::write(&path, content).unwrap();
    let mut app = App::replay(Replay::open(&path).unwrap());
    assert!(shows(&mut app, "replay 1 of 3, at 12.5s, stopped"));
    assert!(shows(
        &mut app,
        "damaged lines, skipped: 1 (the first is line 5: "
    ));
    assert!(shows(&mut app, "the last line is incomplete"));
    app.on_key(Key::Right);
    assert!(shows(&mut app, "replay 2 of 3, at 13.5s, stopped"));
    let mut live = crate::support::app();
    let rows = |app: &mut App| {
        screen(app, 160, 48)
            .lines()
            .take(46)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for key in "12345".chars() {
        app.on_key(Key::Char(key));
        live.on_key(Key::Char(key));
        assert_eq!(rows(&mut app), rows(&mut live));
    }
    app.on_key(Key::Left);
    app.on_key(Key::Left);
    assert!(shows(&mut app, "replay 1 of 3"));
    assert_eq!(app.play_delay(), None);
    keys(&mut app, " ");
    assert!(shows(&mut app, "plays"));
    assert_eq!(app.play_delay().unwrap().as_secs(), 1);
    app.play();
    app.play();
    assert!(shows(&mut app, "replay 3 of 3, at 14.5s, stopped"));
    assert_eq!(app.play_delay(), None);
    keys(&mut app, "r");
    assert!(shows(&mut app, "a replay is not recorded again"));
}

#[test]
fn control_c_quits_while_a_filter_is_typed() {
    let mut app = app();
    keys(&mut app, "/q");
    assert!(!app.has_quit());
    app.on_key(Key::Interrupt);
    assert!(app.has_quit());
}
