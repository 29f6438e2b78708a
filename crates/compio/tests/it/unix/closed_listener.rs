//! The connections that the kernel loses by itself when one listener of a group closes. A server cannot
//! prevent that: its successor must inherit all listeners.

use std::{
    fs,
    io::{self, Read},
    net::{SocketAddr, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use compio::{cores::Server, io::AsyncWriteExt, net::TcpStream};
use socket2::{Domain, Socket, Type};

use crate::support::{LONG, run};

/// The number of connections. The probability that a hash puts all of them on two of three listeners is negligible.
const CLIENTS: usize = 120;

/// A foreign listener of the group, from which no process accepts.
fn join(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1024).unwrap();
    socket
}

#[test]
fn closed_listener_loses_its_queue_and_no_other_connection() {
    run(async {
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let server = server.workers(2);
        let server = server.start(async move |mut stream: TcpStream| {
            count.fetch_add(1, SeqCst);
            let _ = stream.write_all("x").await;
        });
        let server = server.unwrap();
        let connect = || {
            let client = StdStream::connect(server.local_addr()).unwrap();
            client.set_read_timeout(Some(LONG)).unwrap();
            client
        };

        let foreign = join(server.local_addr());
        let clients: Vec<_> = (0..CLIENTS).map(|_| connect()).collect();
        drop(foreign);
        let mut resets = 0;
        for mut client in clients {
            match client.read(&mut [0]) {
                Ok(read) => assert_eq!(read, 1),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    resets += 1;
                }
            }
        }
        assert_eq!(resets + served.load(SeqCst), CLIENTS);
        let migrates = fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
        let migrates = migrates.is_ok_and(|text| text.trim() == "1");
        eprintln!("{resets} of {CLIENTS} connections were reset; migration: {migrates}");
        assert_eq!(resets == 0, migrates);

        // New connections go to the listeners that are left.
        for _ in 0..CLIENTS {
            connect().read_exact(&mut [0]).unwrap();
        }
        server.shutdown().await.unwrap();
    });
}
