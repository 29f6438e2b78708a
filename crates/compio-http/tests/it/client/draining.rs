//! The client of a worker whose dispatcher is shut down.

use std::time::Duration;

use super::{
    peer::{numbers, receive},
    pool::{get, held},
};
use crate::support::run;
use compio::{cores::Dispatcher, task, time::timeout};
use compio_http::{Client, client::ClientBuilder};

/// Less than the usual time of an idle connection.
const LONG: Duration = Duration::from_secs(20);

thread_local! {
    /// Lives as long as the thread of the worker.
    static CLIENT: Client = settings().build();
}

fn settings() -> ClientBuilder {
    Client::builder().idle_timeout(None)
}

async fn shut_down(dispatcher: Dispatcher) {
    let ended = timeout(LONG, dispatcher.shutdown()).await;
    ended
        .expect("idle connections delay the end")
        .expect("no panic");
}

#[test]
fn idle_connections_end_with_the_worker() {
    let peer = numbers();
    run(async {
        let dispatcher = Dispatcher::builder().workers(1).build().unwrap();
        let url = peer.url("/");
        let answer =
            dispatcher.dispatch(async move || get(&CLIENT.with(Client::clone), &url).await);
        assert_eq!(answer.await.unwrap(), "0");
        shut_down(dispatcher).await;
    });
}

#[test]
fn requests_in_progress_are_answered_before_the_worker_ends() {
    let (peer, arrived, release) = held();
    run(async {
        let dispatcher = Dispatcher::builder().workers(1).build().unwrap();
        let url = [peer.url("/one"), peer.url("/two")];
        let answers = dispatcher.dispatch(async move || {
            let client = CLIENT.with(Client::clone);
            let one = get(&client, &url[0]).await;
            // The shutdown has begun: another connection.
            (one, get(&client, &url[1]).await)
        });
        let ((), arrived) = receive(arrived).await;
        let ended = task::spawn(shut_down(dispatcher));
        task::yield_now().await;
        release.send(()).unwrap();
        receive(arrived).await;
        release.send(()).unwrap();
        let (one, two) = answers.await.unwrap();
        assert_eq!((&*one, &*two), ("/one", "/two"));
        ended.await.unwrap();
    });
}

#[cfg(feature = "http2")]
mod http2 {
    use std::convert::Infallible;

    use http_body_util::Full;
    use hyper::{Response, service::service_fn};

    use super::{Client, Dispatcher, get, run, settings, shut_down};
    use crate::support::start;

    thread_local! {
        static CLIENT: Client = settings().http2_prior_knowledge().build();
    }

    #[test]
    fn idle_http2_connections_end_with_the_worker() {
        let server = start(
            |http| http,
            || service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::from("hello")))),
        );
        let address = server.address;
        run(async {
            let dispatcher = Dispatcher::builder().workers(1).build().unwrap();
            let url = format!("http://{address}/");
            let answer =
                dispatcher.dispatch(async move || get(&CLIENT.with(Client::clone), &url).await);
            assert_eq!(answer.await.unwrap(), "hello");
            shut_down(dispatcher).await;
        });
    }
}
