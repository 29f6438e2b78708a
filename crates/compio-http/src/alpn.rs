//! The protocols that clients and servers negotiate in the TLS handshake.

/// The name of HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// The name of HTTP/1.0.
pub(crate) const HTTP10: &[u8] = b"http/1.0";

/// The protocols of a configuration that names none, the preferred one first.
pub(crate) fn protocols() -> Vec<Vec<u8>> {
    let http2 = cfg!(feature = "http2").then_some(HTTP2);
    let protocols = http2.into_iter().chain([HTTP1]);
    protocols.map(<[u8]>::to_vec).collect()
}
