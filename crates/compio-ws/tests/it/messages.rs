//! Messages both ways, over each kind of stream.

use std::{cell::RefCell, io, rc::Rc};

use compio::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    task,
};
use compio_testkit::{buffer::pattern, future::both};
use compio_ws::{Bytes, Config, Error, Message, Role, WebSocket};

use crate::support::{in_memory, over, run, tcp_pair};

/// The lengths around the forms of a frame's length and the limits of buffers.
pub(crate) const LENS: [usize; 12] = [
    0,
    1,
    125,
    126,
    127,
    4096,
    8192,
    8193,
    65535,
    65536,
    300_000,
    4 << 20,
];

/// Sends messages of all lengths to the other side, which returns them.
pub(crate) async fn echo_all<S>(
    mut client: WebSocket<S>,
    mut server: WebSocket<S>,
    lens: &[usize],
) {
    let asking = async {
        for &len in lens {
            let bytes = Bytes::from(pattern(len));
            // The clone makes the mask copy, the text is masked in place.
            client.send(bytes.clone()).await.unwrap();
            let answer = client.recv().await.unwrap().unwrap();
            assert!(answer == Message::Binary(bytes), "{len} bytes");
            client.send("x".repeat(len)).await.unwrap();
            let answer = client.recv().await.unwrap().unwrap();
            assert!(answer == Message::text("x".repeat(len)), "{len} letters");
        }
        client.close(1000.into(), "done").await.unwrap();
    };
    let answering = async {
        while let Some(message) = server.recv().await {
            let message = message.unwrap();
            if !message.is_close() {
                server.send(message).await.unwrap();
            }
        }
        server.close(1000.into(), "").await.unwrap();
    };
    both(asking, answering).await;
}

#[test]
fn messages_of_all_lengths_return_over_tcp() {
    run(async {
        let (client, server) = over(tcp_pair().await);
        echo_all(client, server, &LENS).await;
    });
}

#[cfg(unix)]
#[test]
fn messages_of_all_lengths_return_over_a_unix_socket() {
    use compio::net::{UnixListener, UnixStream};
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (client, server) = over((client, server));
        echo_all(client, server, &LENS).await;
    });
}

#[test]
fn messages_return_over_streams_of_few_bytes() {
    run(async {
        for capacity in [1, 2, 3, 7, 100] {
            let (client, server) = in_memory(capacity);
            echo_all(client, server, &LENS[..7]).await;
        }
    });
}

/// Both sides send many messages at once, more than all buffers hold, and both receive in another task.
#[test]
fn halves_send_and_receive_at_the_same_time() {
    run(async {
        const COUNT: usize = 300;
        let (client, server) = over(tcp_pair().await);
        let mut tasks = Vec::new();
        for socket in [client, server] {
            let (mut sender, mut receiver) = socket.split();
            tasks.push(task::spawn(async move {
                for number in 0..COUNT {
                    sender.send(pattern(number * 97)).await.unwrap();
                }
            }));
            tasks.push(task::spawn(async move {
                for number in 0..COUNT {
                    let message = receiver.recv().await.unwrap().unwrap();
                    assert!(message == Message::binary(pattern(number * 97)));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn halves_of_one_connection_are_combined_and_others_are_not() {
    let (left, right) = in_memory(64);
    let ((sender, receiver), (other, _)) = (left.split(), right.split());
    let (_, receiver) = other.unsplit(receiver).unwrap_err();
    sender.unsplit(receiver).unwrap();
}

/// A stream that records the lengths of its writes.
struct Recorder {
    stream: DuplexStream,
    writes: Rc<RefCell<Vec<usize>>>,
}

impl AsyncRead for &Recorder {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&self.stream).read(buf).await
    }
}

impl AsyncWrite for &Recorder {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let (written, buf) = (&self.stream).write(buf).await;
        if let Ok(len) = written {
            self.writes.borrow_mut().push(len);
        }
        (written, buf)
    }

    async fn flush(&mut self) -> io::Result<()> {
        (&self.stream).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&self.stream).shutdown().await
    }
}

#[test]
fn fed_messages_are_sent_by_one_write_and_a_large_one_with_its_header() {
    run(async {
        let (stream, _peer) = duplex(1 << 20);
        let writes = Rc::new(RefCell::new(Vec::new()));
        let recorder = Recorder {
            stream,
            writes: Rc::clone(&writes),
        };
        let mut server = WebSocket::from_stream(recorder, Role::Server, Vec::new(), Config::new());
        for _ in 0..100 {
            server.feed("ten bytes!").await.unwrap();
        }
        assert!(writes.borrow().is_empty());
        server.flush().await.unwrap();
        assert_eq!(*writes.borrow(), [100 * 12]);
        server.send(vec![0; 100_000]).await.unwrap();
        assert_eq!(writes.borrow()[1..], [100_010]);
    });
}

#[test]
fn control_frames_that_are_too_long_are_not_sent() {
    run(async {
        let (mut client, mut server) = in_memory(1024);
        let long = Bytes::from(vec![0; 126]);
        for message in [Message::Ping(long.clone()), Message::Pong(long)] {
            let error = client.send(message).await.unwrap_err();
            assert!(matches!(error, Error::InvalidMessage(_)), "{error}");
        }
        for (code, reason) in [
            (1000, "r".repeat(124)),
            (1005, String::new()),
            (99, String::new()),
        ] {
            let error = client.close(code.into(), &reason).await.unwrap_err();
            assert!(matches!(error, Error::InvalidMessage(_)), "{error}");
        }
        // The connection is as before.
        client.send("hello").await.unwrap();
        assert_eq!(
            server.recv().await.unwrap().unwrap(),
            Message::text("hello")
        );
    });
}

#[test]
fn a_message_whose_receiver_does_not_read_waits() {
    run(async {
        let (mut client, mut server) = in_memory(100);
        let sending = async {
            for _ in 0..50 {
                client.send(vec![1; 10_000]).await.unwrap();
            }
        };
        let receiving = async {
            for _ in 0..50 {
                let message = server.recv().await.unwrap().unwrap();
                assert_eq!(message.len(), 10_000);
            }
        };
        both(sending, receiving).await;
    });
}
