//! Communication with a child over its pipes.

use std::{io::ErrorKind, pin::pin, process::Stdio, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    process::Child,
    task::spawn,
    time::timeout,
};

use crate::{
    child::{FLOOD_LEN, command, written},
    support::{begin, both, check_kind, run},
};

/// A child that echoes its input.
fn cat() -> Child {
    command("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Bytes that identify their position, without the mark.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 249) as u8 + 3).collect()
}

#[test]
fn a_line_is_echoed() {
    run(async {
        let mut child = cat();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all("hello").await.0.unwrap();
        stdin.flush().await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(written(&output.stdout), b"hello");
    });
}

#[test]
fn data_larger_than_a_pipe_is_echoed() {
    run(async {
        let mut child = cat();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let sent = pattern(2 << 20);
        let writing = async {
            let (result, sent) = stdin.write_all(sent).await;
            result.unwrap();
            stdin.shutdown().await.unwrap();
            check_kind(stdin.write("x").await.0, ErrorKind::BrokenPipe);
            sent
        };
        let (sent, (read, received)) = both(writing, stdout.read_to_end(Vec::new())).await;
        assert_eq!(read.unwrap(), received.len());
        assert!(written(&received) == sent);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn several_buffers_at_once() {
    run(async {
        let mut child = cat();
        let mut stdin = child.stdin.take().unwrap();
        let buffers = [b"one ".to_vec(), b"two ".to_vec(), b"three".to_vec()];
        let all = buffers.concat();
        let (sent, _) = stdin.write_vectored(buffers).await;
        let sent = sent.unwrap();
        // Windows takes one at a time.
        assert!(sent >= 4, "{sent}");
        stdin.write_all(all[sent..].to_vec()).await.0.unwrap();
        drop(stdin);
        let mut stdout = child.stdout.take().unwrap();
        let mut all = Vec::new();
        loop {
            let rooms = [Vec::with_capacity(3), Vec::with_capacity(1000)];
            let (read, rooms) = stdout.read_vectored(rooms).await;
            if read.unwrap() == 0 {
                break;
            }
            all.extend(rooms.concat());
        }
        assert_eq!(written(&all), b"one two three");
    });
}

#[test]
fn floods_on_both_streams_do_not_block_each_other() {
    run(async {
        let output = command("flood").output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(written(&output.stdout).len(), FLOOD_LEN);
        assert_eq!(output.stderr.len(), FLOOD_LEN);
    });
}

#[test]
fn waiting_closes_the_input() {
    run(async {
        let mut child = cat();
        assert!(child.wait().await.unwrap().success());
        assert!(child.stdin.is_none());
    });
}

#[test]
fn asking_leaves_the_input_open() {
    run(async {
        let mut child = cat();
        assert!(child.try_wait().unwrap().is_none());
        assert!(child.stdin.is_some());
    });
}

#[test]
fn nothing_to_write_and_no_room_to_read() {
    run(async {
        let mut child = cat();
        let stdin = child.stdin.as_mut().unwrap();
        assert_eq!(stdin.write(Vec::new()).await.0.unwrap(), 0);
        let stdout = child.stdout.as_mut().unwrap();
        assert_eq!(stdout.read([0; 0]).await.0.unwrap(), 0);
        drop(child.stdin.take());
        let output = child.wait_with_output().await.unwrap();
        assert!(written(&output.stdout).is_empty());
    });
}

#[test]
fn eof_stays_eof() {
    run(async {
        let mut child = cat();
        drop(child.stdin.take());
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_end(Vec::new()).await.0.unwrap();
        for _ in 0..3 {
            assert_eq!(stdout.read([0; 8]).await.0.unwrap(), 0);
        }
    });
}

#[test]
fn a_child_that_does_not_read() {
    run(async {
        let mut child = command("exit 0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        child.wait().await.unwrap();
        // The child of another test has the reading end from its fork until its exec. If the pipe is full, a write
        // waits for that.
        loop {
            let (result, buffer) = stdin.write_all(pattern(100)).await;
            assert_eq!(buffer, pattern(100));
            if result.is_err() {
                return check_kind(result, ErrorKind::BrokenPipe);
            }
        }
    });
}

#[test]
fn a_dropped_read_takes_nothing() {
    run(async {
        let mut child = cat();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // The output of the test harness, up to the mark.
        let mut byte = [0];
        while byte != [1] {
            (_, byte) = stdout.read(byte).await;
        }
        for _ in 0..50 {
            assert!(timeout(Duration::ZERO, stdout.read([0; 8])).await.is_err());
        }
        stdin.write_all("hello").await.0.unwrap();
        let (result, buffer) = stdout.read_exact([0; 5]).await;
        result.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn a_dropped_write_lets_the_pipe_close() {
    run(async {
        let mut child = command("stay")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        begin(pin!(stdin.write_all(pattern(4 << 20)))).await;
        drop(stdin);
        child.kill().await.unwrap();
    });
}

#[test]
fn waiting_for_the_output_can_be_dropped() {
    run(async {
        for _ in 0..5 {
            let mut child = cat();
            let stdin = child.stdin.take();
            begin(pin!(child.wait_with_output())).await;
            drop(stdin);
        }
    });
}

#[test]
fn one_childs_output_is_anothers_input() {
    run(async {
        let mut one = command("say through two")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let between = Stdio::try_from(one.stdout.take().unwrap()).unwrap();
        let other = command("cat").stdin(between).output();
        let output = other.await.unwrap();
        assert!(one.wait().await.unwrap().success());
        // Each has left a mark.
        assert_eq!(written(written(&output.stdout)), b"through two");
    });
}

#[test]
fn one_childs_input_is_anothers_output() {
    run(async {
        let mut one = cat();
        let between = Stdio::try_from(one.stdin.take().unwrap()).unwrap();
        let mut other = command("say back");
        other.stdout(between).stderr(Stdio::null());
        assert!(other.status().await.unwrap().success());
        // The command holds the writing end, too.
        drop(other);
        let output = one.wait_with_output().await.unwrap();
        assert_eq!(written(written(&output.stdout)), b"back");
    });
}

#[test]
fn output_that_was_read_once_is_lent_whole() {
    run(async {
        let mut one = cat();
        let mut stdin = one.stdin.take().unwrap();
        stdin.write_all("first").await.0.unwrap();
        let mut stdout = one.stdout.take().unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"first") {
            let (result, byte) = stdout.read(vec![0; 1]).await;
            assert_eq!(result.unwrap(), 1);
            seen.extend(byte);
        }
        let mut other = command("cat");
        other.stdin(Stdio::try_from(stdout).unwrap());
        let rest = pattern(300_000);
        let writing = async {
            let (result, rest) = stdin.write_all(rest).await;
            result.unwrap();
            drop(stdin);
            rest
        };
        let (rest, output) = both(writing, other.output()).await;
        assert!(written(&output.unwrap().stdout) == rest);
        assert!(one.wait().await.unwrap().success());
    });
}

#[test]
fn input_that_was_written_once_is_lent_whole() {
    run(async {
        let mut one = cat();
        let mut stdin = one.stdin.take().unwrap();
        stdin.write_all("first").await.0.unwrap();
        let mut other = command("say back");
        other
            .stdout(Stdio::try_from(stdin).unwrap())
            .stderr(Stdio::null());
        assert!(other.status().await.unwrap().success());
        // The command holds the writing end, too.
        drop(other);
        let output = one.wait_with_output().await.unwrap();
        let all = written(&output.stdout);
        assert!(all.starts_with(b"first"));
        assert_eq!(written(all), b"back");
    });
}

#[test]
fn a_pipe_that_has_been_shut_down_cannot_be_lent() {
    run(async {
        let mut child = cat();
        let mut stdin = child.stdin.take().unwrap();
        stdin.shutdown().await.unwrap();
        check_kind(Stdio::try_from(stdin), ErrorKind::BrokenPipe);
    });
}

#[test]
fn fifty_children_communicate_at_once() {
    run(async {
        let talks: Vec<_> = (0..50)
            .map(|number| {
                spawn(async move {
                    let mut child = cat();
                    let mut stdin = child.stdin.take().unwrap();
                    let text = format!("this is number {number}").repeat(1000);
                    let writing = async {
                        let (result, text) = stdin.write_all(text).await;
                        result.unwrap();
                        drop(stdin);
                        text
                    };
                    let mut stdout = child.stdout.take().unwrap();
                    let reading = stdout.read_to_end(Vec::new());
                    let (text, (read, all)) = both(writing, reading).await;
                    assert_eq!(read.unwrap(), all.len());
                    assert_eq!(written(&all), text.as_bytes());
                    assert!(child.wait().await.unwrap().success());
                })
            })
            .collect();
        for talk in talks {
            talk.await.unwrap();
        }
    });
}
