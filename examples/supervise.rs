//! A supervisor of processes: starts commands, prefixes each line of their output with a number,
//! restarts them after a failure with growing delays, and ends them all on Ctrl-C.
//!
//! `cargo run --release --example supervise -- "ping localhost" "sleep 3" "false"`

use std::{
    env,
    io::{self, Write},
    pin::pin,
    process::{ExitCode, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use compio::{
    event::Event,
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    signal::ctrl_c,
    task::{self, JoinHandle},
    time::timeout,
};
use futures_util::future::{Either, select};

/// The delay before a failed command is restarted: at first, and at most.
const PAUSE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// The time limit for commands to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

#[compio::main]
async fn main() -> ExitCode {
    let lines: Vec<String> = env::args().skip(1).collect();
    if lines.is_empty() {
        eprintln!("usage: supervise \"COMMAND ARGUMENT...\"...");
        return ExitCode::FAILURE;
    }
    let end = Event::new();
    let handle = end.handle();
    task::spawn(async move {
        match ctrl_c().await {
            Ok(()) => print(0, "* ending"),
            Err(error) => print(0, &format!("* Ctrl-C cannot be handled: {error}")),
        }
        handle.notify();
    });

    let end = Rc::new(end);
    let tasks: Vec<JoinHandle<()>> = (1..)
        .zip(lines)
        .map(|(number, line)| {
            let end = Rc::clone(&end);
            task::spawn(async move { Supervisor { number, line }.run(&end).await })
        })
        .collect();
    for task in tasks {
        // A task that panicked has reported it.
        let _ = task.await;
    }
    ExitCode::SUCCESS
}

struct Supervisor {
    number: usize,
    line: String,
}

impl Supervisor {
    /// Runs the command until it succeeds, or `end` is signalled.
    async fn run(&self, end: &Event) {
        let [pause_min, pause_max] = PAUSE;
        let mut pause = pause_min;
        loop {
            let began = Instant::now();
            let ended = self.run_once(end).await;
            if end.is_set() {
                return;
            }
            match ended {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => self.say(&format!("cannot be run: {error}")),
            }
            if began.elapsed() > pause_max {
                pause = pause_min;
            }
            self.say(&format!("again in {pause:?}"));
            if timeout(pause, end.wait()).await.is_ok() {
                return;
            }
            pause = pause_max.min(2 * pause);
        }
    }

    /// Runs the command once. Returns whether it has succeeded.
    async fn run_once(&self, end: &Event) -> io::Result<bool> {
        let mut words = self.line.split_whitespace();
        let mut child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Also if this task is aborted.
            .kill_on_drop(true)
            .spawn()?;
        self.say(&format!(
            "{} is process {}",
            self.line,
            child.id().unwrap_or(0)
        ));
        let outputs = [
            child.stdout.take().map(|pipe| self.pass_on(pipe)),
            child.stderr.take().map(|pipe| self.pass_on(pipe)),
        ];
        let ended = match select(pin!(child.wait()), pin!(end.wait())).await {
            Either::Left((status, _)) => Some(status),
            Either::Right(_) => None,
        };
        let status = match ended {
            Some(status) => status?,
            None => {
                ask_to_end(&child);
                match timeout(GRACE, child.wait()).await {
                    Ok(status) => status?,
                    Err(_) => {
                        self.say("does not end: killed");
                        child.kill().await?;
                        child.wait().await?
                    }
                }
            }
        };
        for output in outputs.into_iter().flatten() {
            // Its own children may continue to run, and hold the pipe open.
            let _ = timeout(GRACE, output).await;
        }
        self.say(&status.to_string());
        Ok(status.success())
    }

    fn say(&self, text: &str) {
        print(self.number, &format!("* {text}"));
    }

    /// Prints each line, with the number before it.
    fn pass_on(&self, pipe: impl AsyncRead + 'static) -> JoinHandle<()> {
        let number = self.number;
        task::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read;
                (read, line) = pipe.read_until(b'\n', line).await;
                match read {
                    Ok(0) => return,
                    Ok(_) => print(number, String::from_utf8_lossy(&line).trim_end()),
                    Err(error) => return print(number, &format!("* {error}")),
                }
            }
        })
    }
}

/// If the reader of the output is gone, the commands continue.
fn print(number: usize, text: &str) {
    let _ = writeln!(io::stdout(), "[{number}] {text}");
}

/// Ctrl-C on a terminal goes to the whole process group. But SIGINT may have been sent only to the
/// supervisor.
#[cfg(unix)]
fn ask_to_end(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        // It may have ended already.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_end(_: &Child) {}
