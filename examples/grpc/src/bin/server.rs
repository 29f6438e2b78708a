//! A gRPC server on all cores. Ctrl-C stops it.
//!
//! `cargo run --release --bin server -- 127.0.0.1:50051`

use std::{env, io, pin::Pin, time::Duration};

use compio::{
    cores::Server,
    fs::File,
    io::{AsyncBufReadExt, BufReader, Cursor},
    runtime::SendWrapper,
    signal,
};
use compio_examples_grpc::{
    Greeting, Line, Name, Path,
    greeter_server::{Greeter, GreeterServer},
};
use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// A stream of responses.
type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Greeters;

#[tonic::async_trait]
impl Greeter for Greeters {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        greeting(request.into_inner()).map(Response::new)
    }

    type GreetAllStream = Responses<Greeting>;

    async fn greet_all(
        &self,
        names: Request<Streaming<Name>>,
    ) -> Result<Response<Self::GreetAllStream>, Status> {
        let greetings = names.into_inner().map(|name| greeting(name?));
        Ok(Response::new(Box::pin(greetings)))
    }

    type ReadStream = Responses<Line>;

    async fn read(&self, path: Request<Path>) -> Result<Response<Self::ReadStream>, Status> {
        // tonic requires `Send`, and the operations of compio stay on their thread. The wrapper checks that they do.
        let open = SendWrapper::new(async move { File::open_async(path.into_inner().path).await });
        let lines = SendWrapper::new(lines(open.await?));
        Ok(Response::new(Box::pin(lines)))
    }
}

fn lines(file: File) -> impl Stream<Item = Result<Line, Status>> {
    let lines = BufReader::new(Cursor::new(file)).lines();
    stream::try_unfold(lines, async |mut lines| {
        let line = lines.next_line().await?;
        Ok(line.map(|text| (Line { text }, lines)))
    })
}

fn greeting(name: Name) -> Result<Greeting, Status> {
    if name.name.is_empty() {
        return Err(Status::invalid_argument("no name"));
    }
    Ok(Greeting {
        text: format!("Hello, {}", name.name),
    })
}

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:50051".into());
    let router = Routes::new(GreeterServer::new(Greeters)).into_axum_router();
    let server = compio_axum::start(Server::bind(&address).await?, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await
}
