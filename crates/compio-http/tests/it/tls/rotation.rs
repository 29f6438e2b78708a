//! Certificates that are replaced while clients send requests.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use compio_tls::rustls::{
    ServerConfig,
    crypto::ring::sign::any_supported_type,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::support::{Site, ask};

/// Sends requests on new and on open connections, while `rotate` runs. Returns the certificates that clients have seen.
fn under_load(site: &Site, rotate: impl FnOnce()) -> BTreeSet<Vec<u8>> {
    let is_done = AtomicBool::new(false);
    let seen = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut long = site.connect();
                while !is_done.load(Ordering::SeqCst) {
                    // An open connection keeps its certificate.
                    assert_eq!(ask(&mut long, "/long"), "HTTP/1.1 /long");
                    let mut short = site.connect();
                    assert_eq!(ask(&mut short, "/short"), "HTTP/1.1 /short");
                    let chain = short.conn.peer_certificates().unwrap();
                    seen.lock().unwrap().insert(chain[0].to_vec());
                }
            });
        }
        rotate();
        is_done.store(true, Ordering::SeqCst);
    });
    seen.into_inner().unwrap()
}

#[test]
fn replaced_configurations_fail_no_request() {
    let site = Site::new();
    let mut certificates = BTreeSet::from([site.identity.chain()[0].to_vec()]);
    let seen = under_load(&site, || {
        for _ in 0..20 {
            let next = site.authority.issue(&["localhost"]);
            site.acceptor.replace(next.server());
            let mut stream = site.connect();
            ask(&mut stream, "/");
            assert_eq!(stream.conn.peer_certificates().unwrap(), next.chain());
            certificates.insert(next.chain()[0].to_vec());
        }
    });
    assert!(seen.len() > 1 && seen.is_subset(&certificates));
}

/// The way of rustls: one configuration whose certificate changes.
#[derive(Debug)]
struct Current(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

#[test]
fn replaced_certificates_of_a_resolver_fail_no_request() {
    let site = Site::new();
    let next = || {
        let identity = site.authority.issue(&["localhost"]);
        let key = any_supported_type(&identity.key()).unwrap();
        Arc::new(CertifiedKey::new(identity.chain(), key))
    };
    let current = Arc::new(Current(Mutex::new(next())));
    let config = ServerConfig::builder_with_provider(compio_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(current.clone());
    site.acceptor.replace(config);
    let seen = under_load(&site, || {
        for _ in 0..20 {
            let next = next();
            *current.0.lock().unwrap() = next.clone();
            let mut stream = site.connect();
            ask(&mut stream, "/");
            assert_eq!(stream.conn.peer_certificates().unwrap(), next.cert);
        }
    });
    assert!(seen.len() > 1);
}
