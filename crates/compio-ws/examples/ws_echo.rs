//! A WebSocket server that returns messages: `cargo run --example ws_echo -- 127.0.0.1:9001`. Other implementations are
//! run against it.

use std::{env, io};

use compio::{net::TcpListener, task};
use compio_ws::{CloseCode, Config, Error, accept_with, select_protocol};

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        task::spawn(async {
            if let Err(error) = echo(stream).await {
                eprintln!("{error}");
            }
        })
        .detach();
    }
}

async fn echo(stream: compio::net::TcpStream) -> Result<(), Error> {
    let config = Config::new();
    let (mut socket, _) = accept_with(stream, config, |request, mut response| {
        select_protocol(request.headers(), response.headers_mut(), &["echo"]);
        Ok(response)
    })
    .await?;
    let mut failure = Ok(());
    while let Some(message) = socket.recv().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => socket.send(message).await?,
            Ok(_) => {}
            Err(error) => failure = Err(error),
        }
    }
    // The peer may have closed the connection, or waits for the close code of the failure.
    socket.close(CloseCode::Normal, "").await?;
    failure
}
