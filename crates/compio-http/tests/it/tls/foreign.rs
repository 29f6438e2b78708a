//! curl, h2load, OpenSSL and Python as clients of the server.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use compio_testkit::process::has;

use super::support::Site;

/// Runs a program, and returns its output. It must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}\n{errors}");
    text
}

#[test]
fn curl_speaks_each_version() {
    if !has("curl", "--version") {
        return;
    }
    let site = Site::new();
    let files = site.authority.files(&site.identity);
    for (options, expected) in [
        (&["--http1.1"][..], "HTTP/1.1 /curl 1.1"),
        (&["--http2"], "HTTP/2.0 /curl 2"),
        (&["--no-alpn", "--http1.1"], "HTTP/1.1 /curl 1.1"),
        (&["--http2", "--tls-max", "1.2"], "HTTP/2.0 /curl 2"),
    ] {
        let printed = output(
            Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
                .args(["--write-out", " %{http_version}", "--cacert"])
                .arg(files.path("root.pem"))
                .args(options)
                .arg(site.url("/curl")),
        );
        assert_eq!(printed, expected);
    }
}

#[test]
fn curl_is_told_that_the_port_expects_tls() {
    if !has("curl", "--version") {
        return;
    }
    let site = Site::new();
    let url = site.url("/").replace("https", "http");
    let printed = output(
        Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--write-out",
                " %{http_code}",
            ])
            .arg(url),
    );
    assert_eq!(printed, "This port expects TLS. Use an https URL. 400");
}

#[test]
fn h2load_succeeds_with_all_requests() {
    if !has("h2load", "--version") {
        return;
    }
    let site = Site::new();
    for options in [&[][..], &["--npn-list=http/1.1"]] {
        let printed = output(
            Command::new("h2load")
                .args(["-n", "3000", "-c", "12", "-m", "8"])
                .args(options)
                .arg(site.url("/")),
        );
        assert!(printed.contains("3000 succeeded, 0 failed"), "{printed}");
    }
}

#[test]
fn openssl_client_sees_close_notify_after_the_response() {
    if !has("openssl", "version") {
        return;
    }
    let site = Site::new();
    let files = site.authority.files(&site.identity);
    for (version, alpn) in [("-tls1_2", "http/1.1"), ("-tls1_3", "http/1.1")] {
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-msg",
                "-ign_eof",
                "-verify_return_error",
                version,
            ])
            .args(["-alpn", alpn, "-servername", "localhost", "-connect"])
            .arg(site.server.address.to_string())
            .arg("-CAfile")
            .arg(files.path("root.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(b"GET /openssl HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .split(b'\n')
            .map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned())
            .collect();
        drop(input);
        assert!(child.wait().unwrap().success());
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(
            has("ALPN protocol: http/1.1") && has("HTTP/1.1 /openssl"),
            "{lines:?}"
        );
        let mut received = lines.iter().filter(|line| line.starts_with("<<<"));
        assert!(
            received.any(|line| line.contains("close_notify")),
            "{lines:?}"
        );
    }
}

/// Many requests on one connection, one that the server closes, and an end by both sides.
const PYTHON_CLIENT: &str = r#"
import http.client, ssl, sys, threading
context = ssl.create_default_context(cafile=sys.argv[1])
port = int(sys.argv[2])

def visit():
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    for number in range(50):
        connection.request("GET", f"/{number}")
        response = connection.getresponse()
        assert response.read() == f"HTTP/1.1 /{number}".encode()
    connection.request("GET", "/last", headers={"Connection": "close"})
    assert connection.getresponse().read() == b"HTTP/1.1 /last"

threads = [threading.Thread(target=visit) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tcp = __import__("socket").create_connection(("127.0.0.1", port))
tls = context.wrap_socket(tcp, server_hostname="localhost", suppress_ragged_eofs=False)
tls.sendall(b"GET /end HTTP/1.0\r\n\r\n")
data = b""
while True:
    more = tls.recv(1000)
    if not more:
        break
    data += more
assert data.endswith(b"HTTP/1.0 /end"), data
tls.unwrap()
print("ENDED")
"#;

#[test]
fn python_reuses_connections_and_sees_close_notify() {
    if !has("python3", "--version") {
        return;
    }
    let site = Site::new();
    let files = site.authority.files(&site.identity);
    let printed = output(
        Command::new("python3")
            .args(["-c", PYTHON_CLIENT])
            .arg(files.path("root.pem"))
            .arg(site.server.address.port().to_string()),
    );
    assert_eq!(printed.trim(), "ENDED");
}
