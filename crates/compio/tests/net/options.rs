//! Socket options.

use std::time::Duration;

use compio::net::{TcpKeepalive, TcpSocket, TcpStream, UdpSocket};

use crate::support::{listener, run, tcp_pair};

#[test]
fn a_stream_keeps_its_options() {
    run(async {
        let (client, _server) = tcp_pair().await;
        assert!(!client.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());

        client.set_ttl(9).unwrap();
        assert_eq!(client.ttl().unwrap(), 9);

        assert_eq!(client.linger().unwrap(), None);
        client.set_linger(Some(Duration::from_secs(7))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(7)));
        client.set_linger(None).unwrap();

        assert!(!client.keepalive().unwrap());
        client.set_keepalive(true).unwrap();
        assert!(client.keepalive().unwrap());
        client.set_keepalive(false).unwrap();
        let times = TcpKeepalive::new()
            .with_time(Duration::from_secs(50))
            .with_interval(Duration::from_secs(5));
        client.set_tcp_keepalive(&times).unwrap();
        assert!(client.keepalive().unwrap());

        assert!(client.take_error().unwrap().is_none());
    });
}

#[test]
fn buffers_have_at_least_the_requested_size() {
    run(async {
        let (client, _server) = tcp_pair().await;
        client.set_recv_buffer_size(60_000).unwrap();
        assert!(client.recv_buffer_size().unwrap() >= 60_000);
        client.set_send_buffer_size(60_000).unwrap();
        assert!(client.send_buffer_size().unwrap() >= 60_000);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.set_recv_buffer_size(60_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 60_000);
    });
}

#[test]
fn a_listener_has_options_too() {
    run(async {
        let (listener, address) = listener().await;
        listener.set_ttl(20).unwrap();
        assert_eq!(listener.ttl().unwrap(), 20);
        assert!(listener.take_error().unwrap().is_none());
        TcpStream::connect(address).await.unwrap();
    });
}

#[test]
fn a_socket_takes_its_options_into_the_connection() {
    run(async {
        let (_listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        socket.set_ttl(33).unwrap();
        let stream = socket.connect(address).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(stream.keepalive().unwrap());
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
        assert_eq!(stream.ttl().unwrap(), 33);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn options_of_linux_are_kept() {
    run(async {
        let (client, _server) = tcp_pair().await;
        client.set_quickack(false).unwrap();
        assert!(!client.quickack().unwrap());
        client.set_quickack(true).unwrap();
        assert!(client.quickack().unwrap());

        let options = socket2::SockRef::from(&client);
        let times = TcpKeepalive::new()
            .with_time(Duration::from_secs(50))
            .with_interval(Duration::from_secs(5))
            .with_retries(4);
        client.set_tcp_keepalive(&times).unwrap();
        assert_eq!(options.tcp_keepalive_time().unwrap().as_secs(), 50);
        assert_eq!(options.tcp_keepalive_interval().unwrap().as_secs(), 5);
        assert_eq!(options.tcp_keepalive_retries().unwrap(), 4);
    });
}
