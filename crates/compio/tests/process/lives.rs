//! The life cycle of children: start, exit, wait, kill, drop.

use std::{io::ErrorKind, pin::pin, process::Stdio, time::Duration};

use compio::{
    process::{Child, Command},
    runtime::Runtime,
    task::{spawn, yield_now},
    time::timeout,
};

use crate::{
    child::command,
    support::{begin, both, check_code, check_kind, run},
};

/// A child that runs until it is killed.
fn staying() -> Child {
    command("stay")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[test]
fn exit_codes() {
    run(async {
        for code in [0, 1, 3, 77] {
            let mut child = command(&format!("exit {code}"))
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            check_code(child.wait().await.unwrap(), code);
        }
    });
}

#[test]
fn a_missing_program_is_an_error() {
    let nowhere = "/nowhere/at/all";
    run(async {
        check_kind(Command::new(nowhere).spawn(), ErrorKind::NotFound);
        check_kind(Command::new(nowhere).status().await, ErrorKind::NotFound);
        check_kind(Command::new(nowhere).output().await, ErrorKind::NotFound);
    });
}

#[test]
fn a_missing_directory_is_an_error() {
    run(async {
        let mut command = command("exit 0");
        // The kind of the error differs between systems.
        command.current_dir("/nowhere/at/all").spawn().unwrap_err();
    });
}

#[test]
fn waiting_again_returns_the_same_status() {
    run(async {
        let mut child = command("exit 5").stdout(Stdio::null()).spawn().unwrap();
        assert!(child.id().is_some());
        check_code(child.wait().await.unwrap(), 5);
        assert_eq!(child.id(), None);
        check_code(child.wait().await.unwrap(), 5);
        check_code(child.try_wait().unwrap().unwrap(), 5);
        // Killing an ended child is no error.
        child.start_kill().unwrap();
        child.kill().await.unwrap();
    });
}

#[test]
fn try_wait_does_not_wait() {
    run(async {
        let mut child = staying();
        assert!(child.try_wait().unwrap().is_none());
        child.start_kill().unwrap();
        assert!(!child.wait().await.unwrap().success());
        assert!(child.try_wait().unwrap().is_some());
    });
}

#[test]
fn killing() {
    run(async {
        let mut child = staying();
        child.kill().await.unwrap();
        assert_eq!(child.id(), None);
        assert!(!child.try_wait().unwrap().unwrap().success());
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    run(async {
        let mut child = staying();
        for _ in 0..100 {
            begin(pin!(child.wait())).await;
            yield_now().await;
        }
        assert!(timeout(Duration::ZERO, child.wait()).await.is_err());
        child.start_kill().unwrap();
        assert!(!child.wait().await.unwrap().success());
    });
}

#[test]
fn a_wait_that_completed_and_was_not_polled_again() {
    run(async {
        let mut child = command("exit 4").stdout(Stdio::null()).spawn().unwrap();
        {
            let mut wait = pin!(child.wait());
            // The wait is pending, unless the child has ended already.
            let _ = timeout(Duration::ZERO, wait.as_mut()).await;
            compio::time::sleep(Duration::from_millis(20)).await;
        }
        check_code(child.wait().await.unwrap(), 4);
    });
}

#[test]
fn a_dropped_kill_has_killed() {
    run(async {
        let mut child = staying();
        // The child may have ended when the wait begins.
        let _ = timeout(Duration::ZERO, child.kill()).await;
        assert!(!child.wait().await.unwrap().success());
    });
}

#[test]
fn two_tasks_wait_for_two_children() {
    run(async {
        let wait = |code: i32| async move {
            let mut command = command(&format!("exit {code}"));
            command.stdout(Stdio::null()).status().await.unwrap()
        };
        let (one, other) = both(wait(1), wait(2)).await;
        check_code(one, 1);
        check_code(other, 2);
    });
}

#[test]
fn a_hundred_children_at_once() {
    run(async {
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let mut child = command(&format!("exit {number}"))
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                spawn(async move { child.wait().await.unwrap() })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            check_code(task.await.unwrap(), number as i32);
        }
    });
}

#[test]
fn status_and_output_run_before_they_are_polled() {
    run(async {
        let status = command("exit 6").stdout(Stdio::null()).status();
        let output = command("exit 7").output();
        check_code(output.await.unwrap().status, 7);
        check_code(status.await.unwrap(), 6);
    });
}

#[test]
fn a_command_starts_several() {
    run(async {
        let mut command = command("exit 8");
        check_code(command.output().await.unwrap().status, 8);
        let mut one = command.stdout(Stdio::null()).spawn().unwrap();
        let mut other = command.spawn().unwrap();
        assert_ne!(one.id(), other.id());
        check_code(one.wait().await.unwrap(), 8);
        check_code(other.wait().await.unwrap(), 8);
    });
}

#[test]
fn a_child_outlives_the_runtime_it_was_made_in() {
    let runtime = Runtime::new().unwrap();
    let mut child = runtime.block_on(async {
        let mut child = staying();
        begin(pin!(child.wait())).await;
        child
    });
    drop(runtime);
    run(async {
        begin(pin!(child.wait())).await;
        child.kill().await.unwrap();
    });
}

#[test]
fn a_runtime_that_ends_before_its_children() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            let mut child = staying();
            drop(spawn(async move { child.wait().await }));
            drop(spawn(staying().wait_with_output()));
        }
        yield_now().await;
    });
    drop(runtime);
}

#[test]
fn a_child_is_started_by_a_custom_spawn() {
    run(async {
        let mut command = command("exit 9");
        let mut child = command
            .stdout(Stdio::null())
            .spawn_with(|std| std.arg("-q").spawn())
            .unwrap();
        check_code(child.wait().await.unwrap(), 9);
        check_kind(
            command.spawn_with(|_| Err(ErrorKind::Other.into())),
            ErrorKind::Other,
        );
    });
}

#[test]
fn a_command_reports_its_settings() {
    let mut command = command("exit 0");
    assert!(!command.get_kill_on_drop());
    assert!(command.kill_on_drop(true).get_kill_on_drop());
    assert_eq!(command.as_std().get_args().count(), 3);
    command.as_std_mut().arg("one more");
    let std = command.into_std();
    assert_eq!(std.get_args().count(), 4);
    let command = Command::from(std);
    assert_eq!(command.as_std().get_args().count(), 4);
    assert!(!command.get_kill_on_drop());
}
