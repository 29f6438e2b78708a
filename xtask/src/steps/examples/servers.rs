//! The server examples: started on a port that the OS chooses, visited by a client in Python, and
//! checked to be still running.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Child,
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{LIMIT, example, peer};
use crate::run::{Outcome, Run};

/// How long a server may take to start listening.
const START_LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn echo(run: &mut Run) -> Outcome {
    visit(run, "echo", None)
}

pub(crate) fn chat(run: &mut Run) -> Outcome {
    visit(run, "chat", None)
}

pub(crate) fn serve(run: &mut Run) -> Outcome {
    let folder = run.scratch("serve")?;
    let files = [
        ("empty", 0),
        ("large", 5_000_000),
        ("sub/one byte & <more>.txt", 1),
    ];
    fs::create_dir_all(folder.join("sub")).map_err(|error| error.to_string())?;
    for (name, len) in files {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        fs::write(folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))?;
    }
    visit(run, "serve", Some(&folder))
}

/// Starts the server, with a folder if one is given, runs the client of the same name against it,
/// and checks that the server survived.
fn visit(run: &mut Run, name: &'static str, folder: Option<&Path>) -> Outcome {
    let Some(client) = peer(run, name, &format!("the example {name}"))? else {
        return Ok(());
    };
    let mut server = Server::start(run, name, folder)?;
    let folder = folder.into_iter().map(Path::display);
    let client = client.arguments([&server.address]).arguments(folder);
    client.run_within(LIMIT)?;
    server.is_alive()
}

/// A server that runs until this is dropped.
struct Server {
    child: Child,
    /// Its address.
    address: String,
}

impl Server {
    fn start(run: &Run, name: &'static str, folder: Option<&Path>) -> Outcome<Self> {
        let folder = folder.into_iter().map(Path::display);
        let line = example(run, name).arguments(folder).words("127.0.0.1:0");
        let mut child = line.start()?;
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

    fn is_alive(&mut self) -> Outcome {
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
