//! HTTPS on all cores, with a certificate that is renewed while the server runs: `SIGHUP` reads its files again. Ctrl-C stops
//! the server; requests have ten seconds to end.
//!
//! `cargo run --release --example https -- chain.pem key.pem 127.0.0.1:8443`, and then for instance
//! `curl --cacert root.pem https://localhost:8443/`

use std::{env, error::Error, process, time::Duration};

use axum::{Router, routing::get};
use compio::{
    cores::Server,
    signal::{
        self,
        unix::{SignalKind, signal},
    },
    task,
};
use compio_tls::{
    TlsAcceptor, provider,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

fn load(chain: &str, key: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [chain, key, address] = &arguments[..] else {
        eprintln!("usage: https CHAIN KEY ADDRESS");
        process::exit(2);
    };
    let acceptor = TlsAcceptor::from(load(chain, key)?);
    let mut hangups = signal(SignalKind::hangup())?;
    let renewed = acceptor.clone();
    let files = (chain.clone(), key.clone());
    task::spawn(async move {
        while hangups.recv().await.is_ok() {
            match load(&files.0, &files.1) {
                // Connections that exist keep the earlier certificate.
                Ok(config) => renewed.replace(config),
                Err(error) => eprintln!("the certificate stays: {error}"),
            }
        }
    })
    .detach();

    let router = Router::new().route("/", get(async || "Hello\n"));
    let server = Server::bind(address.as_str()).await?;
    let server = compio_axum::start_tls(server, acceptor, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await?;
    Ok(())
}
