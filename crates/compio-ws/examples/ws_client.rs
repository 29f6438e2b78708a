//! A client that checks a WebSocket server which returns messages: `cargo run --example ws_client -- 127.0.0.1:9001`.
//! It is run against other implementations.

use std::env;

use compio::task;
use compio_ws::{
    Bytes, ClientRequestBuilder, CloseCode, Error, Message, Stream, WebSocket, connect,
    tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

#[compio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let url = format!("ws://{address}/");
    lengths(&url).await?;
    fragments(&url).await?;
    pings(&url).await?;
    many(&url).await?;
    for (code, reason) in [
        (1000, "done"),
        (1001, ""),
        (3000, "own code"),
        (4999, "\u{20AC}"),
    ] {
        let mut socket = open(&url).await?;
        socket.close(code.into(), reason).await?;
    }
    println!("all checks have passed");
    Ok(())
}

async fn open(url: &str) -> Result<WebSocket<Stream>, Error> {
    let request = ClientRequestBuilder::new(url.parse().expect("a URL"));
    let request = request.with_sub_protocol("other").with_sub_protocol("echo");
    let (socket, response) = connect(request).await?;
    let protocol = &response.headers()["sec-websocket-protocol"];
    assert_eq!(protocol, "echo");
    Ok(socket)
}

async fn next(socket: &mut WebSocket<Stream>) -> Result<Message, Error> {
    socket.recv().await.ok_or(Error::Closed)?
}

/// Text and bytes around each form of the length.
async fn lengths(url: &str) -> Result<(), Error> {
    let mut socket = open(url).await?;
    for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 4 << 20] {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        let text = "\u{20AC}".repeat(len / 3);
        for message in [Message::from(bytes), Message::from(text)] {
            socket.send(message.clone()).await?;
            assert!(next(&mut socket).await? == message, "{len} bytes");
        }
    }
    socket.close(CloseCode::Normal, "").await
}

/// A text in three fragments, cut within a character, with a ping in between.
async fn fragments(url: &str) -> Result<(), Error> {
    let mut socket = open(url).await?;
    let fragment = |bytes, opcode, is_final| {
        let frame = Frame::message(Bytes::from_static(bytes), OpCode::Data(opcode), is_final);
        Message::Frame(frame)
    };
    socket
        .send(fragment(b"one \xE2", Data::Text, false))
        .await?;
    socket
        .send(fragment(b"\x82", Data::Continue, false))
        .await?;
    socket.send(Message::Ping("between".into())).await?;
    assert_eq!(next(&mut socket).await?, Message::Pong("between".into()));
    socket
        .send(fragment(b"\xAC two", Data::Continue, true))
        .await?;
    assert_eq!(next(&mut socket).await?, Message::text("one \u{20AC} two"));
    socket.close(CloseCode::Normal, "").await
}

async fn pings(url: &str) -> Result<(), Error> {
    let mut socket = open(url).await?;
    for len in [0, 1, 125] {
        let payload = Bytes::from(vec![b'p'; len]);
        socket.send(Message::Ping(payload.clone())).await?;
        assert_eq!(next(&mut socket).await?, Message::Pong(payload));
    }
    // An unsolicited pong has no answer.
    socket.send(Message::Pong("unsolicited".into())).await?;
    socket.send("after it").await?;
    assert_eq!(next(&mut socket).await?, Message::text("after it"));
    socket.close(CloseCode::Normal, "").await
}

/// Many messages both ways at once.
async fn many(url: &str) -> Result<(), Error> {
    const COUNT: usize = 5000;
    let (mut sender, mut receiver) = open(url).await?.split();
    let sending = task::spawn(async move {
        for number in 0..COUNT {
            sender.feed(number.to_string()).await?;
        }
        sender.flush().await?;
        Ok::<_, Error>(sender)
    });
    for number in 0..COUNT {
        let message = receiver.recv().await.ok_or(Error::Closed)??;
        assert_eq!(message, Message::text(number.to_string()));
    }
    let sender = sending.await.expect("it does not panic")?;
    let socket = sender.unsplit(receiver);
    let mut socket = socket.expect("two halves of one connection");
    socket.close(CloseCode::Normal, "").await
}
