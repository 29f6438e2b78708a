"""Visits the example `todo`: a client of HTTP/1.1 in Python, and hostile ones; curl with HTTP/1.1 and HTTP/2."""

import http.client
import json
import socket
import subprocess
import sys
import threading

TIMEOUT_S = 30


def call(connection, method, path, value=None):
    body = None if value is None else json.dumps(value)
    headers = {} if value is None else {"content-type": "application/json"}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else None


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


def change_list(address):
    """Many requests on one connection."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    for number in range(50):
        status, key = call(connection, "POST", "/todos", f"task {number}")
        check(status, 201)
        path = f"/todos/{key}"
        done = {"text": f"task {number}", "is_done": True}
        check(call(connection, "PUT", path, done)[0], 200)
        check(call(connection, "GET", path), (200, done))
        check(call(connection, "DELETE", path)[0], 200)
        check(call(connection, "GET", path)[0], 404)
    connection.close()


def raw(address, request):
    """The answer to bytes that need not be a request."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except OSError as error:
            # The server may close before it has read everything, which resets the connection.
            if isinstance(error, TimeoutError):
                raise
    return answer


def be_hostile(address):
    endless = b"GET /todos HTTP/1.1\r\nhost: a\r\n" + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n"
    requests = [b"", b"\0" * 1000, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff"]
    for request in requests:
        if raw(address, request).startswith(b"HTTP/1.1 200"):
            sys.exit(f"a wrong request was served: {request[:40]!r}")
    answer = raw(address, endless)
    # A reset may have taken the answer.
    if answer and not answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")):
        sys.exit(f"an endless header was answered by {answer[:60]!r}")
    both = b"POST /todos HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    smuggled = raw(address, both + b"GET /todos HTTP/1.1\r\nhost: a\r\n\r\n")
    if smuggled.count(b"HTTP/1.1") > 1:
        sys.exit(f"a smuggled request was answered: {smuggled!r}")


def use_curl(address):
    for version in ["--http1.1", "--http2-prior-knowledge"]:
        curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", str(TIMEOUT_S), version]
        added = subprocess.run(
            [*curl, "--data", '"from curl"', "--header", "content-type: application/json", f"http://{address}/todos"],
            check=True,
            capture_output=True,
        )
        key = json.loads(added.stdout)
        found = subprocess.run([*curl, f"http://{address}/todos/{key}"], check=True, capture_output=True)
        check(json.loads(found.stdout), {"text": "from curl", "is_done": False})


def main():
    address = sys.argv[1]
    threads = [threading.Thread(target=change_list, args=[address]) for _ in range(8)]
    for thread in threads:
        thread.start()
    be_hostile(address)
    for thread in threads:
        thread.join()
    if "--curl" in sys.argv:
        use_curl(address)
    print("the list was changed")


main()
