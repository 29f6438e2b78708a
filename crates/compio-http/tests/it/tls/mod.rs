//! HTTPS: servers and the client, with peers that are built on blocking rustls, and with foreign programs.

mod client;
mod ends;
mod foreign;
mod hostile;
mod idle;
mod protocols;
mod rotation;
mod support;
