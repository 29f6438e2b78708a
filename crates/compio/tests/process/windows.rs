//! Children on Windows.

use std::process::Stdio;

use compio::process::Command;

use crate::{
    child::command,
    support::{check_code, run},
};

#[test]
fn the_command_line() {
    run(async {
        let output = Command::new("cmd")
            .args(["/c", "echo hello"])
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout.trim_ascii(), b"hello");
        check_code(
            Command::new("cmd")
                .args(["/c", "exit 7"])
                .status()
                .await
                .unwrap(),
            7,
        );
    });
}

#[test]
fn a_raw_argument_is_passed_unchanged() {
    run(async {
        let mut command = Command::new("cmd");
        command.raw_arg("/c echo \"a b\"");
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout.trim_ascii(), b"\"a b\"");
    });
}

#[test]
fn flags_of_the_creation() {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    run(async {
        let mut command = command("exit 3");
        command
            .creation_flags(CREATE_NEW_PROCESS_GROUP)
            .stdout(Stdio::null());
        check_code(command.status().await.unwrap(), 3);
    });
}

#[test]
fn the_handle_lasts_until_the_wait() {
    run(async {
        let mut child = command("exit 0").stdout(Stdio::piped()).spawn().unwrap();
        assert!(child.raw_handle().is_some());
        let stdout = child.stdout.take().unwrap();
        child.wait().await.unwrap();
        assert!(child.raw_handle().is_none());
        drop(stdout.into_owned_handle().unwrap());
    });
}
