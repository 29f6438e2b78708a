//! A terminal console for running programs of compio.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use compio_console::{
    command_line::{self, Command},
    once, sys, terminal,
};

fn main() -> ExitCode {
    let command = match command_line::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            complain(&format!("{error}\n\n{}", command_line::HELP));
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error. A terminal that has gone is no cause for a panic.
fn complain(error: &str) {
    let _ = writeln!(io::stderr(), "compio-console: {}", error.trim_end());
}

fn run(command: Command) -> Result<(), String> {
    if matches!(command, Command::Attach { .. }) && !sys::HAS_UNIX_SOCKETS {
        return Err("a program is observed over a Unix socket, which this system lacks".into());
    }
    match command {
        Command::Help => print(command_line::HELP),
        Command::Version => print(&format!("compio-console {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Attach {
            socket,
            interval,
            once: true,
            ..
        } => print(&once::of_program(&socket, interval)?),
        Command::Attach {
            socket,
            interval,
            record,
            once: false,
        } => terminal::attach(&socket, interval, record.as_deref()),
        Command::Replay { file, once: true } => print(&once::of_recording(&file)?),
        Command::Replay { file, once: false } => terminal::replay(&file),
    }
}

/// Prints a text. A reader that has gone is no error.
fn print(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}
