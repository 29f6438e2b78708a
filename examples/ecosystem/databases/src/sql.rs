//! sqlx: a pool with tasks and sockets of Tokio.

use std::{net::SocketAddr, time::Duration};

use compio::compat::tokio::{Compat, run};
use futures_util::future::{join, try_join_all};
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
};

use crate::{LARGE, Outcome, cut};

pub(crate) const NAME: &str = "compio-sqlx";

pub(crate) const TAKE: &str = "UPDATE accounts SET amount = amount - 1 WHERE id = 1";
pub(crate) const GIVE: &str = "UPDATE accounts SET amount = amount + 1 WHERE id = 2";
pub(crate) const BALANCE: &str =
    "SELECT sum(amount), max(amount)::INT8 FROM accounts WHERE id IN (1, 2)";

/// A pool. Its drop, and that of its connections, needs the context of Tokio.
pub(crate) async fn open(address: SocketAddr) -> Outcome<Compat<PgPool>> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .username("postgres")
        .database("postgres")
        .application_name(NAME)
        .ssl_mode(PgSslMode::Disable);
    let pool = PgPoolOptions::new().max_connections(4);
    Ok(Compat::new(run(pool.connect_with(options)).await?))
}

pub(crate) async fn pooled(address: SocketAddr) -> Outcome<Compat<PgPool>> {
    let pool = open(address).await?;
    let request = pool.clone();
    let answer = run(async move {
        let query = sqlx::query_scalar("SELECT $1::INT4 * 7").bind(6);
        query.fetch_one(&request).await
    });
    assert_eq!(42i32, answer.await?);

    // More requests than connections.
    let sums = (0..500).map(|number| {
        let pool = pool.clone();
        run(async move {
            let sum = sqlx::query_scalar("SELECT $1::INT4 + 1").bind(number);
            let sum: i32 = sum.fetch_one(&pool).await?;
            assert_eq!(sum, number + 1);
            Ok::<_, sqlx::Error>(())
        })
    });
    try_join_all(sums).await?;

    let request = pool.clone();
    let rows = run(async move {
        let large =
            sqlx::query_scalar("SELECT repeat('x', 1024) FROM generate_series(1, $1::INT4)");
        let rows: Vec<String> = large
            .bind((LARGE / 1024) as i32)
            .fetch_all(&request)
            .await?;
        Ok::<_, sqlx::Error>(rows)
    });
    assert_eq!(rows.await?.iter().map(String::len).sum::<usize>(), LARGE);

    transfers(&pool).await?;
    notifications(&pool).await?;
    cancelled(&pool).await?;

    // A connection that is dropped on compio's thread, and one that is held until after the end of the runtime.
    let request = pool.clone();
    drop(Compat::new(
        run(async move { request.acquire().await }).await?,
    ));
    let request = pool.clone();
    let held = run(async move { request.acquire().await }).await?;
    compio::task::spawn(Compat::new(async move {
        let _held = held;
        std::future::pending::<()>().await;
    }));
    compio::task::yield_now().await;
    Ok(pool)
}

async fn transfer(mut transaction: Transaction<'_, Postgres>) -> Outcome {
    sqlx::query(TAKE).execute(&mut *transaction).await?;
    sqlx::query(GIVE).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Transactions that are dropped at each await, on the reactor's thread and on compio's.
async fn transfers(pool: &PgPool) -> Outcome {
    for is_remote in [true, false] {
        for waits in 0.. {
            let request = pool.clone();
            // A `begin` of sqlx 0.9 that is dropped leaves its connection in a transaction, also without compio.
            let cut = async move { cut(transfer(request.begin().await?), waits).await };
            let has_ended = if is_remote {
                run(cut).await?
            } else {
                Compat::new(cut).await?
            };
            let request = pool.clone();
            let balance = run(async move {
                let balance: (i64, i64) = sqlx::query_as(BALANCE).fetch_one(&request).await?;
                Ok::<_, sqlx::Error>(balance)
            });
            let (sum, _) = balance.await?;
            assert_eq!(sum, 0, "a part of a transaction after {waits} waits");
            if has_ended {
                break;
            }
        }
    }
    Ok(())
}

/// LISTEN and NOTIFY: the listener is polled in a task of compio.
async fn notifications(pool: &PgPool) -> Outcome {
    const COUNT: usize = 100;
    let request = pool.clone();
    let mut listener = run(async move {
        let mut listener = PgListener::connect_with(&request).await?;
        listener.listen("news").await?;
        Ok::<_, sqlx::Error>(listener)
    })
    .await?;
    let heard = Compat::new(async move {
        for number in 0..COUNT {
            let heard = listener.recv().await?;
            assert_eq!(heard.payload(), number.to_string());
        }
        Ok::<_, sqlx::Error>(())
    });
    let request = pool.clone();
    let told = run(async move {
        // The order of messages is the order of commits, which may differ between connections.
        let mut connection = request.acquire().await?;
        for number in 0..COUNT {
            let notify = sqlx::query("SELECT pg_notify('news', $1)").bind(number.to_string());
            notify.execute(&mut *connection).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    let (heard, told) = join(heard, told).await;
    Ok(heard.and(told)?)
}

/// Requests that a time limit drops. Their connections go back to the pool, or are replaced.
async fn cancelled(pool: &PgPool) -> Outcome {
    for _ in 0..8 {
        let request = pool.clone();
        let long = run(async move { sqlx::query("SELECT pg_sleep(0.2)").execute(&request).await });
        let limited = compio::time::timeout(Duration::from_millis(2), long);
        assert!(limited.await.is_err());
    }
    let request = pool.clone();
    let answer = run(async move { sqlx::query_scalar("SELECT 42").fetch_one(&request).await });
    assert_eq!(42i32, answer.await?);
    Ok(())
}

/// The number of queries that sleep in the server.
pub(crate) async fn waiting(pool: &PgPool) -> Outcome<i64> {
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND state = 'active'",
    );
    Ok(count.fetch_one(pool).await?)
}
