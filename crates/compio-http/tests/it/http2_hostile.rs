//! HTTP/2 with hostile clients, which write frames by themselves.

use std::{
    convert::Infallible,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, service::service_fn};

use crate::support::{Running, ask, start, start_echo};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `GET http://a/` by HPACK.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A connection with a setting of the client: its number and its value.
fn connect(server: &Running, settings: &[(u16, u32)]) -> TcpStream {
    let mut stream = server.connect();
    let mut payload = Vec::new();
    for (number, value) in settings {
        payload.extend(number.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &payload)).unwrap();
    stream
}

/// Fills the buffer. Returns false at the end of the connection.
fn read_exact(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    match stream.read_exact(buffer) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the server does not close"),
        Err(_) => false,
    }
}

/// The frames up to the end of the connection: their types, and the error of the last GOAWAY.
fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Option<u32>) {
    let (mut kinds, mut error) = (Vec::new(), None);
    let mut head = [0; 9];
    while read_exact(stream, &mut head) {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        if !read_exact(stream, &mut payload) {
            break;
        }
        kinds.push(head[3]);
        if head[3] == GOAWAY {
            error = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
    (kinds, error)
}

/// Writes until the server closes. Fails if it takes everything.
fn write_until_closed(stream: &mut TcpStream, mut next: impl FnMut(u32) -> Vec<u8>) {
    for number in 0..200_000 {
        if stream.write_all(&next(number)).is_err() {
            return;
        }
    }
    panic!("the server takes everything");
}

fn check_others_are_served(server: &Running) {
    let (head, _) = ask(&mut server.connect(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let server = start_echo(|http| http);
    let mut stream = connect(&server, &[]);
    let reader = stream.try_clone().unwrap();
    let answers = std::thread::spawn(move || read_to_end(&mut { reader }));
    write_until_closed(&mut stream, |number| {
        let id = 2 * number + 1;
        let request = frame(HEADERS, END_STREAM | END_HEADERS, id, GET);
        [request, frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    });
    let (_, error) = answers.join().unwrap();
    assert!(matches!(error, None | Some(ENHANCE_YOUR_CALM)), "{error:?}");
    check_others_are_served(&server);
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let server = start_echo(|http| http);
    let mut stream = connect(&server, &[]);
    stream.write_all(&frame(HEADERS, 0, 1, GET)).unwrap();
    // A literal header that is not indexed: x: yyyy…
    let header = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x07][..], &[b'y'; 1024]].concat();
    write_until_closed(&mut stream, |_| frame(CONTINUATION, 0, 1, &header));
    check_others_are_served(&server);
}

#[test]
fn empty_continuations_without_end_end_the_connection() {
    let server = start_echo(|http| http);
    let mut stream = connect(&server, &[]);
    stream.write_all(&frame(HEADERS, 0, 1, GET)).unwrap();
    write_until_closed(&mut stream, |_| frame(CONTINUATION, 0, 1, &[]));
    check_others_are_served(&server);
}

/// Pings and settings whose answers are not read.
#[test]
fn floods_of_frames_that_need_answers_are_bounded() {
    let server = start_echo(|http| http.write_timeout(Duration::from_millis(200)));
    for frame in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut stream = connect(&server, &[]);
        // Blocks once the server stops reading, and fails when it closes.
        write_until_closed(&mut stream, |_| frame.repeat(100));
    }
    check_others_are_served(&server);
}

/// A client that never opens its window cannot keep a response for ever.
#[test]
fn a_response_without_window_ends_at_its_deadline() {
    let server = start(
        |http| {
            let short = Duration::from_millis(200);
            http.write_timeout(short).idle_timeout(short)
        },
        || {
            service_fn(async |_| {
                let body = Bytes::from(vec![b'x'; 1 << 20]);
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            })
        },
    );
    const INITIAL_WINDOW_SIZE: u16 = 4;
    for window in [0, 1000] {
        let mut stream = connect(&server, &[(INITIAL_WINDOW_SIZE, window)]);
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, GET);
        stream.write_all(&request).unwrap();
        let (kinds, _) = read_to_end(&mut stream);
        assert!(kinds.contains(&HEADERS), "{kinds:?}");
        assert_eq!(kinds.contains(&DATA), window > 0, "{kinds:?}");
    }
}
