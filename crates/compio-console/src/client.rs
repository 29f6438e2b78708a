//! The thread that is connected to the program.
//!
//! It sends one request at a time and passes on the answers. If the connection ends, it reports the cause and connects again
//! after [`RETRY`].

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    line::{Lines, describe},
    protocol::{self, Message},
    sys::{self, Stream},
    text::escape,
};

/// Time between two attempts to connect.
pub const RETRY: Duration = Duration::from_secs(2);

/// Longest time until a line is complete.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// An event of the connection.
#[derive(Debug)]
pub enum Event {
    /// A line of the program. Each connection begins with [`Message::Hello`].
    Line {
        /// The line as received, without its line feed.
        line: Vec<u8>,
        /// The parsed line.
        message: Message,
    },
    /// The program has begun (`true`) or stopped to record histograms.
    Histograms(bool),
    /// The connection has ended, or could not be made, for this reason.
    Disconnected(String),
}

/// The handle of the thread. The thread ends after the handle is dropped.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

/// The requests that the thread sends next.
#[derive(Debug, Default)]
struct Wishes {
    wants_tasks: bool,
    histograms: Option<bool>,
    is_stopped: bool,
}

impl Client {
    /// Starts the thread. It requests metrics in this interval, and calls `send` with each event until that returns
    /// `false`.
    pub fn start(
        path: &Path,
        interval: Duration,
        send: impl FnMut(Event) -> bool + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            wishes: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = Thread {
            path: path.to_owned(),
            interval,
            shared: shared.clone(),
            send,
        };
        thread::spawn(move || thread.run());
        Self { shared }
    }

    /// Sets whether tasks are requested with the metrics.
    pub fn want_tasks(&self, wants_tasks: bool) {
        self.shared.lock().wants_tasks = wants_tasks;
        self.shared.changed.notify_all();
    }

    /// Requests that the program records histograms, or stops to record them.
    pub fn set_histograms(&self, is_on: bool) {
        self.shared.lock().histograms = Some(is_on);
        self.shared.changed.notify_all();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the deadline, or until the wishes have something to do.
    fn wait(&self, deadline: Instant, is_due: impl Fn(&Wishes) -> bool) {
        let mut wishes = self.lock();
        while !wishes.is_stopped && !is_due(&wishes) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(wishes, left);
            wishes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The end of a connection.
enum End {
    /// The handle was dropped, or the receiver of events.
    Stopped,
    Failed(String),
}

impl From<String> for End {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

struct Thread<F> {
    path: PathBuf,
    interval: Duration,
    shared: Arc<Shared>,
    send: F,
}

impl<F: FnMut(Event) -> bool> Thread<F> {
    fn run(mut self) {
        while let Err(End::Failed(reason)) = self.serve() {
            if !(self.send)(Event::Disconnected(reason)) {
                return;
            }
            self.shared.wait(Instant::now() + RETRY, |_| false);
        }
    }

    /// Makes a connection, and uses it until it ends.
    fn serve(&mut self) -> Result<(), End> {
        if self.shared.lock().is_stopped {
            return Err(End::Stopped);
        }
        let mut connection = Connection::open(&self.path)?;
        let shared = self.shared.clone();
        let (line, message) = connection.receive(&shared)?;
        check_hello(&message)?;
        self.pass(Event::Line { line, message })?;
        let mut next_metrics = Instant::now();
        // Tasks are requested with each metrics, and at once where they are wanted anew.
        let mut has_tasks = false;
        loop {
            let histograms = self.shared.lock().histograms.take();
            if let Some(is_on) = histograms {
                let request = if is_on {
                    "histograms on"
                } else {
                    "histograms off"
                };
                self.ask(&mut connection, request, "done")?;
                self.pass(Event::Histograms(is_on))?;
            }
            let is_due = Instant::now() >= next_metrics;
            if is_due {
                next_metrics = Instant::now() + self.interval;
                self.ask(&mut connection, "metrics", "metrics")?;
            }
            let wants_tasks = self.shared.lock().wants_tasks;
            if wants_tasks && (is_due || !has_tasks) {
                self.ask(&mut connection, "tasks", "tasks")?;
            }
            has_tasks = wants_tasks;
            self.shared.wait(next_metrics, |wishes| {
                wishes.histograms.is_some() || (wishes.wants_tasks && !has_tasks)
            });
            if self.shared.lock().is_stopped {
                return Err(End::Stopped);
            }
        }
    }

    /// Sends a request, and passes on its answer.
    fn ask(
        &mut self,
        connection: &mut Connection,
        request: &str,
        expected: &str,
    ) -> Result<(), End> {
        connection.send(request)?;
        let (line, message) = connection.receive(&self.shared)?;
        if let Message::Error(reason) = &message {
            return Err(refused(reason.as_str()).into());
        }
        if message.name() != expected {
            let name = message.name();
            return Err(format!("the answer to `{request}` has the type `{name}`").into());
        }
        self.pass(Event::Line { line, message })
    }

    fn pass(&mut self, event: Event) -> Result<(), End> {
        if (self.send)(event) {
            Ok(())
        } else {
            Err(End::Stopped)
        }
    }
}

fn check_hello(message: &Message) -> Result<(), String> {
    match message {
        Message::Hello(hello) if hello.protocol == protocol::VERSION => Ok(()),
        Message::Hello(hello) => Err(format!(
            "the program speaks version {} of the protocol, this console version {}",
            hello.protocol,
            protocol::VERSION
        )),
        Message::Error(reason) => Err(refused(reason.as_str())),
        Message::Metrics(_) | Message::Tasks(_) | Message::Done => {
            Err("the first line is not `hello`".into())
        }
    }
}

fn refused(reason: &str) -> String {
    format!("the program refuses: {reason}")
}

struct Connection {
    lines: Lines<Stream>,
}

impl Connection {
    fn open(path: &Path) -> Result<Self, String> {
        let stream = sys::connect(path)
            .map_err(|error| format!("{}: {error}", escape(&path.to_string_lossy())))?;
        Ok(Self {
            lines: Lines::new(stream),
        })
    }

    fn send(&mut self, request: &str) -> Result<(), String> {
        sys::write(self.lines.get_mut(), format!("{request}\n").as_bytes())
            .map_err(|error| describe(&error))
    }

    /// Waits for a line until the timeout, or until the handle is dropped.
    fn receive(&mut self, shared: &Shared) -> Result<(Vec<u8>, Message), End> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let line = self.lines.next_line(|| {
            if shared.lock().is_stopped {
                return Err("stopped".into());
            }
            if Instant::now() >= deadline {
                return Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
            }
            Ok(())
        });
        if shared.lock().is_stopped {
            return Err(End::Stopped);
        }
        let line = line?;
        let message = Message::parse(&line).map_err(|error| format!("invalid line: {error}"))?;
        Ok((line, message))
    }
}
