//! Types that convert to addresses, compared with std.

use std::{
    io,
    net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

use compio::{
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    runtime::Runtime,
    task::yield_now,
    time::timeout,
};

use crate::support::{LONG, begin, check_kind, run};

/// Checks that binding to this target succeeds or fails as with std.
async fn check_as_std<A>(target: A)
where
    A: ToSocketAddrs + net::ToSocketAddrs + std::fmt::Debug + Clone,
{
    let ours = UdpSocket::bind(target.clone()).await;
    let stds = net::UdpSocket::bind(target.clone());
    match (ours, stds) {
        (Ok(ours), Ok(stds)) => {
            let (ours, stds) = (ours.local_addr().unwrap(), stds.local_addr().unwrap());
            assert_eq!(ours.ip(), stds.ip(), "{target:?}");
        }
        (Err(ours), Err(stds)) => {
            assert_eq!(ours.kind(), stds.kind(), "{target:?}: {ours} / {stds}");
            assert_eq!(ours.to_string(), stds.to_string(), "{target:?}");
        }
        (ours, stds) => panic!("{target:?}: {ours:?} / {stds:?}"),
    }
}

#[test]
fn strings_are_understood_as_std_understands_them() {
    run(async {
        for target in [
            "127.0.0.1:0",
            "[::1]:0",
            "localhost:0",
            "127.0.0.1",
            "::1:0",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:99999",
            "localhost:-1",
            "127.0.0.1:65536",
            "",
            ":",
            "[::1]",
            "local\0host:0",
        ] {
            check_as_std(target).await;
            check_as_std(target.to_owned()).await;
        }
    });
}

#[test]
fn hosts_with_ports_are_understood_as_std_understands_them() {
    run(async {
        for host in ["127.0.0.1", "::1", "localhost", "127.0.0.1:80", "[::1]"] {
            check_as_std((host, 0)).await;
            check_as_std((host.to_owned(), 0)).await;
        }
    });
}

#[test]
fn every_kind_of_address_is_taken() {
    run(async {
        let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        check_as_std((v4, 0)).await;
        check_as_std((v6, 0)).await;
        check_as_std((IpAddr::V4(v4), 0)).await;
        check_as_std(SocketAddrV4::new(v4, 0)).await;
        check_as_std(SocketAddrV6::new(v6, 0, 0, 0)).await;
        let addresses = [SocketAddr::from((v4, 0)), SocketAddr::from((v6, 0))];
        check_as_std(addresses[1]).await;
        check_as_std(&addresses[..]).await;
        check_as_std(&addresses[0]).await;
        check_as_std(&addresses[..0]).await;
    });
}

#[test]
fn localhost_is_looked_up() {
    run(async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for target in [format!("localhost:{port}"), format!("LocalHost:{port}")] {
            TcpStream::connect(target).await.unwrap();
        }
        TcpStream::connect(("localhost", port)).await.unwrap();
    });
}

#[test]
fn a_name_that_is_no_address_is_invalid() {
    run(async {
        check_kind(
            TcpStream::connect("no port").await,
            io::ErrorKind::InvalidInput,
        );
        check_kind(
            TcpListener::bind("no port").await,
            io::ErrorKind::InvalidInput,
        );
    });
}

#[test]
fn dropped_look_ups_end() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let idle = format!("{runtime:?}");
        for _ in 0..10 {
            let mut connect = Box::pin(TcpStream::connect("localhost:1"));
            begin(&mut connect).await;
        }
        assert_ne!(format!("{runtime:?}"), idle, "look-ups in flight");
        // A thread completes the look-ups that it has begun.
        let ended = async {
            while format!("{runtime:?}") != idle {
                yield_now().await;
            }
        };
        timeout(LONG, ended).await.unwrap();
    });
}
