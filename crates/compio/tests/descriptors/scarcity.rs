//! A process that runs out of descriptors.

use std::{fs, io};

use compio::{
    fs::File,
    io::{AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::block_on,
};

use crate::check;

/// Leaves few descriptors for as long as this lives.
struct Scarcity {
    _fillers: Vec<fs::File>,
    before: libc::rlimit,
}

impl Scarcity {
    /// Leaves room for so many more.
    fn leave(more: usize) -> Self {
        let mut before = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: both calls get a struct that outlives them.
        unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut before), 0);
            let limit = libc::rlimit {
                rlim_cur: 100,
                rlim_max: before.rlim_max,
            };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        }
        let mut fillers: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        fillers.truncate(fillers.len() - more);
        Self {
            _fillers: fillers,
            before,
        }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        // SAFETY: as in `leave`.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.before) };
    }
}

#[test]
fn s26_a_server_goes_on_after_running_out_of_descriptors() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            let mut accepted = Vec::new();
            let scarcity = Scarcity::leave(4);
            let error = loop {
                match listener.accept().await {
                    Ok((server, _)) => accepted.push(server),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert!(accepted.len() < 8);
            let open = File::open_async("/dev/null").await.unwrap_err();
            assert_eq!(open.raw_os_error(), Some(libc::EMFILE));
            let connect = TcpStream::connect(address).await.unwrap_err();
            assert_eq!(connect.raw_os_error(), Some(libc::EMFILE));
            drop(scarcity);
            while accepted.len() < 8 {
                accepted.push(listener.accept().await.unwrap().0);
            }
            for (client, server) in clients.iter_mut().zip(&mut accepted) {
                client.write("x").await.0.unwrap();
                server.read_exact([0; 1]).await.0.unwrap();
            }
        });
    });
}

#[test]
fn s26_incoming_connections_go_on_after_running_out_of_descriptors() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            let mut incoming = listener.incoming();
            let mut accepted = Vec::new();
            let scarcity = Scarcity::leave(4);
            let error = loop {
                match incoming.next().await.unwrap() {
                    Ok(server) => accepted.push(server),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert_eq!(accepted.len(), 4);
            let again = incoming.next().await.unwrap().unwrap_err();
            assert_eq!(again.raw_os_error(), Some(libc::EMFILE));
            drop(scarcity);
            while accepted.len() < 8 {
                accepted.push(incoming.next().await.unwrap().unwrap());
            }
            for (client, server) in clients.iter_mut().zip(&mut accepted) {
                client.write("x").await.0.unwrap();
                server.read_exact([0; 1]).await.0.unwrap();
            }
        });
    });
}

#[test]
fn s26_a_runtime_without_descriptors_is_a_clear_error() {
    check(|| {
        for room in 0..3 {
            let scarcity = Scarcity::leave(room);
            let made = Runtime::new();
            drop(scarcity);
            if let Err(error) = &made {
                assert_eq!(error.kind(), emfile().kind(), "{error}");
            }
            assert!(room > 0 || made.is_err());
        }
    });
}

fn emfile() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}
