//! Name resolution.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use compio::net::{TcpStream, ToSocketAddrs, lookup_host};

use crate::support::{check_kind, listener, run};

async fn looked_up(host: impl ToSocketAddrs) -> Vec<SocketAddr> {
    lookup_host(host).await.expect("addresses").collect()
}

#[test]
fn an_address_is_not_looked_up() {
    run(async {
        let v4 = SocketAddr::from(([127, 0, 0, 1], 80));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        assert_eq!(looked_up("127.0.0.1:80").await, [v4]);
        assert_eq!(looked_up(String::from("[::1]:80")).await, [v6]);
        assert_eq!(looked_up(("127.0.0.1", 80)).await, [v4]);
        assert_eq!(looked_up((String::from("::1"), 80)).await, [v6]);
        assert_eq!(looked_up((Ipv4Addr::LOCALHOST, 80)).await, [v4]);
        assert_eq!(
            looked_up((IpAddr::from(Ipv6Addr::LOCALHOST), 80)).await,
            [v6]
        );
        assert_eq!(looked_up(v4).await, [v4]);
        assert_eq!(looked_up(&[v6, v4][..]).await, [v6, v4]);
        assert_eq!(looked_up(&[v4; 0][..]).await, []);
    });
}

#[test]
fn this_machine_is_found_by_name() {
    run(async {
        let found = looked_up("localhost:80").await;
        assert!(!found.is_empty());
        assert!(
            found
                .iter()
                .all(|one| one.ip().is_loopback() && one.port() == 80)
        );
        let (_listener, address) = listener().await;
        let host = ("localhost", address.port());
        // An address of the host may have no listener: all are tried.
        let client = TcpStream::connect(host).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
    });
}

#[test]
fn an_unknown_name_is_an_error() {
    run(async {
        for name in ["localhost.invalid:80", "no such host:80"] {
            assert!(lookup_host(name).await.is_err(), "{name}");
            assert!(TcpStream::connect(name).await.is_err(), "{name}");
        }
        for name in ["localhost", "localhost:http", "localhost:65536", ""] {
            check_kind(lookup_host(name).await.map(drop), ErrorKind::InvalidInput);
        }
    });
}
