//! fred: a client with tasks and sockets of Tokio.

use std::{net::SocketAddr, time::Duration};

use compio::compat::tokio::{Compat, run};
use fred::{
    clients::Client,
    interfaces::{
        ClientLike, EventInterface, KeysInterface, ListInterface, PubsubInterface,
        TransactionInterface,
    },
    types::{
        Value,
        config::{Config, ServerConfig},
    },
};
use futures_util::future::try_join_all;

use crate::{LARGE, Outcome, cut};

pub(crate) const NAME: &str = "compio-fred";

pub(crate) async fn open(address: SocketAddr) -> Outcome<Compat<Client>> {
    let config = Config {
        server: ServerConfig::new_centralized(address.ip().to_string(), address.port()),
        ..Config::default()
    };
    let client = run(async move {
        let client = Client::new(config, None, None, None);
        client.init().await?;
        let name = fred::types::CustomCommand::new_static("CLIENT", None::<u16>, false);
        let () = client.custom(name, vec!["SETNAME", NAME]).await?;
        Ok::<_, fred::error::Error>(client)
    });
    Ok(Compat::new(client.await?))
}

pub(crate) async fn pooled(address: SocketAddr) -> Outcome<Compat<Client>> {
    let client = open(address).await?;
    let request = client.clone();
    let answer: i32 = run(async move {
        let () = request.set("answer", 42, None, None, false).await?;
        request.get("answer").await
    })
    .await?;
    assert_eq!(answer, 42);

    let counts = (0..500).map(|_| {
        let client = client.clone();
        run(async move { client.incr::<i64, _>("fred-count").await })
    });
    let mut counts = try_join_all(counts).await?;
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=500));
    let request = client.clone();
    let counts: Vec<i64> = run(async move {
        let batch = request.pipeline();
        for _ in 0..500 {
            let () = batch.decr("fred-count").await?;
        }
        batch.all().await
    })
    .await?;
    assert!(counts.into_iter().eq((0..500).rev()));

    let request = client.clone();
    let same: String = run(async move {
        let () = request
            .set("large", "x".repeat(LARGE), None, None, false)
            .await?;
        request.get("large").await
    })
    .await?;
    assert_eq!(same.len(), LARGE);

    transfers(&client).await?;
    messages(&client).await?;
    cancelled(&client).await?;
    Ok(client)
}

async fn transfer(client: &Client) -> Outcome {
    let transaction = client.multi();
    let () = transaction.decr("fred-one").await?;
    let () = transaction.incr("fred-other").await?;
    let (_, _): (i64, i64) = transaction.exec(true).await?;
    Ok(())
}

/// Transactions that are dropped at each await, on the reactor's thread and on compio's.
async fn transfers(client: &Client) -> Outcome {
    for is_remote in [true, false] {
        for waits in 0.. {
            let request = client.clone();
            let cut = async move { cut(transfer(&request), waits).await };
            let has_ended = if is_remote {
                run(cut).await?
            } else {
                Compat::new(cut).await?
            };
            let request = client.clone();
            let balance: (Option<i64>, Option<i64>) =
                run(async move { request.mget(vec!["fred-one", "fred-other"]).await }).await?;
            let sum = balance.0.unwrap_or(0) + balance.1.unwrap_or(0);
            assert_eq!(sum, 0, "a part of a transaction after {waits} waits");
            if has_ended {
                break;
            }
        }
    }
    Ok(())
}

async fn messages(publisher: &Client) -> Outcome {
    const COUNT: i64 = 100;
    let subscriber = publisher.clone_new();
    let publisher = publisher.clone();
    let subscribed = Compat::new(async move {
        subscriber.init().await?;
        let mut heard = subscriber.message_rx();
        subscriber.subscribe("news").await?;
        for number in 0..COUNT {
            let () = publisher.publish("news", number).await?;
            // Its channel drops messages that wait too long.
            let message = heard.recv().await?;
            assert_eq!(message.value.as_i64(), Some(number));
        }
        subscriber.quit().await?;
        Outcome::Ok(())
    });
    subscribed.await
}

/// A request that a time limit drops. The client goes on once the server has answered it.
async fn cancelled(client: &Client) -> Outcome {
    let request = client.clone();
    let long = run(async move { request.blpop::<Value, _>("nothing", 0.2).await });
    let limited = compio::time::timeout(Duration::from_millis(2), long);
    assert!(limited.await.is_err());
    let request = client.clone();
    let answer: i32 = run(async move { request.get("answer").await }).await?;
    assert_eq!(answer, 42);
    Ok(())
}

/// Ends a client, whose tasks would go on.
pub(crate) async fn quit(client: Compat<Client>) -> Outcome {
    let request = client.clone();
    Ok(run(async move { request.quit().await }).await?)
}

/// Waits for an element that never comes.
pub(crate) async fn wait(client: &Client) -> Result<Value, fred::error::Error> {
    client.blpop("nothing", 0.0).await
}
