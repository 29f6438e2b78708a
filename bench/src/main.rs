//! Measures compio beside a raw io_uring loop and other runtimes.
//!
//! ```text
//! cargo run --release -- all            every row, interleaved; a table and a plot
//! cargo run --release -- row echo       one row
//! ```
//!
//! [`session`] starts one process per case, contender and round (the `worker` command), so that one
//! runtime cannot affect the measurement of another. In a worker, a [`contenders`] entry does the
//! work of a [`rows`] entry; [`client`] is the load of the rows with a server, also a process. Both speak
//! in the words of [`workload`]; [`row`] and [`contender`] are the types of the two lists.
//! [`report`] makes the table and the plot.

mod client;
mod command;
mod contender;
mod contenders;
mod cost;
mod place;
mod report;
mod row;
mod rows;
mod session;
mod workload;

use std::{fs, io, process::ExitCode, thread, time::Duration};

use command::{Command, Session};
use workload::PATIENCE;

fn main() -> ExitCode {
    let done = match command::parse() {
        Ok(command) => carry_out(command),
        Err(error) => {
            eprintln!("{error}\n\n{}", command::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Err(error) = done {
        eprintln!("bench: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn carry_out(command: Command) -> io::Result<()> {
    match command {
        Command::Help => println!("{}", command::USAGE),
        Command::Rows => {
            for row in rows::ROWS {
                println!("{:24} {}", row.name, row.about);
            }
        }
        Command::Measure(session) => measure(&session)?,
        Command::Work {
            row,
            contender,
            load,
        } => {
            give_up_after(PATIENCE);
            place::raise_limits()?;
            place::pin(place::SERVER_CORE)?;
            let values = (row.run)(contender, load)?;
            println!("{}", session::line(&values));
        }
        Command::Ask {
            manner,
            address,
            load,
        } => {
            give_up_after(PATIENCE);
            place::raise_limits()?;
            place::pin(place::CLIENT_CORE)?;
            client::run(manner, &address, load)?;
        }
    }
    Ok(())
}

fn measure(session: &Session) -> io::Result<()> {
    fs::create_dir_all(&session.out)?;
    let results = session::measure(session)?;
    report::write(&results, &session.out)
}

/// Ends this process after the time limit.
fn give_up_after(patience: Duration) {
    thread::spawn(move || {
        thread::sleep(patience);
        eprintln!("not done after {} s", patience.as_secs());
        std::process::exit(1);
    });
}
