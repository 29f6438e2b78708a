//! The cryptography of connections whose configuration names none.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The default provider of the process if one is installed, else the provider of the feature `ring`, else the
/// provider of the feature `aws-lc-rs`.
///
/// `ClientConfig::builder` and `ServerConfig::builder` of rustls panic if a program contains both providers and
/// none is installed. `builder_with_provider` takes this one:
///
/// ```no_run
/// use compio_tls::{provider, rustls::ServerConfig};
///
/// let builder = ServerConfig::builder_with_provider(provider())
///     .with_safe_default_protocol_versions()
///     .unwrap();
/// ```
///
/// # Panics
///
/// If no provider is installed, and neither feature is enabled.
pub fn provider() -> Arc<CryptoProvider> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Arc::clone(provider);
    }
    Arc::new(compiled_in())
}

#[cfg(feature = "ring")]
fn compiled_in() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn compiled_in() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn compiled_in() -> CryptoProvider {
    panic!("no cryptography: enable the feature `ring` or `aws-lc-rs`, or install a CryptoProvider")
}
