//! To be accepted: files, sockets, threads, processes and hash maps of std. Only std calls ntdll
//! here.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
    });
    let mut text = String::new();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_to_string(&mut text).unwrap();
    client.join().unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap();
    let words = HashSet::from([text]);

    // As in tests that remove their folders, and others that read a child's output.
    let folder = std::env::temp_dir().join("compio-samples");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "text").unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let child = Command::new("cmd").args(["/c", "echo"]).output();
    println!("std alone: {}", words.contains("hello") && child.is_ok());
}
