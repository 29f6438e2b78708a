"""Visits the example `serve`, which serves the folder of its second argument: every file in it must
arrive unchanged, other files must not, and malformed requests must not block other clients."""

import http.client
import os
import socket
import sys
import threading
import urllib.parse

TIMEOUT_S = 30


def connect(address):
    host, port = address.rsplit(":", 1)
    return http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)


def get(connection, path, method="GET"):
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def files_of(folder):
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            yield os.path.relpath(path, folder), path


def compare_all(address, folder):
    """All files over one connection, then the directory listing."""
    connection = connect(address)
    for relative, path in files_of(folder):
        url = "/" + urllib.parse.quote(relative)
        with open(path, "rb") as file:
            expected = file.read()
        status, headers, body = get(connection, url)
        assert status == 200 and body == expected, (url, status, len(body))
        status, headers, body = get(connection, url, "HEAD")
        assert status == 200 and body == b"" and int(headers["Content-Length"]) == len(expected)
    status, _, body = get(connection, "/")
    assert status == 200, status
    for name in os.listdir(folder):
        assert urllib.parse.quote(name) in body.decode(), name


def refusals(address):
    connection = connect(address)
    for path, expected in [
        ("/missing", 404),
        ("/../etc/passwd", 400),
        ("/%2e%2e/%2e%2e/etc/passwd", 400),
        ("/%ff", 400),
        ("/a%00b", 400),
        ("/sub", 301),
    ]:
        status, _, _ = get(connection, path)
        assert status == expected, (path, status)
    status, _, _ = get(connect(address), "/", "DELETE")
    assert status == 405, status


def raw(address, request):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def strange_clients(address):
    assert raw(address, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(address, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 431 ")
    assert raw(address, b"GET / HTT") == b""
    two = b"GET /missing HTTP/1.1\r\n\r\n" * 2
    assert raw(address, two).count(b"404 Not Found\r\n") == 2
    old = raw(address, b"GET /missing HTTP/1.0\r\n\r\nGET /missing HTTP/1.0\r\n\r\n")
    assert old.count(b"404 Not Found\r\n") == 1


def main(address, folder):
    silent = connect(address)
    silent.connect()
    failures = []

    def compare():
        try:
            compare_all(address, folder)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=compare) for _ in range(4)]
    for thread in threads:
        thread.start()
    refusals(address)
    strange_clients(address)
    for thread in threads:
        thread.join()
    assert not failures, failures
    print("served", sum(1 for _ in files_of(folder)), "files to 4 clients")


main(*sys.argv[1:])
