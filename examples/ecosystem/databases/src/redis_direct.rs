//! The crate redis over a stream of compio: the connection is a task of compio.

use std::{net::SocketAddr, time::Duration};

use compio::{compat::tokio::run, runtime::SendWrapper, task};
use futures_util::future::{join, try_join_all};
use redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisResult,
    Value, aio::MultiplexedConnection, cmd, pipe,
};
use tokio::sync::mpsc;

use crate::{LARGE, Outcome, announce, cut, redis_fred};

/// A connection, and the messages of its subscriptions.
async fn open(
    address: SocketAddr,
) -> Outcome<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
    // The library requires `Send`, and uses the stream in the task below only.
    let stream = SendWrapper::new(crate::connect(address).await?);
    let (sender, pushed) = mpsc::unbounded_channel();
    // Its time limits are timers of Tokio: use compio's.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_push_sender(sender);
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    let (client, connection) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    task::spawn(connection);
    Ok((client, pushed))
}

pub(crate) async fn direct(address: SocketAddr) -> Outcome {
    let (mut client, _pushed) = open(address).await?;
    let () = cmd("FLUSHALL").query_async(&mut client).await?;
    let () = set("answer", "42").query_async(&mut client).await?;
    let answer: i32 = cmd("GET").arg("answer").query_async(&mut client).await?;
    assert_eq!(answer, 42);

    // Requests of several users of the connection share round trips.
    let counts = (0..500).map(|_| {
        let mut client = client.clone();
        async move {
            cmd("INCR")
                .arg("count")
                .query_async::<i64>(&mut client)
                .await
        }
    });
    let mut counts = try_join_all(counts).await?;
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=500));
    let mut batch = pipe();
    for _ in 0..500 {
        batch.cmd("DECR").arg("count").ignore();
    }
    let () = batch.query_async(&mut client).await?;
    let count: i64 = cmd("GET").arg("count").query_async(&mut client).await?;
    assert_eq!(count, 0);

    let large = "x".repeat(LARGE);
    let () = set("large", &large).query_async(&mut client).await?;
    let same: String = cmd("GET").arg("large").query_async(&mut client).await?;
    assert_eq!(same, large);

    transfers(&mut client).await?;
    messages(address, &mut client).await
}

fn set(key: &str, value: &str) -> redis::Cmd {
    let mut set = cmd("SET");
    set.arg(key).arg(value);
    set
}

/// Transactions that are dropped at each await: each happens as a whole, or not at all.
async fn transfers(client: &mut MultiplexedConnection) -> Outcome {
    for waits in 0.. {
        let mut transfer = pipe();
        transfer.atomic().cmd("DECR").arg("one");
        transfer.cmd("INCR").arg("other");
        let mut other = client.clone();
        let transfer = async { Ok(transfer.query_async::<Value>(&mut other).await?) };
        let has_ended = cut(transfer, waits).await?;
        let balance = cmd("MGET").arg("one").arg("other").to_owned();
        let (one, other): (Option<i64>, Option<i64>) = balance.query_async(client).await?;
        let sum = one.unwrap_or(0) + other.unwrap_or(0);
        assert_eq!(sum, 0, "a part of a transaction after {waits} waits");
        if has_ended {
            break;
        }
    }
    Ok(())
}

async fn messages(address: SocketAddr, client: &mut MultiplexedConnection) -> Outcome {
    const COUNT: usize = 100;
    let (mut subscriber, mut pushed) = open(address).await?;
    subscriber.subscribe("news").await?;
    for number in 0..COUNT {
        let publish = cmd("PUBLISH").arg("news").arg(number).to_owned();
        assert_eq!(publish.query_async::<usize>(client).await?, 1);
    }
    for number in 0..COUNT {
        let heard = loop {
            let push = pushed.recv().await.ok_or("the connection has ended")?;
            if push.kind == PushKind::Message {
                break push.data;
            }
        };
        let number = Value::BulkString(number.to_string().into());
        assert_eq!(heard, [Value::BulkString("news".into()), number]);
    }
    Ok(())
}

/// Waits until the server has no connection of this name left.
pub(crate) async fn is_left(address: SocketAddr, name: &str) -> Outcome {
    let (mut client, _pushed) = open(address).await?;
    let is_there = async |client: &mut MultiplexedConnection| -> RedisResult<bool> {
        let list: String = cmd("CLIENT").arg("LIST").query_async(client).await?;
        Ok(list.contains(name))
    };
    while is_there(&mut client).await? {
        compio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Requests of both libraries wait while the server is killed: each ends with an error.
pub(crate) async fn kill(address: SocketAddr) -> Outcome {
    let (mut client, mut pushed) = open(address).await?;
    let (mut watcher, _pushed) = open(address).await?;
    let fred = redis_fred::open(address).await?;
    let waiting = fred.clone();
    let announced = async {
        loop {
            let info = cmd("INFO").arg("clients").to_owned();
            let info: String = info.query_async(&mut watcher).await?;
            if info.contains("blocked_clients:2") {
                return announce();
            }
            compio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let wait = cmd("BLPOP").arg("nothing").arg(0).to_owned();
    let (announced, (direct, by_run)) = join(
        announced,
        join(
            wait.query_async::<Value>(&mut client),
            run(async move { redis_fred::wait(&waiting).await }),
        ),
    )
    .await;
    announced?;
    println!("error: {}", direct.unwrap_err());
    println!("error: {}", by_run.unwrap_err());
    let again = cmd("PING").query_async::<Value>(&mut client).await;
    println!("error: {}", again.unwrap_err());
    while let Some(push) = pushed.recv().await {
        if push.kind == PushKind::Disconnection {
            break;
        }
    }
    Ok(())
}
