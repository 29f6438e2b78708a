//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Error, Parser, ValueExt};

use crate::{
    client::Manner,
    contender::Contender,
    contenders::{self},
    row::{Case, Row},
    rows::{self},
    workload::Load,
};

/// The text of `--help`.
pub const USAGE: &str = "\
Measures compio beside a raw io_uring loop and other runtimes.

usage: bench all [options]         every row
       bench row NAME [options]    one row
       bench rows                  what rows there are

options:
  --rounds N        runs of each contender at each case (7)
  --quick           3 rounds of a tenth of the work: to see that all runs, not to quote
  --only A,B,..     these contenders alone
  --out DIR         where the table, the plot and all single values go (results)";

/// The parsed command line.
pub enum Command {
    /// Print the usage.
    Help,
    /// Print the list of rows.
    Rows,
    /// Measure and report.
    Measure(Session),
    /// Be a worker: one contender at one case, once. (Internal.)
    Work {
        /// The row.
        row: &'static Row,
        /// The contender that runs it.
        contender: &'static Contender,
        /// The amount of work.
        load: Load,
    },
    /// Be the load client. (Internal.)
    Ask {
        /// The client's workload.
        manner: Manner,
        /// The server: an address or a path.
        address: String,
        /// The number of requests.
        load: Load,
    },
}

/// The rows to measure, and the number of rounds.
pub struct Session {
    /// The cases of each round.
    pub cases: Vec<Case>,
    /// The contenders that take part.
    pub contenders: Vec<&'static Contender>,
    /// Runs of each contender at each case.
    pub rounds: usize,
    /// The divisor of a run's work.
    pub shorten: usize,
    /// The directory of the report.
    pub out: PathBuf,
}

/// Parses the command line.
pub fn parse() -> Result<Command, Error> {
    let mut parser = Parser::from_env();
    match parser.next()? {
        Some(Arg::Value(command)) => match command.string()?.as_str() {
            "all" => session(parser, &rows::ROWS),
            "row" => {
                let name = parser.value()?.string()?;
                let row = rows::find(&name).ok_or_else(|| format!("there is no row {name}"))?;
                session(parser, &[row])
            }
            "rows" => Ok(Command::Rows),
            "worker" => worker(parser),
            "client" => client(parser),
            other => Err(format!("there is no command {other}").into()),
        },
        Some(Arg::Short('h') | Arg::Long("help")) | None => Ok(Command::Help),
        Some(other) => Err(other.unexpected()),
    }
}

fn session(mut parser: Parser, rows: &[&'static Row]) -> Result<Command, Error> {
    let mut session = Session {
        cases: Case::of(rows),
        contenders: contenders::CONTENDERS.to_vec(),
        rounds: 7,
        shorten: 1,
        out: "results".into(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("rounds") => session.rounds = parser.value()?.parse()?,
            Arg::Long("quick") => (session.rounds, session.shorten) = (3, 10),
            Arg::Long("only") => {
                let names = parser.value()?.string()?;
                session.contenders = names.split(',').map(contender).collect::<Result<_, _>>()?;
            }
            Arg::Long("out") => session.out = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    if session.rounds == 0 {
        return Err("at least one round".into());
    }
    Ok(Command::Measure(session))
}

fn worker(mut parser: Parser) -> Result<Command, Error> {
    let mut row = None;
    let mut contender_found = None;
    let mut width = None;
    let mut count = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("row") => {
                let name = parser.value()?.string()?;
                row = rows::find(&name);
            }
            Arg::Long("contender") => {
                contender_found = Some(contender(&parser.value()?.string()?)?);
            }
            Arg::Long("count") => count = Some(parser.value()?.parse()?),
            Arg::Long(name) if row.is_some_and(|row| row.width_name == name) => {
                width = Some(parser.value()?.parse()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    let row = row.ok_or("--row is missing or unknown")?;
    let contender = contender_found.ok_or("--contender is missing")?;
    if !(row.has)(contender) {
        return Err(format!("{} has no row {}", contender.name, row.name).into());
    }
    let width = width.unwrap_or(row.widths[0]);
    let count = count.unwrap_or_else(|| (row.count)(width));
    Ok(Command::Work {
        row,
        contender,
        load: load(width, count)?,
    })
}

fn client(mut parser: Parser) -> Result<Command, Error> {
    let mut manner = None;
    let mut address = None;
    let mut width = 0;
    let mut count = 0;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("manner") => manner = Manner::find(&parser.value()?.string()?),
            Arg::Long("address") => address = Some(parser.value()?.string()?),
            Arg::Long("connections") => width = parser.value()?.parse()?,
            Arg::Long("count") => count = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Ask {
        manner: manner.ok_or("--manner is missing or unknown")?,
        address: address.ok_or("--address is missing")?,
        load: load(width, count)?,
    })
}

fn contender(name: &str) -> Result<&'static Contender, Error> {
    contenders::find(name).ok_or_else(|| format!("there is no contender {name}").into())
}

fn load(width: usize, count: usize) -> Result<Load, Error> {
    if width == 0 || count == 0 || !count.is_multiple_of(width) {
        return Err(format!("{count} operations do not divide among {width}").into());
    }
    Ok(Load { width, count })
}
