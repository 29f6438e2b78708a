//! Servers of HTTP/1 that do as they are told, on threads of their own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A read or a write that takes longer hangs.
const LONG: Duration = Duration::from_secs(20);

/// A server that ends with this value.
pub(super) struct Peer {
    address: SocketAddr,
    is_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Serves each connection by `serve` on a thread. It is given the number of the connection, from zero.
    pub(super) fn start(serve: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_ended);
        let serve = Arc::new(serve);
        let thread = thread::spawn(move || {
            let mut threads = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (mut stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                stream.set_read_timeout(Some(LONG)).unwrap();
                stream.set_write_timeout(Some(LONG)).unwrap();
                threads.push(thread::spawn(move || serve(number, &mut stream)));
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Self {
            address,
            is_ended,
            thread: Some(thread),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::SeqCst);
        // Ends the wait for a connection.
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the peer has failed");
    }
}

fn is_closed(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
    ];
    kinds.contains(&error.kind())
}

/// The next request of a connection: its head, and its body by `content-length`. `None` at the end.
pub(super) fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => return None,
            Err(error) if is_closed(&error) => return None,
            Err(error) => panic!("the client has sent nothing for too long: {error}"),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some((head, body))
}

/// Sends a response with its length.
pub(super) fn answer(stream: &mut TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
}

/// Answers each request with the number of its connection.
pub(super) fn numbers() -> Peer {
    Peer::start(|number, stream| {
        while read_request(stream).is_some() {
            answer(stream, &number.to_string());
        }
    })
}

/// Sends these bytes as the response to each request.
pub(super) fn says(response: &'static str) -> Peer {
    Peer::start(move |_, stream| {
        while read_request(stream).is_some() {
            stream.write_all(response.as_bytes()).unwrap();
        }
    })
}

/// Reports the number of each connection with a request, and answers no request. Reports again when the client has
/// closed the connection.
pub(super) fn never_answers() -> (Peer, mpsc::Receiver<usize>) {
    let (send, receive) = mpsc::channel();
    let peer = Peer::start(move |number, stream| {
        if read_request(stream).is_some() {
            send.send(number).unwrap();
            assert!(read_request(stream).is_none());
            let _ = send.send(number);
        }
    });
    (peer, receive)
}

/// The next message of another thread, while the runtime runs.
pub(super) async fn receive<T: Send + 'static>(
    receiver: mpsc::Receiver<T>,
) -> (T, mpsc::Receiver<T>) {
    let waited =
        compio::task::spawn_blocking(move || (receiver.recv_timeout(LONG).unwrap(), receiver));
    waited.await.unwrap()
}
