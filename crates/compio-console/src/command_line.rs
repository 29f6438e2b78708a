//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::text::escape;

/// The text of `--help`.
pub const HELP: &str = "\
Shows the workers, operations, tasks and connections of a running program of compio.

usage: compio-console SOCKET [--interval TIME] [--record FILE] [--once]
       compio-console --replay FILE [--once]

  SOCKET           the Unix socket of the program
  --interval TIME  time between two requests, as 1s, 500ms or 2m; 1s without it, at least 100ms
  --record FILE    records to a new file
  --replay FILE    shows a recorded file
  --once           prints an overview, and needs no terminal
  --help           prints this text
  --version        prints the version

The key `?` shows all keys.
";

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Observe a program.
    Attach {
        /// The Unix socket.
        socket: PathBuf,
        /// The time between two requests.
        interval: Duration,
        /// The file of a recording.
        record: Option<PathBuf>,
        /// Whether to print an overview.
        once: bool,
    },
    /// Show a recording.
    Replay {
        /// The file.
        file: PathBuf,
        /// Whether to print an overview.
        once: bool,
    },
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Parses the arguments after the program's name.
///
/// # Errors
///
/// A description of the argument that is wrong or missing.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let (mut socket, mut record, mut replay, mut interval) = (None, None, None, None);
    let mut once = false;
    let mut are_options = true;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (text.as_str(), None),
        };
        let mut value = || match attached {
            Some(value) => Ok(OsString::from(value)),
            None => arguments.next().ok_or(format!("{name} needs a value")),
        };
        match name {
            _ if !are_options => set(&mut socket, argument, "SOCKET")?,
            "--" => are_options = false,
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--once" => once = true,
            "--interval" => set(&mut interval, value()?, name)?,
            "--record" => set(&mut record, value()?, name)?,
            "--replay" => set(&mut replay, value()?, name)?,
            _ if name.starts_with('-') => {
                return Err(format!("unknown option {}", escape(name)));
            }
            _ => set(&mut socket, argument, "SOCKET")?,
        }
    }
    let interval_text = interval.as_ref().map(|text| text.to_string_lossy());
    let seconds = interval_text
        .map(|text| parse_interval(&text))
        .transpose()?;
    if once && record.is_some() {
        return Err("--record and --once exclude each other".into());
    }
    match (socket, replay) {
        (Some(socket), None) => Ok(Command::Attach {
            socket: socket.into(),
            interval: seconds.unwrap_or(Duration::from_secs(1)),
            record: record.map(PathBuf::from),
            once,
        }),
        (None, Some(_)) if record.is_some() => {
            Err("--record and --replay exclude each other".into())
        }
        (None, Some(file)) => Ok(Command::Replay {
            file: file.into(),
            once,
        }),
        (Some(_), Some(_)) => Err("SOCKET and --replay exclude each other".into()),
        (None, None) => Err("SOCKET is missing".into()),
    }
}

fn set(place: &mut Option<OsString>, value: OsString, name: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is there twice")),
    }
}

/// Parses a time as `1s`, `0.5s`, `500ms`, `2m` or `2` (seconds).
fn parse_interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("--interval: `{}` is no time from 100ms to 1h", escape(text));
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("", 1.0)];
    let mut units = units.into_iter();
    let (number, unit) = units
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = number * unit;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn attach(interval: Duration, record: Option<&str>) -> Result<Command, String> {
        Ok(Command::Attach {
            socket: "a.sock".into(),
            interval,
            record: record.map(PathBuf::from),
            once: false,
        })
    }

    #[test]
    fn options_are_parsed_in_any_order() {
        let second = Duration::from_secs(1);
        assert_eq!(parsed("a.sock"), attach(second, None));
        assert_eq!(parsed("-- a.sock"), attach(second, None));
        let half = Duration::from_millis(500);
        assert_eq!(
            parsed("--record b --interval 500ms a.sock"),
            attach(half, Some("b"))
        );
        assert_eq!(
            parsed("a.sock --interval=0.5 --record=b"),
            attach(half, Some("b"))
        );
        let file = PathBuf::from("c");
        assert_eq!(
            parsed("--replay c --once"),
            Ok(Command::Replay { file, once: true })
        );
        assert_eq!(parsed("--version a b c"), Ok(Command::Version));
        assert_eq!(parsed("x --help"), Ok(Command::Help));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, part) in [
            ("", "SOCKET is missing"),
            ("a b", "SOCKET is there twice"),
            ("a --interval", "--interval needs a value"),
            ("a --interval 0", "0"),
            ("a --interval 1e9s", "1e9s"),
            ("a --interval NaN", "NaN"),
            ("a --interval s", "`s`"),
            ("a --fast", "unknown option --fast"),
            ("a --replay b", "exclude"),
            ("--record a --replay b", "exclude"),
            ("a --record b --once", "exclude"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
