//! Clients of Postgres, Redis and HTTP servers on compio. A library that takes any stream runs in a task of compio, over a
//! `PollStream`. A library that opens its own connections runs by `compio::compat::tokio`.
//!
//! | library | way | file |
//! |---|---|---|
//! | tokio-postgres | a stream of compio | `postgres.rs` |
//! | sqlx | Tokio's reactor | `sql.rs` |
//! | redis | a stream of compio | `redis_direct.rs` |
//! | fred | Tokio's reactor | `redis_fred.rs` |
//! | reqwest, `tokio::net` | Tokio's reactor | `http.rs` |
//!
//! Each makes queries, sends several at once, is dropped at each await, moves megabytes, and gets notifications. Then its
//! objects are dropped after the end of compio's runtime. `killed` instead waits for an answer while the server is
//! killed.
//!
//! ```console
//! $ cargo run -p compio-examples-databases -- all 127.0.0.1:5432 127.0.0.1:6379
//! $ cargo run -p compio-examples-databases -- killed postgres 127.0.0.1:5432
//! ```

mod http;
mod postgres;
mod redis_direct;
mod redis_fred;
mod sql;

use std::{
    env,
    error::Error,
    future::poll_fn,
    io::Write,
    net::SocketAddr,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use compio::{
    net::{PollStream, TcpStream},
    runtime::Runtime,
    time::timeout,
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The size of a large answer.
const LARGE: usize = 16 << 20;

fn main() -> Outcome {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["all", postgres, redis] => all(postgres.parse()?, redis.parse()?),
        ["killed", "postgres", address] => killed(postgres::kill(address.parse()?)),
        ["killed", "redis", address] => killed(redis_direct::kill(address.parse()?)),
        _ => Err("usage: all POSTGRES REDIS | killed postgres|redis ADDRESS".into()),
    }
}

fn all(postgres: SocketAddr, redis: SocketAddr) -> Outcome {
    step("tokio-postgres, directly", postgres::direct(postgres))?;
    let pool = step("sqlx, by Tokio's reactor", sql::pooled(postgres))?;
    // Its runtime has ended. The destructor starts tasks of Tokio.
    drop(pool);
    step("sqlx: dropped", postgres::is_left(postgres, sql::NAME))?;
    step("redis, directly", redis_direct::direct(redis))?;
    let client = step("fred, by Tokio's reactor", redis_fred::pooled(redis))?;
    // Its tasks are on the reactor, and go on in the next runtime of compio.
    step("fred: ended", redis_fred::quit(client))?;
    step(
        "fred: dropped",
        redis_direct::is_left(redis, redis_fred::NAME),
    )?;
    let client = step("reqwest, by Tokio's reactor", http::visited())?;
    drop(client);
    step("tokio::net, by Tokio's reactor", http::sockets())
}

/// Waits with a request until the server is killed.
fn killed(waiting: impl Future<Output = Outcome>) -> Outcome {
    step("killed", waiting)
}

/// Runs a future in a compio runtime that ends with it.
fn step<T>(name: &str, body: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let (runtime, start) = (Runtime::new()?, Instant::now());
    let output = runtime.block_on(async { timeout(PATIENCE, body).await })??;
    drop(runtime);
    println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(output)
}

/// Announces that the server may be killed now.
fn announce() -> Outcome {
    println!("waiting");
    Ok(std::io::stdout().flush()?)
}

/// A connection that libraries of Tokio can use.
async fn connect(address: SocketAddr) -> Outcome<PollStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(PollStream::new(stream)?)
}

/// Polls a future until it has waited so many times, and drops it then. Returns whether it has ended before.
async fn cut<T>(future: impl Future<Output = Outcome<T>>, waits: usize) -> Outcome<bool> {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(Ok(_)) => Poll::Ready(Ok(true)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending if left == 0 => Poll::Ready(Ok(false)),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
