//! The program without a terminal.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use crate::{
    fake::{Peer, Program, socket},
    support::LINES,
};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compio-console"));
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn assert_failure(arguments: &[&str], code: i32, message: &str) {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(
        error.starts_with("compio-console: ") && error.contains(message),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn help_and_version_are_printed() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("usage: compio-console SOCKET")
    );
    let version = run(&["--version"]);
    let expected = format!("compio-console {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}

#[test]
fn wrong_arguments_exit_with_2() {
    assert_failure(&[], 2, "SOCKET is missing");
    assert_failure(&["a", "--fast"], 2, "unknown option --fast");
}

#[test]
fn missing_terminal_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let _program = Program::start(&folder, 4711);
    let path = socket(&folder);
    assert_failure(&[path.to_str().unwrap()], 1, "no terminal; --once prints");
}

#[test]
fn once_prints_the_rates_of_an_interval() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let path = socket(&folder);
    let output = run(&[path.to_str().unwrap(), "--once", "--interval", "100ms"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "keyvalue  process 4711",
        "worker 1",
        "212k",
        "p99.9",
        "recv",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains('\x1b'));
    assert_eq!(program.requests(), ["metrics", "metrics"]);
}

#[test]
fn once_without_a_program_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = socket(&folder);
    let path = path.to_str().unwrap();
    assert_failure(&[path, "--once"], 1, "No such file");
    let _peer = Peer::start(&socket(&folder), true, |_| {});
    assert_failure(&[path, "--once"], 1, "the program closed the connection");
}

#[test]
fn once_prints_the_end_of_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, format!("{LINES}{{\"ty")).unwrap();
    let path = path.to_str().unwrap();
    let output = run(&["--replay", path, "--once"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("worker 1 polls task 7"), "{text}");
    assert!(
        text.contains("212k") && text.ends_with("\nthe last line is incomplete\n"),
        "{text}"
    );
    fs::write(path, "\x1b[2J").unwrap();
    assert_failure(&["--replay", path, "--once"], 1, "is no recording");
    assert_failure(&["--replay", path], 1, "is no recording");
}
