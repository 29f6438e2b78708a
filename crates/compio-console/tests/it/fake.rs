//! A program that speaks the protocol, as a thread.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::LINES;

/// Longest wait of a test for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A listening program. It ends when it is dropped, with its connections.
pub(crate) struct Program {
    path: PathBuf,
    has_ended: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    requests: mpsc::Receiver<String>,
    accepts: Option<JoinHandle<()>>,
}

impl Program {
    /// Listens in a folder, and answers as a program with this number.
    pub(crate) fn start(folder: &TempDir, process: u64) -> Self {
        let path = socket(folder);
        let listener = UnixListener::bind(&path).unwrap();
        let has_ended = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (sender, requests) = mpsc::channel();
        let (ended, streams) = (has_ended.clone(), connections.clone());
        let accepts = thread::spawn(move || {
            for stream in listener.incoming() {
                // Relaxed: the connection that wakes this thread comes after the store.
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let stream = stream.unwrap();
                streams.lock().unwrap().push(stream.try_clone().unwrap());
                let sender = sender.clone();
                thread::spawn(move || serve(stream, process, &sender));
            }
        });
        Self {
            path,
            has_ended,
            connections,
            requests,
            accepts: Some(accepts),
        }
    }

    /// Waits for a request of a client.
    pub(crate) fn wait_for_request(&self, expected: &str) {
        loop {
            let request = self.requests.recv_timeout(PATIENCE);
            if request.expect("a request") == expected {
                return;
            }
        }
    }

    /// Waits until the client has closed its connection.
    pub(crate) fn wait_for_disconnect(&self) {
        let deadline = Instant::now() + PATIENCE;
        for mut stream in self.connections.lock().unwrap().drain(..) {
            // A second reader. It takes the end of the stream, or requests, which then get no answer.
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            while stream.read(&mut [0; 64]).unwrap() > 0 {
                assert!(Instant::now() < deadline, "the client stays connected");
            }
        }
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        // It wakes the thread that accepts.
        let _ = UnixStream::connect(&self.path);
        self.accepts.take().map(JoinHandle::join);
        for stream in self.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The path of the socket.
pub(crate) fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("console.sock")
}

/// Answers until the client has gone.
fn serve(stream: UnixStream, process: u64, requests: &mpsc::Sender<String>) {
    let lines: Vec<_> = LINES.lines().collect();
    let [hello, first, second, tasks] = lines[..] else {
        panic!("four lines");
    };
    let mut output = stream.try_clone().unwrap();
    let mut say = |line: &str| output.write_all(format!("{line}\n").as_bytes()).is_ok();
    if !say(&hello.replace("4711", &process.to_string())) {
        return;
    }
    let mut count = 0;
    for request in BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = match request.as_str() {
            "metrics" => {
                count += 1;
                // Both in turn, always one second apart.
                let is_first = count % 2 == 1;
                let (line, time) = if is_first {
                    (first, "12.5")
                } else {
                    (second, "13.5")
                };
                line.replacen(time, &format!("{}.5", 11 + count), 1)
            }
            "tasks" => tasks.to_owned(),
            "histograms on" | "histograms off" => r#"{"type":"done"}"#.into(),
            _ => r#"{"type":"error","message":"unknown request"}"#.into(),
        };
        // The test may have stopped to listen.
        let _ = requests.send(request);
        if !say(&answer) {
            return;
        }
    }
}

/// A peer that sends bytes to each of its connections, and then closes it or waits for its end.
pub(crate) struct Peer {
    path: PathBuf,
    has_ended: Arc<AtomicBool>,
    accepts: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(
        path: &Path,
        closes: bool,
        send: impl Fn(&mut UnixStream) + Send + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = has_ended.clone();
        let accepts = thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                // Relaxed: the connection that wakes this thread comes after the store.
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                send(&mut stream);
                if !closes {
                    kept.push(stream);
                }
            }
        });
        Self {
            path: path.to_owned(),
            has_ended,
            accepts: Some(accepts),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        // It wakes the thread that accepts.
        let _ = UnixStream::connect(&self.path);
        self.accepts.take().map(JoinHandle::join);
    }
}
