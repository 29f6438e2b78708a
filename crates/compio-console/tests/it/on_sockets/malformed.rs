//! Peers that do not keep to the protocol: each one is a reason on the screen, and no byte of it reaches the terminal raw.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use compio_console::{
    app::App,
    client::{Client, Event},
    protocol::MAX_LINE,
};
use tempfile::TempDir;

use crate::{
    fake::{PATIENCE, Peer, socket},
    support::{keys, screen},
};

const HELLO: &[u8] = b"{\"type\":\"hello\",\"protocol\":1,\"program\":\"a\",\"process\":1}\n";

/// The first screen with a reason, of a console whose peer sends as given.
fn screen_of(closes: bool, send: impl Fn(&mut UnixStream) + Send + 'static) -> String {
    let folder = tempfile::tempdir().unwrap();
    let _peer = Peer::start(&socket(&folder), closes, send);
    first_reason(&folder)
}

fn first_reason(folder: &TempDir) -> String {
    let (sender, events) = mpsc::sync_channel(16);
    let interval = Duration::from_millis(100);
    let client = Client::start(&socket(folder), interval, move |event| {
        sender.send(event).is_ok()
    });
    let mut app = App::live(Some(client), folder.path().to_owned());
    keys(&mut app, "4");
    loop {
        let event = events.recv_timeout(PATIENCE).expect("a reason");
        let is_end = matches!(event, Event::Disconnected(_));
        app.on_event(event);
        let shown = screen(&mut app, 160, 50);
        assert!(
            !shown.replace('\n', "").contains(char::is_control),
            "{shown:?}"
        );
        if is_end {
            return shown;
        }
    }
}

/// Sends bytes. The client may close the connection before the end.
fn sends(bytes: impl Into<Vec<u8>>) -> impl Fn(&mut UnixStream) + Send + 'static {
    let bytes = bytes.into();
    move |stream| drop(stream.write_all(&bytes))
}

/// Sends bytes after the first line, and after a request has arrived.
fn answers(answer: impl Into<Vec<u8>>) -> impl Fn(&mut UnixStream) + Send + 'static {
    let answer = answer.into();
    move |stream| {
        let is_sent = stream.write_all(HELLO).is_ok();
        if is_sent && stream.read(&mut [0; 64]).is_ok() {
            let _ = stream.write_all(&answer);
        }
    }
}

#[track_caller]
fn assert_reason(screen: &str, reason: &str) {
    let reason = format!("disconnected: {reason}");
    assert!(screen.contains(&reason), "no `{reason}` in {screen}");
}

#[test]
fn garbage_is_a_reason() {
    assert_reason(
        &screen_of(true, sends("\x1b[2J\x07garbage\n")),
        "invalid line: ",
    );
    assert_reason(
        &screen_of(true, sends(b"\xff\xfe\x00\n".to_vec())),
        "invalid line: ",
    );
    assert_reason(
        &screen_of(true, answers("{\"type\":\"\\u001b[31m\"}\n")),
        "invalid line: unknown type of message `\\u{1b}[31m`",
    );
}

#[test]
fn wrong_version_is_a_reason() {
    let hello = "{\"type\":\"hello\",\"protocol\":2}\n";
    let shown = screen_of(true, sends(hello));
    assert_reason(
        &shown,
        "the program speaks version 2 of the protocol, this console version 1",
    );
}

#[test]
fn refusal_is_a_reason() {
    let line = "{\"type\":\"error\",\"message\":\"too many observers\\u001b[0m\"}\n";
    let shown = screen_of(true, sends(line));
    assert_reason(&shown, "the program refuses: too many observers\\u{1b}[0m");
    assert_reason(
        &screen_of(true, answers(line)),
        "the program refuses: too many",
    );
}

#[test]
fn half_a_line_is_a_reason() {
    let shown = screen_of(true, answers("{\"type\":\"metrics\",\"ti"));
    assert_reason(
        &shown,
        "the program closed the connection in the middle of a line",
    );
}

#[test]
fn unexpected_answer_is_a_reason() {
    let shown = screen_of(true, answers("{\"type\":\"done\"}\n"));
    assert_reason(&shown, "the answer to `metrics` has the type `done`");
    let metrics = "{\"type\":\"metrics\",\"time\":1}\n";
    assert_reason(
        &screen_of(true, sends(metrics)),
        "the first line is not `hello`",
    );
}

#[test]
fn huge_line_is_a_reason() {
    let shown = screen_of(true, answers(vec![b'['; MAX_LINE + (1 << 20)]));
    assert_reason(&shown, "a line is longer than 16 MiB");
}

#[test]
fn endless_line_is_a_reason() {
    let shown = screen_of(true, |stream| {
        let chunk = [b'x'; 1 << 16];
        while stream.write_all(&chunk).is_ok() {}
    });
    assert_reason(&shown, "a line is longer than 16 MiB");
}

#[test]
fn deep_json_is_a_reason() {
    let deep = |field: &str| {
        format!(
            "{{\"type\":\"metrics\",\"time\":1,\"{field}\":{}\n",
            "[".repeat(1_000_000)
        )
    };
    assert_reason(
        &screen_of(true, answers(deep("runtimes"))),
        "invalid line: ",
    );
    assert_reason(&screen_of(true, answers(deep("unknown"))), "invalid line: ");
}

#[test]
fn silent_peer_is_a_reason() {
    assert_reason(&screen_of(false, |_| {}), "no answer within 5 s");
}

#[test]
fn slow_peer_is_a_reason() {
    // Each byte comes in time, the line does not.
    let shown = screen_of(true, |stream| {
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_reason(&shown, "no answer within 5 s");
}

#[test]
fn control_characters_of_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let name = "\\u001b]0;t\\u0007\\n\\u009b2J\\u202e";
    let hello =
        format!("{{\"type\":\"hello\",\"protocol\":1,\"program\":\"{name}\",\"process\":1}}\n");
    let metrics = format!(
        "{{\"type\":\"metrics\",\"time\":1,\"runtimes\":[{{\"runtime\":1,\"thread\":\"{name}\"}}],\"pools\":[{{\"pool\":\"{name}\"}}]}}\n"
    );
    let lines = hello + &metrics;
    let _peer = Peer::start(&socket(&folder), true, sends(lines));
    let shown = first_reason(&folder);
    assert!(
        shown.contains("compio-console: \\u{1b}]0;t\\u{7}\\n\\u{9b}2J\\u{202e}  process 1"),
        "{shown}"
    );
}

#[test]
fn missing_socket_is_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = socket(&folder);
    let reason = first_reason(&folder);
    assert!(
        reason.contains(&format!("disconnected: {}", path.display())),
        "{reason}"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    std::fs::copy(file, &path).unwrap();
    assert!(first_reason(&folder).contains("disconnected: "));
}
