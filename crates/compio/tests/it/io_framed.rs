//! Frames over real sockets.

use std::future::ready;

use compio::{
    framed::{Framed, FramedRead, LengthDelimitedCodec, LinesCodec},
    io::{AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::{spawn, yield_now},
};

use crate::support::{First, pattern, run, select, tcp_pair};

/// A stream of frames over a socket's halves.
macro_rules! framed {
    ($stream:expr, $codec:expr) => {{
        let stream: TcpStream = $stream;
        let (reader, writer) = stream.into_split();
        Framed::new(reader, writer, $codec)
    }};
}

#[test]
fn questions_and_answers() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut server = framed!(server, LengthDelimitedCodec::new());
        let echo = spawn(async move {
            while let Some(frame) = server.next().await {
                server.send(frame.unwrap()).await.unwrap();
            }
        });
        let mut client = framed!(client, LengthDelimitedCodec::new());
        for len in [0, 1, 4, 5_000, 1 << 20] {
            client.feed(pattern(len)).await.unwrap();
            let answer = async {
                client.flush().await.unwrap();
                client.next().await.unwrap().unwrap()
            };
            assert!(answer.await == pattern(len)[..]);
        }
        client.close().await.unwrap();
        assert!(client.next().await.is_none());
        echo.await.unwrap();
    });
}

#[test]
fn sending_while_the_next_frame_is_awaited() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut client = framed!(client, LinesCodec::new());
        let mut server = framed!(server, LinesCodec::new());
        let answers = spawn(async move {
            assert_eq!(server.next().await.unwrap().unwrap(), "question");
            server.send("answer").await.unwrap();
        });
        let mut asked = false;
        let answer = loop {
            match select(client.next(), yield_now()).await {
                First::Left(answer) => break answer.unwrap().unwrap(),
                First::Right(()) if !asked => {
                    client.send("question").await.unwrap();
                    asked = true;
                }
                First::Right(()) => {}
            }
        };
        assert_eq!(answer, "answer");
        answers.await.unwrap();
    });
}

#[test]
fn no_frame_is_lost_in_a_select() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let sender = spawn(async move {
            let lines: String = (0..2000).map(|index| format!("line {index}\n")).collect();
            for chunk in lines.as_bytes().chunks(13) {
                client.write_all(chunk.to_vec()).await.0.unwrap();
                yield_now().await;
            }
            client.shutdown().await.unwrap();
        });
        let mut lines = FramedRead::new(server, LinesCodec::new_with_max_length(20));
        let (mut seen, mut dropped) = (0, 0);
        loop {
            match select(lines.next(), ready(())).await {
                First::Left(None) => break,
                First::Left(Some(line)) => {
                    assert_eq!(line.unwrap(), format!("line {seen}"));
                    seen += 1;
                }
                First::Right(()) => {
                    dropped += 1;
                    yield_now().await;
                }
            }
        }
        assert_eq!(seen, 2000);
        assert!(dropped > 0);
        sender.await.unwrap();
    });
}
