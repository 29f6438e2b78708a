//! The streams, environment and directory of a child.

use std::{
    fs::{self, File},
    future::{Future, poll_fn},
    io::ErrorKind,
    process::Stdio,
    task::Poll,
};

use compio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use crate::{
    child::{command, written},
    support::run,
};

/// The output of the command's child.
async fn said(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(written(&output.stdout).to_vec()).unwrap()
}

#[test]
fn output_takes_both() {
    run(async {
        let output = command("say this").output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(written(&output.stdout), b"this");
        assert_eq!(output.stderr, b"not this");
    });
}

/// Its unread bytes would be missing in the next child's input.
#[test]
fn s34_pipe_with_bytes_of_dropped_read_is_not_lent_to_child() {
    run(async {
        let mut child = command("say this").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut read = Box::pin(stdout.read(Vec::with_capacity(2)));
        let is_ready = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_ready())).await;
        child.wait().await.unwrap();
        drop(read);
        if is_ready {
            // The child wrote before the first poll: no bytes are kept.
            return;
        }
        let error = Stdio::try_from(stdout).expect_err("bytes would be lost");
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    });
}

#[test]
fn output_has_no_input() {
    run(async {
        assert_eq!(said(&mut command("input-length")).await, "0");
    });
}

#[test]
fn output_leaves_chosen_streams_alone() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (input, messages) = (dir.path().join("input"), dir.path().join("messages"));
        fs::write(&input, [1; 1000]).unwrap();
        let mut command = command("input-length");
        command.stdin(File::open(&input).unwrap());
        assert_eq!(said(&mut command).await, "1000");

        let mut command = crate::child::command("say that");
        command.stderr(File::create(&messages).unwrap());
        let output = command.output().await.unwrap();
        assert!(output.stderr.is_empty());
        assert_eq!(fs::read(&messages).unwrap(), b"not that");
    });
}

#[test]
fn pipes_are_there_only_where_they_were_chosen() {
    run(async {
        let mut child = command("say this")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(child.stdin.is_none() && child.stderr.is_none());
        let mut stdout = child.stdout.take().unwrap();
        let (read, text) = stdout.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), text.len());
        assert_eq!(written(&text), b"this");
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success());
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    });
}

#[test]
fn a_command_of_stds() {
    run(async {
        let std = command("say this").into_std();
        let output = Command::from(std).output().await.unwrap();
        assert_eq!(written(&output.stdout), b"this");
        assert_eq!(output.stderr, b"not this");
    });
}

#[test]
fn status_closes_pipes() {
    run(async {
        let mut command = command("input-length");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // With an open input the child would not end.
        assert!(command.status().await.unwrap().success());
    });
}

#[test]
fn environment() {
    run(async {
        let mut command = command("variable COMPIO_COLOUR");
        assert_eq!(said(&mut command).await, "none");
        command.env("COMPIO_COLOUR", "red");
        assert_eq!(said(&mut command).await, "red");
        command.envs([("COMPIO_COLOUR", "blue"), ("COMPIO_OTHER", "1")]);
        assert_eq!(said(&mut command).await, "blue");
        command.env_remove("COMPIO_COLOUR");
        assert_eq!(said(&mut command).await, "none");
        command.env_clear();
        assert_eq!(command.as_std().get_envs().count(), 0);
    });
}

#[test]
fn directory() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command("directory");
        command.current_dir(dir.path());
        let there = said(&mut command).await;
        assert_eq!(
            fs::canonicalize(there).unwrap(),
            fs::canonicalize(dir.path()).unwrap()
        );
    });
}
