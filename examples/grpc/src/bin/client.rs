//! A gRPC client, over the HTTP/2 client of `compio-http`.
//!
//! `cargo run --release --bin client -- 127.0.0.1:50051 World`

use std::{env, error::Error};

use compio_examples_grpc::{Name, Path, greeter_client::GreeterClient};
use compio_http::{Client, client::SendClient};
use futures_util::stream;
use tonic::Code;

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:50051".into());
    let names: Vec<String> = arguments.collect();
    let name = |name: &str| Name { name: name.into() };

    let http = Client::builder().http2_prior_knowledge().build();
    let http = SendClient::from(http);
    let mut greeter = GreeterClient::with_origin(http, format!("http://{address}").parse()?);

    for one in &names {
        let greeting = greeter.greet(name(one)).await?;
        println!("{}", greeting.into_inner().text);
    }
    let error = greeter
        .greet(name(""))
        .await
        .expect_err("a name is missing");
    assert_eq!(error.code(), Code::InvalidArgument);

    let all: Vec<_> = names.iter().map(|one| name(one)).collect();
    let mut greetings = greeter.greet_all(stream::iter(all)).await?.into_inner();
    while let Some(greeting) = greetings.message().await? {
        println!("{}", greeting.text);
    }

    let path = Path {
        path: "/proc/self/limits".into(),
    };
    let mut lines = greeter.read(path).await?.into_inner();
    let mut count = 0;
    while lines.message().await?.is_some() {
        count += 1;
    }
    println!("{count} lines");
    Ok(())
}
