//! The service of one connection, and the bounds of a service.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::Body;
use hyper::{Request, Response, body::Incoming, service::Service};
use pin_project_lite::pin_project;

use super::{
    activity::{ActiveRequest, Activity},
    body::{RequestBody, ResponseBody},
};
use crate::BoxError;

/// The services that a server accepts. Public functions list the same bounds, for their documentation.
pub(super) trait HttpService:
    Service<
        Request<RequestBody>,
        Response = Response<<Self as HttpService>::Body>,
        Error: Into<BoxError>,
    > + 'static
{
    /// The body of its responses.
    type Body: Body<Error: Into<BoxError>> + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>> + 'static,
    B: Body<Error: Into<BoxError>> + 'static,
{
    type Body = B;
}

/// The service of one connection, which counts its requests.
pub(super) struct ConnectionService<S> {
    inner: S,
    activity: Rc<Activity>,
    body_timeout: Option<Duration>,
}

impl<S> ConnectionService<S> {
    pub(super) fn new(inner: S, activity: Rc<Activity>, body_timeout: Option<Duration>) -> Self {
        Self {
            inner,
            activity,
            body_timeout,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let active = self.activity.begin_request();
        let request = request.map(|body| RequestBody::new(body, self.body_timeout));
        Answer {
            future: self.inner.call(request),
            active: Some(active),
        }
    }
}

pin_project! {
    /// The future of a response.
    pub(super) struct Answer<F> {
        #[pin]
        future: F,
        active: Option<ActiveRequest>,
    }
}

impl<F, B, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let active = this
            .active
            .take()
            .expect("a future is polled once to its end");
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, active))))
    }
}
