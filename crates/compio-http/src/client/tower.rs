//! The client as a service, for layers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use compio::runtime::SendWrapper;
use http_body::Body;
use hyper::{Request, Response};
use tower_service::Service;

use super::{
    Client, Connect, Error, HttpConnector, ResponseBody, body::OutgoingBody, exchange::exchange,
};
use crate::BoxError;

/// With the feature `tower`: layers of `tower-http` go on top of a client, for instance `FollowRedirectLayer` for redirects,
/// `DecompressionLayer` for compressed content, and `SetRequestHeaderLayer` for headers of all requests.
///
/// ```no_run
/// use compio_http::{Client, hyper::Request};
/// use http_body_util::{BodyExt, Full};
/// use hyper::body::Bytes;
/// use tower::{Service, ServiceBuilder};
/// use tower_http::decompression::DecompressionLayer;
///
/// #[compio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let mut client = ServiceBuilder::new()
///         .layer(DecompressionLayer::new())
///         .service(Client::new());
///     let request = Request::get("http://example.com/").body(Full::<Bytes>::default())?;
///     let response = client.call(request).await?;
///     println!("{} bytes", response.into_body().collect().await?.to_bytes().len());
///     Ok(())
/// }
/// ```
impl<C, B> Service<Request<B>> for Client<C>
where
    C: Connect + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    /// Always ready: requests wait for connections within their future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let client = self.clone();
        Box::pin(async move {
            let request = request.map(OutgoingBody::stream);
            exchange(&client.0, request, client.0.deadlines).await
        })
    }
}

/// With the feature `tower`: a [`Client`] as a service whose response bodies are `Send`. The clients of tonic need one.
///
/// The example `examples/grpc` is a client of gRPC:
///
/// ```
/// use compio_http::{Client, client::SendClient};
///
/// let http = Client::builder().http2_prior_knowledge().build();
/// let http = SendClient::from(http);
/// // let mut greeter = GreeterClient::with_origin(http, "http://127.0.0.1:50051".parse()?);
/// # drop(http);
/// ```
#[derive(Debug)]
pub struct SendClient<C = HttpConnector>(Client<C>);

impl<C> From<Client<C>> for SendClient<C> {
    fn from(client: Client<C>) -> Self {
        Self(client)
    }
}

impl<C> Clone for SendClient<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C, B> Service<Request<B>> for SendClient<C>
where
    C: Connect + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<SendWrapper<ResponseBody>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    /// Always ready, as [`Client`].
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async move { Ok(response.await?.map(SendWrapper::new)) })
    }
}
