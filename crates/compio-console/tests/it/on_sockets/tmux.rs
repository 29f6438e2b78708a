//! The program on a terminal of tmux, with keys.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::fake::{PATIENCE, Program, socket};

/// Runs the console four times: on a program, on its recording, until SIGTERM, and until the terminal has gone.
const SCRIPT: &str = r#"
state() { stty -a | grep -q -- ' -icanon' && echo raw || echo cooked; }
echo text before
"$CONSOLE" "$SOCKET" --interval 1s; echo "first exit $? $(state)"
read -r line
"$CONSOLE" --replay console-keyvalue-4711-1.jsonl; echo "second exit $? $(state)"
read -r line
sh -c 'echo $$ > process; exec "$CONSOLE" "$SOCKET" --record third.jsonl'; echo "third exit $? $(state)"
read -r line
trap '' HUP
"$CONSOLE" --replay third.jsonl; echo "$?" > exit
"#;

/// A tmux server with one session. It ends when it is dropped.
struct Tmux {
    /// The folder of its socket.
    folder: PathBuf,
    size: (u16, u16),
}

impl Tmux {
    fn start(folder: &TempDir, size: (u16, u16)) -> Self {
        let configuration = folder.path().join("tmux.conf");
        fs::write(&configuration, "set -g status off\nset -g escape-time 0\n").unwrap();
        let script = folder.path().join("script");
        fs::write(&script, SCRIPT).unwrap();
        let tmux = Self {
            folder: folder.path().to_owned(),
            size,
        };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let mut command = tmux.command();
        command
            .args(["-f", path(&configuration), "new-session", "-d"])
            .args(["-x", &width, "-y", &height, "-c", path(folder.path())])
            .args(["sh", path(&script)])
            .env("CONSOLE", env!("CARGO_BIN_EXE_compio-console"))
            .env("SOCKET", socket(folder))
            .env("LC_ALL", "C.UTF-8");
        succeed(&mut command);
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", "compio-console"]).env_remove("TMUX");
        command.env("TMUX_TMPDIR", &self.folder);
        command
    }

    /// The screen, without blanks at the ends of lines.
    fn screen(&self) -> String {
        let output = succeed(self.command().args(["capture-pane", "-p"]));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect()
    }

    /// Waits for a text on the screen.
    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    #[track_caller]
    fn wait_until(&self, expected: &str, is_there: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {expected} in:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys by tmux's names.
    fn press(&self, keys: &[&str]) {
        succeed(self.command().args(["send-keys"]).args(keys));
    }

    /// The screen of the snapshots, without its first line, which has the time.
    fn expected(&self, name: &str) -> String {
        let (width, height) = self.size;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
        let file = folder.join(format!("{name}-{width}x{height}.txt"));
        without_first_line(&fs::read_to_string(file).unwrap()).to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn without_first_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// Whether tmux is there. A missing one fails a test that must not be skipped.
fn has_tmux() -> bool {
    if Command::new("tmux").arg("-V").output().is_ok() {
        return true;
    }
    assert!(
        env::var_os("COMPIO_REQUIRE_TMUX").is_none(),
        "tmux is missing"
    );
    println!("skipped: tmux is not installed");
    false
}

fn console_works(size: (u16, u16)) {
    if !has_tmux() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, 4711);
    let tmux = Tmux::start(&folder, size);
    all_screens_and_keys(&tmux, program);
    // Another process, on the same socket.
    let _program = Program::start(&folder, 4712);
    tmux.wait_for("process 4712");
    tmux.press(&["q"]);
    let shown = tmux.wait_for("first exit 0 cooked");
    assert!(shown.starts_with("text before\n"), "{shown}");
    let flags = ["display-message", "-p", "#{cursor_flag} #{alternate_on}"];
    let flags = succeed(tmux.command().args(flags)).stdout;
    assert_eq!(String::from_utf8(flags).unwrap(), "1 0\n");
    assert!(!shown.contains("Workers"), "{shown}");
    tmux.press(&["Enter"]);
    replay_works(&tmux);
    tmux.press(&["Enter"]);
    tmux.wait_for("process 4712");
    let process = fs::read_to_string(folder.path().join("process")).unwrap();
    let kill = format!("kill {}", process.trim());
    succeed(Command::new("sh").args(["-c", &kill]));
    let shown = tmux.wait_for("third exit 0 cooked");
    assert!(!shown.contains("Workers"), "{shown}");
    let recording = fs::read_to_string(folder.path().join("third.jsonl")).unwrap();
    assert!(recording.starts_with("{\"type\":\"hello\","), "{recording}");
    tmux.press(&["Enter"]);
    tmux.wait_for("replay 1 of");
    drop(tmux);
    wait_for_exit(&folder);
}

fn all_screens_and_keys(tmux: &Tmux, program: Program) {
    tmux.wait_for("process 4711");
    for (key, name) in [
        ("1", "workers"),
        ("3", "in-flight"),
        ("4", "tasks"),
        ("5", "connections"),
        ("2", "operations"),
    ] {
        tmux.press(&[key]);
        let expected = tmux.expected(name);
        tmux.wait_until(&expected, |screen| without_first_line(screen) == expected);
    }
    resizing_works(tmux);
    tmux.press(&["h"]);
    program.wait_for_request("histograms off");
    tmux.wait_for("records no latencies");
    tmux.press(&["4", "Down", "Enter"]);
    tmux.wait_for("Task 1 of worker 1");
    tmux.press(&["Escape"]);
    // With a following character, the escape character would be the key Alt.
    tmux.wait_for("resolver");
    tmux.press(&["/", "e", "c", "h", "o", "Enter"]);
    let shown = tmux.wait_for("filter: echo\n");
    assert!(!shown.contains("resolver"), "{shown}");
    tmux.press(&["Space"]);
    tmux.wait_for("PAUSED");
    tmux.press(&["Space", "r"]);
    tmux.wait_for("recording console-keyvalue-4711-1.jsonl");
    // A recording with at least three answers.
    program.requests();
    for _ in 0..4 {
        program.wait_for_request("metrics");
    }
    tmux.press(&["r"]);
    tmux.wait_for("recorded to console-keyvalue-4711-1.jsonl");
    drop(program);
    let shown = tmux.wait_for("disconnected: ");
    assert!(
        shown.contains("process 4711") && shown.contains("echo"),
        "{shown}"
    );
}

/// Waits until the shell, which outlives its terminal, has written the exit code.
fn wait_for_exit(folder: &TempDir) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let code = fs::read_to_string(folder.path().join("exit")).unwrap_or_default();
        if code.ends_with('\n') {
            assert_eq!(code, "0\n");
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the console outlives its terminal"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn resizing_works(tmux: &Tmux) {
    let sizes = [(100, 30), tmux.size];
    for (width, height) in sizes {
        let (columns, lines) = (width.to_string(), height.to_string());
        let mut command = tmux.command();
        succeed(command.args(["resize-window", "-x", &columns, "-y", &lines]));
        let is_full = |screen: &str| {
            let last = screen.lines().nth(usize::from(height) - 1);
            last.is_some_and(|line| line.starts_with("? help"))
        };
        tmux.wait_until("keys on the last line", is_full);
    }
}

fn replay_works(tmux: &Tmux) {
    tmux.wait_for("replay 1 of");
    tmux.press(&["Right"]);
    tmux.wait_for("replay 2 of");
    tmux.press(&["4"]);
    tmux.wait_for("resolver");
    tmux.press(&["Left"]);
    tmux.wait_for("replay 1 of");
    tmux.press(&["Space"]);
    // It plays on by itself.
    tmux.wait_for("replay 3 of");
    tmux.press(&["q"]);
    tmux.wait_for("second exit 0 cooked");
}

#[test]
fn console_works_on_a_small_terminal() {
    console_works((80, 24));
}

#[test]
fn console_works_on_a_large_terminal() {
    console_works((160, 50));
}
