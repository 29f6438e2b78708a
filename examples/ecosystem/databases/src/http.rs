//! reqwest and `tokio::net`, with servers on compio in the same thread.

use std::{convert::Infallible, net::SocketAddr};

use compio::{
    compat::tokio::{Compat, run},
    io::{AsyncRead, AsyncWrite as _, AsyncWriteExt as _},
    net::TcpListener,
    task,
};
use compio_http::Http;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, service::service_fn};
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{LARGE, Outcome, cut};

/// Serves an echo until the runtime ends.
async fn serve() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = service_fn(async |request: Request<compio_http::RequestBody>| {
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::new(body)))
    });
    task::spawn(async move { Http::new().serve(listener, echo).await });
    Ok(address)
}

pub(crate) async fn visited() -> Outcome<Compat<Client>> {
    let address = serve().await?;
    let url = format!("http://{address}/");
    let client = Compat::new(Client::builder().no_proxy().build()?);
    let echo = |body: Vec<u8>| {
        let request = client.post(&url).body(body.clone());
        async move {
            let answer = request.send().await?.bytes().await?;
            assert_eq!(answer, body);
            Outcome::Ok(())
        }
    };
    run(echo(b"hello".to_vec())).await?;
    Compat::new(echo(b"hello".to_vec())).await?;
    run(echo(vec![7; LARGE])).await?;
    try_join_all((0..200).map(|_| run(echo(b"one of many".to_vec())))).await?;
    // Dropped at each await.
    for waits in 0.. {
        if Compat::new(cut(echo(vec![7; 100_000]), waits)).await? {
            break;
        }
    }
    run(echo(b"bye".to_vec())).await?;
    Ok(client)
}

/// `tokio::net` on the reactor's thread and on compio's, with a peer on compio.
pub(crate) async fn sockets() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    task::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            task::spawn(async move {
                let mut buffer = Vec::with_capacity(64 << 10);
                loop {
                    let read;
                    (read, buffer) = stream.read(buffer).await;
                    if read? == 0 {
                        return stream.shutdown().await;
                    }
                    let written;
                    (written, buffer) = stream.write_all(buffer).await;
                    written?;
                }
            });
        }
    });
    run(exchange(address)).await?;
    Compat::new(exchange(address)).await
}

/// Sends and receives at the same time, by sockets and tasks of Tokio.
async fn exchange(address: SocketAddr) -> Outcome {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        writer.write_all(&vec![7; LARGE]).await?;
        writer.shutdown().await
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await?;
    writing.await??;
    assert_eq!(received, vec![7; LARGE]);
    Ok(())
}
