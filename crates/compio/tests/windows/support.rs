//! Shared helpers of the tests.

#[path = "../support/run.rs"]
mod run;

use compio::net::windows::named_pipe::{
    ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions,
};

pub(crate) use compio_testkit::{
    check::{check_code, check_kind, check_read},
    future::begin,
    process::is_skipped_on_wine,
    sys::pipe_name as name,
};
pub(crate) use run::run;

/// Both ends of a new pipe.
pub(crate) async fn pair() -> (NamedPipeServer, NamedPipeClient) {
    let name = name();
    let server = ServerOptions::new().create(&name).expect("a server");
    let client = ClientOptions::new().open(&name).expect("a client");
    server.connect().await.expect("a connection");
    (server, client)
}
