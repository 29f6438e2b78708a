//! Running commands. Each is printed first in shell syntax, then run from the workspace's root with
//! this terminal's output. Also contains the list of skipped checks, and the line about the
//! machine. The steps choose the commands.

use std::{
    env, fmt, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::workspace::Workspace;

/// An error is a sentence for the reader of the log.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// A step, or a part of it.
pub(crate) type Action = fn(&mut Run) -> Outcome;

/// The time limit of a command on CI, as an argument of `timeout`.
const LIMIT: &str = "30m";

/// The state that all steps of one call share.
pub(crate) struct Run {
    workspace: Workspace,
    /// On CI no check may be skipped for lack of a tool.
    on_ci: bool,
    skips: Vec<String>,
}

impl Run {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self {
            workspace: Workspace::load()?,
            on_ci: env::var("CI").is_ok_and(|ci| ci == "true"),
            skips: Vec::new(),
        })
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// `cargo` with these words, which are split at blanks.
    pub(crate) fn cargo(&self, words: &str) -> Line {
        self.program("cargo").words(words)
    }

    /// A program that runs in the workspace's root.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Line {
        Line {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            folder: PathBuf::new(),
            root: self.workspace.root().to_owned(),
            on_ci: self.on_ci,
        }
    }

    /// The arguments for a cargo target directory of its own. Builds with other flags would
    /// otherwise invalidate each other.
    pub(crate) fn own_target(&self, name: &str) -> [String; 2] {
        let directory = self.workspace.target().join(name);
        ["--target-dir".into(), self.short(&directory)]
    }

    /// An empty folder for a step's files, in the target directory.
    pub(crate) fn scratch(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.workspace.target().join("xtask").join(name);
        // It may not exist. If it cannot be removed, its creation fails.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// Checks a requirement of this machine. If it is missing, the check is skipped, or fails on
    /// CI.
    pub(crate) fn require(&mut self, there: bool, what: &str, why_not: &str) -> Outcome<bool> {
        if !there && self.on_ci {
            return Err(format!("{what} must not be skipped on CI: {why_not}"));
        }
        if !there {
            self.skip(what, why_not);
        }
        Ok(there)
    }

    /// Reports, now and at the end, that a check was skipped.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("SKIPPED {what}: {why}");
        self.skips.push(format!("{what}: {why}"));
    }

    /// Whether this is CI: tools may be installed, and no check may be skipped.
    pub(crate) fn on_ci(&self) -> bool {
        self.on_ci
    }

    pub(crate) fn skips(&self) -> &[String] {
        &self.skips
    }

    /// The versions and the machine that the results depend on, in a few lines.
    pub(crate) fn surroundings(&self) -> String {
        let file = |path| fs::read_to_string(path).ok();
        let limits = file("/proc/self/limits").unwrap_or_default();
        let locked = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max locked memory"))
            .and_then(|limits| limits.split_whitespace().next());
        let says = |line: Line| line.quiet().unwrap_or("none".into());
        format!(
            "{} {}, {} cores, io_uring_disabled {}, locked memory {}\n{}; nightly: {}; {}",
            env::consts::OS,
            file("/proc/sys/kernel/osrelease")
                .as_deref()
                .map_or("?", str::trim),
            thread::available_parallelism().map_or(0, usize::from),
            file("/proc/sys/kernel/io_uring_disabled")
                .as_deref()
                .map_or("?", str::trim),
            locked.unwrap_or("?"),
            says(self.program("rustc").words("--version")),
            says(self.cargo("+nightly --version")),
            says(self.program("python3").words("--version")),
        )
    }

    /// A path relative to the workspace's root.
    fn short(&self, path: &Path) -> String {
        let short = path.strip_prefix(self.workspace.root()).unwrap_or(path);
        short.display().to_string()
    }
}

/// A command line in the workspace's root.
#[derive(Clone)]
pub(crate) struct Line {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// Relative to the root.
    folder: PathBuf,
    root: PathBuf,
    on_ci: bool,
}

/// The output and the exit status of a program.
pub(crate) struct Printed {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Line {
    /// Adds arguments that contain no blanks.
    pub(crate) fn words(self, words: &str) -> Self {
        self.arguments(words.split_whitespace())
    }

    pub(crate) fn arguments<A: ToString>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.to_string()));
        self
    }

    pub(crate) fn path(self, path: &Path) -> Self {
        self.arguments([path.display()])
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Sets the folder to run in, below the root.
    pub(crate) fn folder(mut self, folder: &str) -> Self {
        self.folder = folder.into();
        self
    }

    /// Runs it with this terminal's output; it must succeed.
    pub(crate) fn run(self) -> Outcome {
        self.announce();
        let status = self.limited_on_ci().command().status();
        let status = status.map_err(|e| self.failed(&e))?;
        self.must_succeed(status)
    }

    /// Runs it and returns its standard output, which the caller parses; it must succeed.
    pub(crate) fn stdout(self) -> Outcome<String> {
        self.announce();
        let mut command = self.limited_on_ci().command();
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| self.failed(&e))?;
        self.must_succeed(output.status)?;
        String::from_utf8(output.stdout).map_err(|e| self.failed(&e))
    }

    /// As `run`, within a time limit: for programs that may wait without end.
    pub(crate) fn run_within(self, limit: Duration) -> Outcome {
        self.announce();
        let mut child = self.command().spawn().map_err(|e| self.failed(&e))?;
        let status = wait_within(&mut child, limit).map_err(|e| self.failed(&e))?;
        self.must_succeed(status)
    }

    /// Runs it with a time limit and returns its output, also if it failed.
    pub(crate) fn print_within(self, limit: Duration) -> Outcome<Printed> {
        self.announce();
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(&error))?;
        let stdout = read_aside(child.stdout.take());
        let stderr = read_aside(child.stderr.take());
        let status = wait_within(&mut child, limit).map_err(|e| self.failed(&e))?;
        let text = |reader: JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
        };
        Ok(Printed {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        })
    }

    /// Starts it with its standard output in a pipe; the caller must end it.
    pub(crate) fn start(self) -> Outcome<Child> {
        self.announce();
        let child = self.command().stdout(Stdio::piped()).spawn();
        child.map_err(|error| self.failed(&error))
    }

    /// The first line of its output, if it succeeds: for version queries, which are not printed.
    pub(crate) fn quiet(self) -> Option<String> {
        let output = self.command().stderr(Stdio::null()).output().ok()?;
        let stdout = String::from_utf8(output.stdout).ok()?;
        let line = stdout.lines().next()?.to_owned();
        output.status.success().then_some(line)
    }

    /// The same command, but on CI it is killed after `LIMIT` with all its processes.
    fn limited_on_ci(&self) -> Self {
        let mut limited = self.clone();
        if !self.on_ci {
            return limited;
        }
        limited.program = "timeout".into();
        limited.arguments = vec!["--verbose".into(), "--kill-after=10".into(), LIMIT.into()];
        limited.path(&self.program).arguments(&self.arguments)
    }

    fn announce(&self) {
        println!("$ {self}");
        // The command writes to the same output.
        let _ = io::stdout().flush();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.root.join(&self.folder))
            .stdin(Stdio::null());
        command
    }

    fn must_succeed(&self, status: ExitStatus) -> Outcome {
        if status.success() {
            Ok(())
        } else {
            Err(self.failed(&status))
        }
    }

    fn failed(&self, how: &dyn fmt::Display) -> String {
        format!("{how}\n    {self}")
    }
}

/// In shell syntax.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elsewhere = self.folder != Path::new("");
        if elsewhere {
            write!(f, "(cd {} && ", self.folder.display())?;
        }
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(value))?;
        }
        let program = self
            .program
            .strip_prefix(&self.root)
            .unwrap_or(&self.program);
        write!(f, "{}", quoted(&program.display().to_string()))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        f.write_str(if elsewhere { ")" } else { "" })
    }
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,:/@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Waits for the end of a program, and kills it past the time limit.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            let text = format!("not done after {} s, killed", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads a pipe to EOF concurrently with the wait: a full pipe would stop the program.
fn read_aside(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // The bytes before an error are still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_or_expand_them() {
        let check = |word, expected| assert_eq!(quoted(word), expected);
        check("--all-features", "--all-features");
        check("-D warnings", "'-D warnings'");
        check("", "''");
        check("it's", r"'it'\''s'");
    }
}
