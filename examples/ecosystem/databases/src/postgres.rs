//! tokio-postgres over a stream of compio: the connection is a task of compio.

use std::{future::poll_fn, net::SocketAddr};

use compio::{
    compat::tokio::{Compat, run},
    task,
};
use futures_util::future::{join, try_join_all};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use crate::{LARGE, Outcome, announce, cut, sql};

async fn open(address: SocketAddr) -> Outcome<Client> {
    let stream = crate::connect(address).await?;
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    // It ends when the client is dropped. Requests report its errors.
    task::spawn(connection);
    Ok(client)
}

pub(crate) async fn direct(address: SocketAddr) -> Outcome {
    let mut client = open(address).await?;
    let row = client.query_one("SELECT $1::INT4 * 7", &[&6]).await?;
    assert_eq!(row.get::<_, i32>(0), 42);

    // Requests that are polled together share round trips.
    let statement = client.prepare("SELECT $1::INT4 + 1").await?;
    let sums = (0..500).map(|number| {
        let (client, statement) = (&client, &statement);
        async move {
            let row = client.query_one(statement, &[&number]).await?;
            assert_eq!(row.get::<_, i32>(0), number + 1);
            Ok::<_, tokio_postgres::Error>(())
        }
    });
    try_join_all(sums).await?;

    let large = "SELECT repeat('x', 1024) FROM generate_series(1, $1::INT4)";
    let rows = client
        .query(large, &[&i32::try_from(LARGE / 1024)?])
        .await?;
    let bytes: usize = rows.iter().map(|row| row.get::<_, &str>(0).len()).sum();
    assert_eq!(bytes, LARGE);

    transfers(&mut client).await?;
    notifications(address, &client).await
}

/// Transactions that are dropped at each await: each happens as a whole, or not at all.
async fn transfers(client: &mut Client) -> Outcome {
    let table = "DROP TABLE IF EXISTS accounts; CREATE TABLE accounts (id INT4, amount INT4); \
                 INSERT INTO accounts VALUES (1, 0), (2, 0)";
    client.batch_execute(table).await?;
    for waits in 0.. {
        let transfer = async {
            let transaction = client.transaction().await?;
            transaction.execute(sql::TAKE, &[]).await?;
            transaction.execute(sql::GIVE, &[]).await?;
            Ok(transaction.commit().await?)
        };
        let has_ended = cut(transfer, waits).await?;
        // The next request waits for the end of the dropped transaction.
        let row = client.query_one(sql::BALANCE, &[]).await?;
        let (sum, given): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(sum, 0, "a part of a transaction after {waits} waits");
        assert!(given > 0 || !has_ended);
        if has_ended {
            return Ok(());
        }
    }
    Ok(())
}

/// LISTEN and NOTIFY, between two connections.
async fn notifications(address: SocketAddr, client: &Client) -> Outcome {
    const COUNT: usize = 100;
    let stream = crate::connect(address).await?;
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    let (listener, mut connection) = config.connect_raw(stream, NoTls).await?;
    let heard = task::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < COUNT {
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(note))) => heard.push(note.payload().to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok(heard)
    });
    listener.batch_execute("LISTEN news").await?;
    for number in 0..COUNT {
        let notify = "SELECT pg_notify('news', $1)";
        client.execute(notify, &[&number.to_string()]).await?;
    }
    let heard = heard.await??;
    let expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(heard, expected);
    Ok(())
}

/// Waits until the server has no connection of this name left.
pub(crate) async fn is_left(address: SocketAddr, name: &str) -> Outcome {
    let client = open(address).await?;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    while client.query_one(count, &[&name]).await?.get::<_, i64>(0) > 0 {
        compio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Queries of both libraries wait while the server is killed: each ends with an error.
pub(crate) async fn kill(address: SocketAddr) -> Outcome {
    const LONG: &str = "SELECT pg_sleep(600)";
    let client = open(address).await?;
    let pool = sql::open(address).await?;
    let pooled = pool.clone();
    let (direct, (by_run, by_compat)) = join(
        client.batch_execute(LONG),
        join(
            run(async move { sqlx::query(LONG).execute(&pooled).await }),
            Compat::new(async move {
                let counted = async {
                    // The third query of three.
                    while sql::waiting(&pool).await? < 3 {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    announce()
                };
                let in_compio = sqlx::query(LONG).execute(&*pool);
                let (announced, result) = join(counted, in_compio).await;
                announced.map(|()| result)
            }),
        ),
    )
    .await;
    for error in [
        direct.map(drop).unwrap_err().to_string(),
        by_run.map(drop).unwrap_err().to_string(),
        by_compat?.map(drop).unwrap_err().to_string(),
    ] {
        println!("error: {error}");
    }
    assert!(client.is_closed());
    let again = client.batch_execute("SELECT 1").await;
    println!("error: {}", again.unwrap_err());
    Ok(())
}
