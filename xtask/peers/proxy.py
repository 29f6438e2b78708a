"""Both sides of the example `proxy`: an upstream server, and clients of Python, curl and h2load."""

import hashlib
import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

TIMEOUT_S = 30
LARGE = b"0123456789abcdef" * (5 << 16)


def check(actual, expected):
    if actual != expected:
        raise AssertionError(f"not {expected!r} but {actual!r}")


def make_certificate(folder, name):
    """A certificate of its own authority, in place of the last one."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", f"{folder}/key.new", "-out", f"{folder}/cert.new", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )
    os.replace(f"{folder}/key.new", f"{folder}/key.pem")
    os.replace(f"{folder}/cert.new", f"{folder}/cert.pem")


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aborted = threading.Event()

    def log_message(self, *_):
        pass

    def respond(self, body, status=200, headers=()):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        match self.path:
            case "/headers?a=b%20c":
                body = json.dumps({k.lower(): v for k, v in self.headers.items()}).encode()
                self.respond(body, headers=[("connection", "x-private"), ("x-private", "1"), ("x-public", "2")])
            case "/large":
                self.respond(LARGE)
            case "/chunks":
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for number in range(100):
                    self.wfile.write(b"6\r\n%05d\n\r\n" % number)
                self.wfile.write(b"0\r\n\r\n")
            case "/short":
                self.send_response(200)
                self.send_header("content-length", "100")
                self.end_headers()
                self.wfile.write(b"short")
                self.close_connection = True
            case "/drop":
                self.close_connection = True
            case "/missing":
                self.respond(b"missing", 404)
            case _:
                self.respond(b"hello")

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers["content-length"]))

    def do_POST(self):
        expected = self.headers.get("content-length")
        try:
            body = self.read_body()
        except (OSError, ValueError):
            body = b""
        if expected and len(body) < int(expected):
            self.aborted.set()
            self.close_connection = True
            return
        self.respond(hashlib.sha256(body).hexdigest().encode())


class Proxy:
    def __init__(self, program, upstream, folder):
        self.process = subprocess.Popen(
            [program, upstream, f"{folder}/cert.pem", f"{folder}/key.pem", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True,
        )
        line = self.process.stdout.readline().split()
        self.port = int(line[-1].rsplit(":", 1)[1])
        self.folder = folder

    def connection(self):
        context = ssl.create_default_context(cafile=f"{self.folder}/cert.pem")
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=TIMEOUT_S)

    def name(self):
        """The name in the certificate of a new connection."""
        connection = self.connection()
        connection.connect()
        name = connection.sock.getpeercert()["subject"][0][0][1]
        connection.close()
        return name


def fetch(proxy, path, method="GET", body=None, headers=None):
    connection = proxy.connection()
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def pass_requests(proxy):
    sent = {"connection": "x-mine", "x-mine": "1", "x-yours": "2", "te": "trailers", "keep-alive": "3"}
    status, headers, body = fetch(proxy, "/headers?a=b%20c", headers=sent)
    seen = json.loads(body)
    check((status, headers.get("x-private"), headers.get("x-public")), (200, None, "2"))
    check((seen.get("x-mine"), seen.get("x-yours"), seen.get("te"), seen.get("keep-alive")), (None, "2", None, None))
    check((seen["x-forwarded-proto"], seen["x-forwarded-for"]), ("https", "127.0.0.1"))
    check(seen["host"], f"localhost:{proxy.port}")
    check(fetch(proxy, "/large")[2] == LARGE, True)
    check(fetch(proxy, "/chunks")[2].count(b"\n"), 100)
    check(fetch(proxy, "/missing")[0], 404)
    check(fetch(proxy, "/drop")[0], 502)
    digest = hashlib.sha256(LARGE).hexdigest().encode()
    check(fetch(proxy, "/", "POST", LARGE)[2], digest)
    # http.client sends an iterator in chunks.
    pieces = (LARGE[at : at + 10_007] for at in range(0, len(LARGE), 10_007))
    check(fetch(proxy, "/", "POST", pieces)[2], digest)
    try:
        fetch(proxy, "/short")
        sys.exit("a cut body was accepted")
    except (http.client.IncompleteRead, OSError):
        pass


def abort_upload(proxy):
    """A client that leaves in the middle of its body: the upstream sees that, and no whole request."""
    connection = proxy.connection()
    connection.putrequest("POST", "/")
    connection.putheader("content-length", "1000000")
    connection.endheaders(b"x" * 1000)
    time.sleep(0.1)
    connection.sock.close()
    connection.close()
    check(Upstream.aborted.wait(TIMEOUT_S), True)


def smuggle(proxy):
    """Requests with two lengths: they are refused, or their connection ends after one answer."""
    forms = [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /headers HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    ]
    context = ssl.create_default_context(cafile=f"{proxy.folder}/cert.pem")
    for form in forms:
        with socket.create_connection(("localhost", proxy.port), timeout=TIMEOUT_S) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as stream:
                stream.sendall(form)
                answer = b""
                try:
                    while piece := stream.recv(65536):
                        answer += piece
                except OSError as error:
                    if isinstance(error, TimeoutError):
                        sys.exit(f"{form!r}: the connection stays open after {answer!r}")
                check((form, answer.count(b"HTTP/1.1 ") <= 1), (form, True))


def use_curl(proxy):
    url = f"https://localhost:{proxy.port}/large"
    for version in ["--http1.1", "--http2"]:
        got = subprocess.run(
            ["curl", "-sSf", version, "--cacert", f"{proxy.folder}/cert.pem", "--max-time", str(TIMEOUT_S),
             "-w", "%{stderr}%{http_version}", url],
            capture_output=True, check=True,
        )
        check((got.stdout == LARGE, got.stderr.decode()), (True, version[6:]))


def rotate(proxy, with_h2load):
    """New certificates while requests are in progress: none of them fails."""
    check(proxy.name(), "first")
    load = None
    if with_h2load:
        load = subprocess.Popen(
            ["h2load", "-n", "6000", "-c", "20", "-m", "4", f"https://localhost:{proxy.port}/"],
            stdout=subprocess.PIPE, text=True,
        )
    for name in ["second", "third"]:
        make_certificate(proxy.folder, name)
        proxy.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if proxy.name() == name:
                    break
            except ssl.SSLError:
                # The old certificate is not signed by the new authority.
                pass
            if time.monotonic() > deadline:
                sys.exit(f"the certificate {name} is not used")
            time.sleep(0.01)
    if load:
        printed = load.communicate(timeout=120)[0]
        check("6000 succeeded, 0 failed, 0 errored" in printed, True)
    # A file that is no certificate changes nothing.
    os.replace(f"{proxy.folder}/cert.pem", f"{proxy.folder}/good.pem")
    with open(f"{proxy.folder}/cert.pem", "w", encoding="utf-8") as file:
        file.write("nonsense")
    proxy.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    os.replace(f"{proxy.folder}/good.pem", f"{proxy.folder}/cert.pem")
    check(proxy.name(), "third")


def main():
    program, folder = sys.argv[1:3]
    make_certificate(folder, "first")
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    upstream.daemon_threads = True
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    proxy = Proxy(program, f"127.0.0.1:{upstream.server_port}", folder)
    try:
        pass_requests(proxy)
        abort_upload(proxy)
        smuggle(proxy)
        if "--curl" in sys.argv:
            use_curl(proxy)
        rotate(proxy, "--h2load" in sys.argv)
        upstream.shutdown()
        upstream.server_close()
        # Connections of the pool may live: another name has none.
        proxy.process.send_signal(signal.SIGINT)
        check(proxy.process.wait(TIMEOUT_S), 0)
        absent = Proxy(program, "127.0.0.1:1", folder)
        proxy = absent
        check(fetch(absent, "/")[0], 502)
    finally:
        proxy.process.kill()
        proxy.process.wait()
    print("proxy: all answers are right")


if __name__ == "__main__":
    main()
