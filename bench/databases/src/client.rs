//! A client process: one connection, a fixed number of requests, and their cost.

use std::{
    fmt, net::SocketAddr, process, str::FromStr, sync::Arc, thread, time::Duration, time::Instant,
};

use compio::driver::BackendKind;
use nix::sys::resource::{UsageWho, getrusage};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection, cmd};
use tokio::runtime::Builder;
use tokio_postgres::{Config, NoTls, Statement};

use crate::{
    Outcome,
    row::{Database, Row},
    runtimes::{Compat, Compio, Runtime, Tokio},
};

/// The names of the clients, the base of the ratios first, and their names in the report.
pub(crate) const CLIENTS: [(&str, &str); 5] = [
    ("tokio", "tokio, current_thread"),
    ("tokio-multi", "tokio, multi_thread"),
    ("uring", "compio, io_uring"),
    ("readiness", "compio, readiness"),
    ("compat", "compio, `compat::tokio::run`"),
];

/// A client that hangs ends after this time.
const LIMIT: Duration = Duration::from_secs(60);

const KEY: &str = "key";
const VALUE: &str = "sixteen bytes...";

/// The result of one client.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// CPU time of the client for each request.
    pub(crate) micros: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.requests_per_second, self.micros)
    }
}

impl FromStr for Sample {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(line: &str) -> Outcome<Self> {
        let (requests_per_second, micros) = line.trim().split_once(' ').ok_or("not a sample")?;
        Ok(Self {
            requests_per_second: requests_per_second.parse()?,
            micros: micros.parse()?,
        })
    }
}

pub(crate) fn run(client: &str, row: &Row, address: SocketAddr, count: u32) -> Outcome<Sample> {
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("the client does not end");
        process::exit(1);
    });
    let compio = |backend| compio::runtime::Runtime::builder().backend(backend).build();
    let (uring, readiness) = (BackendKind::IoUring, BackendKind::Poll);
    match client {
        "tokio" => {
            let runtime = Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(measure::<Tokio>(row, address, count))
        }
        "tokio-multi" => {
            // Its default: a worker for each CPU of the process.
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .enable_io()
                .build()?;
            runtime.block_on(measure::<Tokio>(row, address, count))
        }
        "uring" => compio(uring)?.block_on(measure::<Compio>(row, address, count)),
        "readiness" => compio(readiness)?.block_on(measure::<Compio>(row, address, count)),
        "compat" => compio(uring)?.block_on(measure::<Compat>(row, address, count)),
        _ => Err(format!("no client has the name {client}").into()),
    }
}

async fn measure<R: Runtime>(row: &Row, address: SocketAddr, count: u32) -> Outcome<Sample> {
    let client = match row.database {
        Database::Postgres => open_postgres::<R>(address).await?,
        Database::Redis => open_redis::<R>(address).await?,
    };
    // Never zero.
    let each = (count / row.users).max(1);
    load::<R>(&client, row.users, each.div_ceil(10)).await?;
    let (cpu, begin) = (cpu_time()?, Instant::now());
    load::<R>(&client, row.users, each).await?;
    let (cpu, elapsed) = (cpu_time()? - cpu, begin.elapsed());
    let requests = f64::from(each * row.users);
    Ok(Sample {
        requests_per_second: requests / elapsed.as_secs_f64(),
        micros: cpu / requests,
    })
}

/// The users' requests, each of them in a task.
async fn load<R: Runtime>(client: &Client, users: u32, each: u32) -> Outcome {
    let user = |mut client: Client| async move {
        for _ in 0..each {
            R::request(&mut client).await?;
        }
        Ok(())
    };
    let mut tasks = Vec::new();
    for _ in 0..users {
        tasks.push(R::spawn(user(client.clone())));
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

/// One connection, which several users share.
#[derive(Clone)]
pub(crate) enum Client {
    Postgres(Arc<tokio_postgres::Client>, Statement),
    Redis(MultiplexedConnection),
}

impl Client {
    /// Makes one request, and checks its answer.
    pub(crate) async fn request(&mut self) -> Outcome {
        let is_right = match self {
            Self::Postgres(client, statement) => {
                let row = client.query_one(&*statement, &[&6]).await?;
                row.get::<_, i32>(0) == 7
            }
            Self::Redis(client) => {
                let value: String = cmd("GET").arg(KEY).query_async(client).await?;
                value == VALUE
            }
        };
        if is_right {
            Ok(())
        } else {
            Err("a wrong answer".into())
        }
    }
}

async fn open_postgres<R: Runtime>(address: SocketAddr) -> Outcome<Client> {
    let stream = R::connect(address).await?;
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    R::drive(async {
        // Its errors are those of the requests.
        let _ = connection.await;
    });
    let statement = client.prepare("SELECT $1::INT4 + 1").await?;
    Ok(Client::Postgres(Arc::new(client), statement))
}

async fn open_redis<R: Runtime>(address: SocketAddr) -> Outcome<Client> {
    let stream = R::connect(address).await?;
    // Its time limits are timers of tokio.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let info = RedisConnectionInfo::default();
    let (mut client, connection) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    R::drive(connection);
    let () = cmd("SET")
        .arg(KEY)
        .arg(VALUE)
        .query_async(&mut client)
        .await?;
    Ok(Client::Redis(client))
}

/// The CPU time of all threads of this process in microseconds.
fn cpu_time() -> nix::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}
