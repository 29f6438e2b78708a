//! The traits `Stream` and `Sink`.

use compio_testkit::future::both;
use compio_ws::{Error, Message};
use futures_util::{SinkExt, StreamExt, stream};

use crate::support::in_memory;

#[test]
fn a_sink_sends_and_closes_and_a_stream_ends() {
    crate::support::run(async {
        let (mut client, mut server) = in_memory(100);
        let sending = async {
            let messages = (0..100).map(|number| Ok(Message::text(number.to_string())));
            client.send_all(&mut stream::iter(messages)).await.unwrap();
            SinkExt::close(&mut client).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_close());
            assert!(client.next().await.is_none());
        };
        let receiving = async {
            let mut texts = Vec::new();
            while let Some(message) = server.next().await {
                texts.push(message.unwrap());
            }
            assert_eq!(texts.len(), 101);
            assert_eq!(texts[99], Message::text("99"));
            assert!(texts[100].is_close());
        };
        both(sending, receiving).await;
        let refused = SinkExt::send(&mut client, Message::text("late")).await;
        assert!(matches!(refused, Err(Error::Closed)));
    });
}

#[test]
fn the_halves_of_an_echo_are_forwarded() {
    crate::support::run(async {
        let (mut client, server) = in_memory(100);
        let (sender, receiver) = server.split();
        let echo = receiver
            .take_while(|message| {
                let is_text = message.as_ref().is_ok_and(Message::is_text);
                async move { is_text }
            })
            .forward(sender);
        let asking = async {
            client.send("hello").await.unwrap();
            assert_eq!(
                client.recv().await.unwrap().unwrap(),
                Message::text("hello")
            );
            client.send(Message::binary("not text")).await.unwrap();
            assert!(client.recv().await.unwrap().unwrap().is_close());
        };
        let (forwarded, ()) = both(echo, asking).await;
        forwarded.unwrap();
    });
}
