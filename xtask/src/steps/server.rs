//! A server that a step starts, visits and ends.

use std::{
    io::{BufRead, BufReader},
    process::Child,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::run::{Line, Outcome};

/// How long a server may take to start listening.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A server that runs until this is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// Its address.
    pub(crate) address: String,
}

impl Server {
    /// Starts the server on a port that the OS chooses, its last argument.
    pub(crate) fn start(name: &'static str, line: Line) -> Outcome<Self> {
        let mut child = line.words("127.0.0.1:0").start()?;
        let stdout = child.stdout.take();
        // From here on, its drop kills the server.
        let mut server = Self {
            child,
            address: String::new(),
        };
        let (sender, first) = mpsc::channel();
        thread::spawn(move || {
            // Read to EOF: a full pipe would stop the server.
            for line in stdout
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines())
            {
                let Ok(line) = line else { break };
                println!("{name}: {line}");
                // Only the first line is awaited.
                let _ = sender.send(line);
            }
        });
        let line = first
            .recv_timeout(START_LIMIT)
            .map_err(|_| "the server has not printed its address".to_owned())?;
        server.address = line
            .strip_prefix("listening on ")
            .ok_or(format!("not `listening on ADDRESS` but `{line}`"))?
            .to_owned();
        Ok(server)
    }

    pub(crate) fn is_alive(&mut self) -> Outcome {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the server has ended: {status}")),
            Err(error) => Err(format!("the server: {error}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has exited by itself, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
