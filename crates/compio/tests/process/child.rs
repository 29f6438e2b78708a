//! This program as a child of itself. `as_a_child` does nothing in a usual run of the tests. A child
//! that a test has started runs it alone.

use std::{
    env,
    io::{self, Read, Write},
    process, thread,
};

use compio::process::Command;

/// The variable that names the child's task.
const TASK: &str = "COMPIO_TEST_CHILD";

/// Separates the output of the test harness from the child's own output.
const MARK: &[u8] = b"\x01";

/// How much [`flood`](self) writes to each stream.
pub(crate) const FLOOD_LEN: usize = 3 << 20;

/// This program, as a child with a task.
pub(crate) fn command(task: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "child::as_a_child", "--nocapture"])
        .env(TASK, task);
    command
}

/// The child's own output.
pub(crate) fn written(stdout: &[u8]) -> &[u8] {
    let mark = stdout.iter().position(|byte| [*byte] == MARK);
    &stdout[mark.expect("the child has begun") + 1..]
}

#[test]
fn as_a_child() {
    let Ok(task) = env::var(TASK) else {
        return;
    };
    let mut stdout = io::stdout();
    stdout.write_all(MARK).unwrap();
    stdout.flush().unwrap();
    match task.split_once(' ').unwrap_or((&task, "")) {
        ("exit", code) => process::exit(code.parse().unwrap()),
        ("cat", _) => cat(&mut stdout),
        ("say", text) => {
            write!(stdout, "{text}").unwrap();
            eprint!("not {text}");
        }
        ("variable", name) => {
            write!(stdout, "{}", env::var(name).unwrap_or("none".into())).unwrap();
        }
        ("directory", _) => {
            write!(stdout, "{}", env::current_dir().unwrap().display()).unwrap();
        }
        ("flood", _) => flood(&mut stdout),
        ("input-length", _) => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).unwrap();
            write!(stdout, "{}", bytes.len()).unwrap();
        }
        // Longer than any test.
        ("stay", _) => thread::sleep(std::time::Duration::from_secs(300)),
        (other, _) => panic!("no such task: {other}"),
    }
    stdout.flush().unwrap();
    process::exit(0);
}

/// Copies the input to the output at once, without buffering.
fn cat(stdout: &mut impl Write) {
    let mut buffer = vec![0; 100_000];
    loop {
        let len = io::stdin().read(&mut buffer).unwrap();
        if len == 0 {
            return;
        }
        stdout.write_all(&buffer[..len]).unwrap();
        // The stream would buffer up to the end of the line.
        stdout.flush().unwrap();
    }
}

/// Writes to both streams in turn, in pieces whose size divides no pipe's size.
fn flood(stdout: &mut impl Write) {
    let mut stderr = io::stderr();
    let piece = [b'x'; 10_007];
    let mut left = FLOOD_LEN;
    while left > 0 {
        let piece = &piece[..left.min(piece.len())];
        stderr.write_all(piece).unwrap();
        stdout.write_all(piece).unwrap();
        left -= piece.len();
    }
}
