//! A Unix socket at which `compio-console` observes this program.
//!
//! Nothing listens unless the program calls [`listen`]. A thread named `compio-console` serves the socket, with a runtime of
//! its own that no list of runtimes shows.
//!
//! ```
//! use compio::console;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("console");
//! let console = console::listen(&path).unwrap();
//! // Now `compio-console PATH` shows this program.
//! drop(console);
//! assert!(!path.exists());
//! ```
//!
//! # Security
//!
//! - The socket has the mode 0600. Only processes of the same user, and of root, are served. The others are disconnected.
//! - An observer reads counters and dumps, and switches the recording of [histograms](crate::metrics::record_histograms) on and
//!   off. It changes nothing else.
//! - There are at most four observers. One that does not read for five seconds is disconnected. An answer has at most
//!   16 MiB, and at most 10,000 tasks of each runtime: those that have waited longest. With long names it has fewer.
//! - All observers share one dump a second, or fewer: the time that the loops need for dumps is at most a twentieth of all
//!   time.
//!
//! # Protocol
//!
//! Each line of the socket is a JSON object. `docs/console.md` describes it.

mod answers;
mod observer;
mod socket;

use std::{
    fmt,
    future::poll_fn,
    io, mem,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    rc::Rc,
    sync::mpsc,
    task::Poll,
    thread,
};

use compio_driver::Process;

use self::{
    answers::Answers,
    socket::{Bound, is_of, own_user},
};
use crate::{
    event::{Event, EventHandle},
    net::UnixListener,
    runtime::Runtime,
    task::JoinSet,
};

/// The maximum of observers at a time.
const OBSERVERS_MAX: usize = 4;

/// Listens at this path, until the result is dropped, which removes the socket.
///
/// A socket that no process listens at is replaced.
///
/// # Errors
///
/// `AddrInUse` if another process listens at the path, or if it is no socket, such as a symbolic link. The errors of bind(2), of a
/// new [`Runtime`], and of a new thread.
pub fn listen(path: impl AsRef<Path>) -> io::Result<Console> {
    let path = path.as_ref().to_owned();
    let (send, started) = mpsc::channel();
    let place = path.clone();
    let thread = thread::Builder::new().name("compio-console".into());
    let thread = thread.spawn(move || {
        let result = Runtime::builder().unlisted().build().and_then(|runtime| {
            runtime.block_on(async {
                let (_bound, listener) = Bound::new(&place).await?;
                let (user, stop) = (own_user()?, Event::new());
                // The caller waits for it.
                let _ = send.send(Ok(stop.handle()));
                serve(listener, user, stop).await;
                Ok(())
            })
        });
        if let Err(error) = result {
            let _ = send.send(Err(error));
        }
    })?;
    let ended = |_| Err(io::Error::other("the thread of the console has panicked"));
    let stop = started.recv().unwrap_or_else(ended)?;
    Ok(Console {
        path,
        stop,
        thread: Some(thread),
        process: Process::current(),
    })
}

/// A socket that observers connect to: see [`listen`]. Its drop disconnects them, and waits for the thread. In a child of
/// `fork` its drop does nothing: the parent continues to serve.
#[must_use = "its drop closes the socket"]
pub struct Console {
    path: PathBuf,
    stop: EventHandle,
    thread: Option<thread::JoinHandle<()>>,
    /// The process of the thread.
    process: Process,
}

impl Console {
    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if !self.process.is_current() {
            // A child of `fork` has no such thread.
            return mem::forget(thread);
        }
        self.stop.notify();
        if let Some(thread) = thread {
            // The panic hook has reported a panic.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Serves observers until the event.
async fn serve(listener: UnixListener, user: u32, stop: Event) {
    let answers = Rc::new(Answers::new());
    let mut observers = JoinSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if !is_of(&stream, user) {
                        continue;
                    }
                    // Removes those that have ended.
                    while observers.try_join_next().is_some() {}
                    let is_allowed = observers.len() < OBSERVERS_MAX;
                    let answers = Rc::clone(&answers);
                    observers.spawn(observer::serve(stream, is_allowed, answers));
                }
                // For instance without descriptors: the listener pauses by itself.
                Err(_) => continue,
            }
        }
    };
    let (mut accept, mut stopped) = (pin!(accept), stop.wait());
    poll_fn(|cx| match Pin::new(&mut stopped).poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => accept.as_mut().poll(cx),
    })
    .await;
}
