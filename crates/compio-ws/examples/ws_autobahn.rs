//! A client of the Autobahn test suite, in its mode `fuzzingserver`: `cargo run --example ws_autobahn -- 127.0.0.1:9002`.
//! It returns the messages of each case, and lets the suite write its report.

use std::{env, io};

use compio_ws::{CloseCode, Error, connect};

#[compio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9002".into());
    let (mut socket, _) = connect(format!("ws://{address}/getCaseCount")).await?;
    let message = socket.recv().await.ok_or(Error::Closed)??;
    let count: u32 = message.to_string().parse().map_err(io::Error::other)?;
    socket.close(CloseCode::Normal, "").await?;
    println!("{count} cases");
    for case in 1..=count {
        // The suite judges the failures.
        let url = format!("ws://{address}/runCase?case={case}&agent=compio-ws");
        if let Err(error) = return_messages(&url).await {
            println!("case {case}: {error}");
        }
    }
    let (mut socket, _) = connect(format!("ws://{address}/updateReports?agent=compio-ws")).await?;
    socket.close(CloseCode::Normal, "").await
}

async fn return_messages(url: &str) -> Result<(), Error> {
    let (mut socket, _) = connect(url).await?;
    let mut failure = Ok(());
    while let Some(message) = socket.recv().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => socket.send(message).await?,
            Ok(_) => {}
            Err(error) => failure = Err(error),
        }
    }
    socket.close(CloseCode::Normal, "").await?;
    failure
}
