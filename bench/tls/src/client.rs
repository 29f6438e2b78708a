//! The load: blocking sockets and rustls, with large receives.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use compio_tls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::{LEN, Outcome, Work};

/// One connection after its handshake.
pub(crate) struct Client {
    tcp: TcpStream,
    tls: ClientConnection,
    work: Work,
    received: Vec<u8>,
    plain: Vec<u8>,
}

pub(crate) fn connect(
    address: SocketAddr,
    root: &[u8],
    connections: usize,
    work: Work,
) -> Outcome<Vec<Client>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.to_vec().into())?;
    let config = ClientConfig::builder_with_provider(compio_tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let connect = |_| {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        let mut tls = ClientConnection::new(Arc::clone(&config), "localhost".try_into()?)?;
        let mode = if work == Work::Download { b"d" } else { b"u" };
        tls.writer().write_all(mode)?;
        tls.complete_io(&mut tcp)?;
        let mut client = Client {
            tcp,
            tls,
            work,
            received: vec![0; 256 * 1024],
            plain: vec![0; 64 * 1024],
        };
        // One round to warm up.
        client.transfer()?;
        Ok(client)
    };
    (0..connections).map(connect).collect()
}

/// Transfers on all connections until the time is over. Returns the number of transfers.
pub(crate) fn transfer(clients: Vec<Client>, time: Duration) -> Outcome<usize> {
    let end = Instant::now() + time;
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || -> Outcome<usize> {
                let mut count = 0;
                while Instant::now() < end {
                    client.transfer()?;
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let mut total = 0;
    for thread in threads {
        total += thread.join().map_err(|_| "a client has panicked")??;
    }
    Ok(total)
}

impl Client {
    fn transfer(&mut self) -> Outcome {
        match self.work {
            Work::Download => {
                self.send(&[0; 8])?;
                self.receive(LEN)
            }
            Work::Upload => {
                let data = [b'x'; 64 * 1024];
                for _ in 0..LEN / data.len() {
                    self.send(&data)?;
                }
                self.receive(8)
            }
        }
    }

    fn send(&mut self, mut data: &[u8]) -> Outcome {
        while !data.is_empty() {
            let len = self.tls.writer().write(data)?;
            data = &data[len..];
            while self.tls.wants_write() {
                self.tls.write_tls(&mut self.tcp)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, mut len: usize) -> Outcome {
        while len > 0 {
            let received = self.tcp.read(&mut self.received)?;
            if received == 0 {
                return Err("the server has closed the connection".into());
            }
            let mut input = &self.received[..received];
            while !input.is_empty() {
                self.tls.read_tls(&mut input)?;
                let state = self.tls.process_new_packets()?;
                let mut rest = state.plaintext_bytes_to_read();
                len -= rest;
                while rest > 0 {
                    rest -= self.tls.reader().read(&mut self.plain)?;
                }
            }
        }
        Ok(())
    }
}
