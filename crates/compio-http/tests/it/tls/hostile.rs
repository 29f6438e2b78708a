//! Peers that break the handshake, or never complete it. A limit that is not kept makes a test fail after a long wait.

use std::{
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use compio_testkit::buffer::pattern;

use super::support::{Site, ask};
use crate::support::read_rest;

const SHORT: Duration = Duration::from_millis(100);

/// The first message of a client.
fn hello(site: &Site) -> Vec<u8> {
    let mut hello = Vec::new();
    site.connect().conn.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn silent_client_is_disconnected_at_the_deadline_of_the_handshake() {
    let site = Site::with(|http| http.handshake_timeout(SHORT).head_timeout(None));
    let hello = hello(&site);
    for len in [0, 1, 5, hello.len() - 1, hello.len()] {
        let mut stream = site.server.connect();
        stream.write_all(&hello[..len]).unwrap();
        read_rest(&mut stream);
    }
    ask(&mut site.connect(), "/");
}

/// Each byte arrives in time, but the handshake does not end.
#[test]
fn handshake_in_single_bytes_is_too_slow() {
    let site = Site::with(|http| http.handshake_timeout(SHORT));
    let hello = hello(&site);
    let mut stream = site.server.connect();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        for byte in hello.iter().cycle() {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(SHORT / 10);
        }
    });
    assert!(read_rest(&mut stream).is_empty());
    drop(stream);
    writing.join().unwrap();
}

#[test]
fn abrupt_ends_in_and_after_the_handshake_harm_no_other_client() {
    let site = Site::new();
    let hello = hello(&site);
    for len in 0..hello.len() {
        let mut stream = site.server.connect();
        stream.write_all(&hello[..len]).unwrap();
        match len % 3 {
            0 => stream.shutdown(Shutdown::Write).unwrap(),
            1 => socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap(),
            _ => {}
        }
    }
    for junk in [
        &pattern(100_000)[..],
        &[22, 3, 1, 255, 255],
        &[21, 3, 3, 0, 2, 2, 40],
    ] {
        let mut stream = site.server.connect();
        let _ = stream.write_all(junk);
        let _ = stream.shutdown(Shutdown::Write);
        read_rest(&mut stream);
    }
    // After the handshake: no close_notify, a cut record, a record that cannot be decrypted.
    for junk in [&[][..], &[23, 3, 3, 1, 0], &[23, 3, 3, 0, 2, 0, 0]] {
        let mut stream = site.connect();
        ask(&mut stream, "/");
        stream.sock.write_all(junk).unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        read_rest(&mut stream.sock);
    }
    ask(&mut site.connect(), "/");
}

#[test]
fn request_without_tls_is_answered_with_status_400() {
    let site = Site::new();
    let body = vec![b'x'; 50_000];
    let head = format!(
        "POST /form HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for request in [
        &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[head.as_bytes(), &body].concat(),
    ] {
        let mut stream = site.server.connect();
        stream.write_all(request).unwrap();
        // The client of this request keeps its connection open.
        let mut answer = [0; 1000];
        let mut len = 0;
        loop {
            let read = stream.read(&mut answer[len..]).unwrap();
            if read == 0 {
                break;
            }
            len += read;
        }
        let answer = std::str::from_utf8(&answer[..len]).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{answer}"
        );
        assert!(body.contains("https"), "{answer}");
    }
}

#[test]
fn client_without_tls_that_stays_is_disconnected() {
    let site = Site::with(|http| http.handshake_timeout(SHORT));
    let mut stream = site.server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut writer = stream.try_clone().unwrap();
    // It reads the answer, and sends more all the time.
    let writing = thread::spawn(move || while writer.write_all(b"more").is_ok() {});
    read_rest(&mut stream);
    drop(stream);
    writing.join().unwrap();
}
