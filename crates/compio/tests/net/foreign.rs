//! Connections to foreign programs: Python and curl.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{BufferPool, TcpStream},
    task::{spawn, spawn_blocking},
};

use crate::support::{listener, pattern, run};

fn python(script: &str, arguments: &[String]) -> Child {
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).args(arguments);
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    python.spawn().expect("python3")
}

#[test]
fn a_client_in_python_is_echoed_through_a_pool() {
    run(async {
        let (listener, address) = listener().await;
        let script = "
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
data = bytes(i * 31 % 251 for i in range(200000))
import threading
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
got = b''
while True:
    part = s.recv(65536)
    if not part: break
    got += part
sys.exit(0 if got == data else 1)
";
        let mut client = python(script, &[address.port().to_string()]);
        let server = listener.incoming().next().await.unwrap().unwrap();
        let pool = BufferPool::new(8, 2048).unwrap();
        let mut bytes = server.recv_stream(&pool);
        while let Some(buffer) = bytes.next().await {
            (&server).write_all(buffer.unwrap()).await.0.unwrap();
        }
        drop((bytes, server));
        let status = spawn_blocking(move || client.wait()).await.unwrap();
        assert!(status.unwrap().success());
    });
}

#[test]
fn a_server_in_python_is_written_to_and_read_from() {
    run(async {
        let script = "
import socket
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()
print(l.getsockname()[1], flush=True)
s, _ = l.accept()
got = b''
while True:
    part = s.recv(65536)
    if not part: break
    got += part
s.sendall(got[::-1])
";
        let mut server = python(script, &[]);
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().unwrap();
        let client = TcpStream::connect(("localhost", port)).await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        let sender = spawn(async move {
            let (sent, loan) = writer.send_zero_copy(pattern(100_000)).await;
            let sent = sent.unwrap();
            let rest = loan.await.split_off(sent);
            writer.write_all(rest).await.0.unwrap();
        });
        let (read, mut got) = reader.read_to_end(Vec::new()).await;
        read.unwrap();
        got.reverse();
        assert!(got == pattern(100_000));
        sender.await.unwrap();
        server.wait().unwrap();
    });
}

/// Curl parses an HTTP response.
#[test]
fn curl_fetches_a_page() {
    run(async {
        let (listener, address) = listener().await;
        let curl = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--noproxy", "*"])
            .arg(format!("http://{address}/"))
            .stdout(Stdio::piped())
            .spawn();
        let Ok(curl) = curl else {
            // Curl is not a required tool of the tests.
            writeln!(std::io::stderr(), "skipped: there is no curl").unwrap();
            return;
        };
        let (mut server, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let (read, byte) = server.read_exact([0; 1]).await;
            read.unwrap();
            request.extend(byte);
        }
        assert!(request.starts_with(b"GET / HTTP/1.1\r\n"));
        let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        server.write_all(page).await.0.unwrap();
        drop(server);
        let output = spawn_blocking(move || curl.wait_with_output())
            .await
            .unwrap();
        assert_eq!(output.unwrap().stdout, b"hello");
    });
}

#[test]
fn python_passes_a_file_and_gets_one() {
    use std::{
        fs::File,
        io::{Read, Seek, SeekFrom},
    };

    use compio::net::{SocketAncillary, UnixListener};
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let script = "
import os, socket, sys, tempfile
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
f = tempfile.TemporaryFile(); f.write(b'from python'); f.flush()
socket.send_fds(s, [b'x'], [f.fileno()])
data, fds, flags, _ = socket.recv_fds(s, 10, 4)
os.write(fds[0], b' and back')
s.send(b'y')
";
        let mut python = python(script, &[path.to_str().unwrap().into()]);
        let (server, _) = listener.accept().await.unwrap();
        let room = SocketAncillary::with_capacity(SocketAncillary::space(4));
        let (received, (_, ancillary)) = server.recv_msg([[0; 10]], room).await;
        assert_eq!(received.unwrap(), 1);
        assert_eq!(ancillary.descriptors().len(), 1);
        let (sent, (_, mut ancillary)) = server.send_msg(["x"], ancillary).await;
        sent.unwrap();
        (&server).read_exact([0; 1]).await.0.unwrap();
        let mut file = File::from(ancillary.take_descriptors().remove(0));
        let mut content = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "from python and back");
        assert!(python.wait().unwrap().success());
    });
}
