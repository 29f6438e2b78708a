//! Children on unix: signals, groups, users, the shell.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::Stdio,
    time::Duration,
};

use compio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::support::{check_code, check_kind, run};

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// The output of the script.
async fn said(script: &str) -> String {
    let output = sh(script).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A child that sleeps.
fn sleeping() -> Child {
    let mut command = Command::new("sleep");
    command.arg("300").kill_on_drop(true).spawn().unwrap()
}

#[test]
fn the_shell() {
    run(async {
        assert_eq!(said("echo $((6 * 7))").await, "42\n");
        check_code(sh("exit 3").status().await.unwrap(), 3);
        check_code(sh("exit 255").status().await.unwrap(), 255);
    });
}

#[test]
fn killed_by_a_signal() {
    run(async {
        let mut child = sleeping();
        child.kill().await.unwrap();
        let status = child.try_wait().unwrap().unwrap();
        assert_eq!(
            (status.signal(), status.code()),
            (Some(libc::SIGKILL), None)
        );

        let status = sh("kill -TERM $$").status().await.unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    });
}

#[test]
fn a_child_that_stops_has_not_ended() {
    run(async {
        let mut child = sleeping();
        let pid = child.id().unwrap() as libc::pid_t;
        // SAFETY: no pointers are passed.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        let stopped = timeout(Duration::from_millis(20), child.wait()).await;
        assert!(stopped.is_err());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().await.unwrap();
    });
}

#[test]
fn a_file_that_is_no_program() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        fs::write(&path, "#!/bin/sh\nexit 4\n").unwrap();
        check_kind(Command::new(&path).spawn(), ErrorKind::PermissionDenied);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Busy while another test's child is between fork and exec, with our descriptor of it.
        let status = loop {
            match Command::new(&path).status().await {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
                status => break status,
            }
        };
        check_code(status.unwrap(), 4);
    });
}

#[test]
fn arg0_sets_the_name() {
    run(async {
        let output = sh("echo $0").arg0("another").output().await.unwrap();
        // The shell takes `$0` from arg0 only if the script has no name.
        assert!(output.status.success());
        let mut command = Command::new("/bin/sh");
        command
            .arg0("another")
            .args(["-c", "tr '\\0' ' ' < /proc/$$/cmdline"]);
        let output = command.output().await.unwrap();
        assert!(output.stdout.starts_with(b"another "), "{output:?}");
    });
}

#[test]
fn a_child_gets_a_new_group() {
    run(async {
        let mut child = sh("ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat")
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (_, group) = stdout.read_to_end(Vec::new()).await;
        let group = String::from_utf8(group).unwrap();
        assert_eq!(group.trim(), pid.to_string());
        child.wait().await.unwrap();
    });
}

#[test]
fn another_user_and_group() {
    // SAFETY: no pointers are passed.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    run(async {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $(id -u) $(id -g)"]);
        let output = command.uid(12345).gid(23456).output().await.unwrap();
        assert_eq!(output.stdout, b"12345 23456\n");
    });
}

#[test]
fn code_before_the_program() {
    run(async {
        let mut command = sh("umask");
        let set = || {
            // SAFETY: no pointers are passed.
            unsafe { libc::umask(0o027) };
            Ok(())
        };
        // SAFETY: it makes one system call.
        unsafe { command.pre_exec(set) };
        assert_eq!(command.output().await.unwrap().stdout, b"0027\n");

        let mut command = sh("exit 0");
        // SAFETY: it does nothing.
        unsafe { command.pre_exec(|| Err(ErrorKind::AddrInUse.into())) };
        command.spawn().unwrap_err();
    });
}

#[test]
fn pipes_block_in_the_child() {
    run(async {
        let mut child = Command::new("cat")
            .args(["/proc/self/fdinfo/0", "/proc/self/fdinfo/1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let output = child.wait_with_output().await.unwrap();
        drop(stdin);
        let text = String::from_utf8(output.stdout).unwrap();
        let modes: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("flags:"))
            .map(|octal| i32::from_str_radix(octal.trim(), 8).unwrap())
            .collect();
        assert_eq!(modes.len(), 2, "{text}");
        assert!(modes.iter().all(|mode| mode & libc::O_NONBLOCK == 0));
    });
}

#[test]
fn a_converted_descriptor_blocks_and_is_the_same_pipe() {
    run(async {
        let mut child = sh("read line; echo got $line; read line; echo got $line")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // The read was just dropped, and may still be in flight.
        assert!(
            timeout(Duration::ZERO, stdout.read_exact([0; 4]))
                .await
                .is_err()
        );
        let stdin = child.stdin.take().unwrap().into_owned_fd().unwrap();
        assert!(!stdout.settle().await);
        let stdout = stdout.into_owned_fd().unwrap();
        let talk = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut text = String::new();
            std::fs::File::from(stdin).write_all(b"a\nb\n").unwrap();
            std::fs::File::from(stdout)
                .read_to_string(&mut text)
                .unwrap();
            text
        });
        assert_eq!(talk.join().unwrap(), "got a\ngot b\n");
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn output_waits_for_all_writers_of_the_pipe() {
    run(async {
        let output = sh("(sleep 0.2; echo late) & echo early")
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, b"early\nlate\n");
    });
}

#[test]
fn a_status_reaped_by_other_code_is_an_error() {
    run(async {
        let mut child = sh("exit 0").spawn().unwrap();
        let pid = child.id().unwrap() as libc::pid_t;
        let mut status = 0;
        // SAFETY: the status is written to.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(waited, pid);
        let error = child.wait().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    });
}

#[test]
fn a_child_goes_on_when_it_is_dropped() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("done");
        let script = format!(
            "read line < /dev/null; sleep 0.1; echo > {}",
            path.display()
        );
        drop(sh(&script).spawn().unwrap());
        while !path.exists() {
            sleep(Duration::from_millis(5)).await;
        }
    });
}
