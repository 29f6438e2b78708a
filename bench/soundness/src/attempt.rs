//! One scenario on one contender, in a process of its own.

use std::{
    env,
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A process that runs longer is killed and reported as hanging. Some runtimes wait almost as long at shutdown.
pub const DEADLINE: Duration = Duration::from_secs(12);

/// Runs a scenario and returns its report.
pub fn attempt(scenario: usize, contender: usize) -> String {
    let program = env::current_exe().expect("the program has a path");
    let child = Command::new(program)
        .args(["--attempt", &scenario.to_string(), &contender.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the program can be started again");
    let stdout = collect(child.stdout.take().expect("it is piped"));
    let stderr = collect(child.stderr.take().expect("it is piped"));
    let status = wait(&mut child);
    let stdout = stdout.join().expect("reading does not panic");
    let stderr = stderr.join().expect("reading does not panic");
    tell(status, &stdout, &stderr)
}

/// Drains a pipe on a thread, so that its writer never blocks.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // An error ends the text. The text before it is kept.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    None
}

fn tell(status: Option<ExitStatus>, stdout: &str, stderr: &str) -> String {
    let last = |head| {
        stdout
            .lines()
            .filter_map(|line| line.strip_prefix(head))
            .next_back()
    };
    let at = match last("STAGE ") {
        Some(stage) => format!(" at: {stage}"),
        None => String::new(),
    };
    let Some(status) = status else {
        return format!("HANGS, killed after {} s{at}", DEADLINE.as_secs());
    };
    if let Some(signal) = status.signal() {
        return format!("KILLED by {}{at}{}", name(signal), panic(stderr));
    }
    if status.success()
        && let Some(result) = last("RESULT ")
    {
        return result.into();
    }
    format!("PANICS{at}{}", panic(stderr))
}

fn name(signal: i32) -> String {
    match signal {
        libc::SIGABRT => "SIGABRT".into(),
        libc::SIGSEGV => "SIGSEGV".into(),
        libc::SIGBUS => "SIGBUS".into(),
        other => format!("signal {other}"),
    }
}

/// The message of the first panic: the line after its location.
fn panic(stderr: &str) -> String {
    let mut lines = stderr
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    match lines.nth(1) {
        Some(message) => format!(" (\"{}\")", message.trim()),
        None => String::new(),
    }
}
