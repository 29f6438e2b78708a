//! TLS in a simulation. The course of a run depends on the seed alone if all random numbers of the provider do.

#![cfg(target_os = "linux")]

use std::{io, sync::Arc, thread, time::Duration};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sim::{self, NetworkFaults, Report, Simulation},
    task,
};
use compio_tls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, Error, HandshakeKind, NamedGroup, RootCertStore, ServerConfig,
        crypto::{
            ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
            SupportedKxGroup, ring,
        },
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

// Certificates and sessions have the virtual time.
sim::override_libc!();

/// Random numbers of the current host.
#[derive(Debug)]
struct HostRandom;

impl SecureRandom for HostRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        sim::rng().fill(bytes);
        Ok(())
    }
}

/// A key exchange for simulations: `ring` draws its keys by a system call. The secret is the XOR of both public keys, so it protects
/// nothing.
#[derive(Debug)]
struct PublicExchange;

impl SupportedKxGroup for PublicExchange {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut key = [0; 32];
        sim::rng().fill(&mut key);
        Ok(Box::new(PublicKey(key)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct PublicKey([u8; 32]);

impl ActiveKeyExchange for PublicKey {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let secret: Vec<u8> = self.0.iter().zip(peer).map(|(a, b)| a ^ b).collect();
        Ok(secret.into())
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        PublicExchange.name()
    }
}

fn simulated_provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![&PublicExchange],
        secure_random: &HostRandom,
        ..ring::default_provider()
    }
}

/// A certificate of the host `server`, and its key. Signatures of Ed25519 have no random numbers.
fn identity() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    // PKCS #8, with the number 7 as the key.
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.extend([7; 32]);
    let key = PrivateKeyDer::Pkcs8(key.into());
    let pair = KeyPair::from_der_and_sign_algo(&key, &PKCS_ED25519).unwrap();
    let params = CertificateParams::new(["server".to_owned()]).unwrap();
    (params.self_signed(&pair).unwrap().der().clone(), key)
}

/// Echoes parts of each connection.
async fn server(provider: fn() -> CryptoProvider) -> io::Result<()> {
    let (certificate, key) = identity();
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let acceptor = TlsAcceptor::from(config.unwrap());
    let listener = TcpListener::bind("0.0.0.0:443").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        task::spawn(async move {
            let mut stream = acceptor.accept(stream).await?;
            let (read, bytes) = stream.read_to_end(Vec::new()).await;
            read?;
            stream.write_all(bytes).await.0?;
            stream.shutdown().await
        })
        .detach();
    }
}

/// Sends bytes over two connections. The second one resumes the session.
async fn client(provider: fn() -> CryptoProvider) -> io::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(identity().0).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = TcpStream::connect("server:443").await?;
        let mut stream = connector.connect("server", stream).await?;
        let seen = stream.with_connection(|connection| connection.handshake_kind());
        assert_eq!(seen, Some(kind));
        let mut bytes = vec![0; sim::rng().below(50_000) as usize];
        sim::rng().fill(&mut bytes);
        let (written, bytes) = stream.write_all(bytes).await;
        written?;
        stream.shutdown().await?;
        let (read, echo) = stream.read_to_end(Vec::new()).await;
        read?;
        assert!(echo == bytes);
    }
    Ok(())
}

/// Runs a seed in a thread of its own, for thread-local state.
fn run(seed: u64, provider: fn() -> CryptoProvider) -> Report {
    let run = move || {
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.network(NetworkFaults {
            loss: 0.02,
            slow: 0.05,
            latency: Some(Duration::from_micros(100)..=Duration::from_millis(20)),
            ..NetworkFaults::default()
        });
        simulation.host("server", move || server(provider));
        simulation.client("client", client(provider));
        simulation.run().unwrap_or_else(|error| panic!("{error}"))
    };
    thread::spawn(run).join().unwrap()
}

#[test]
fn two_runs_of_each_seed_are_equal_with_random_numbers_of_hosts() {
    for seed in 0..20 {
        let report = run(seed, simulated_provider);
        assert_eq!(report, run(seed, simulated_provider));
        assert!(report.trace_len() > 100, "{report:?}");
    }
}

#[test]
fn random_numbers_of_ring_escape() {
    let [one, other] = [(); 2].map(|()| run(1, ring::default_provider));
    assert_ne!(one.trace_hash(), other.trace_hash());
}
