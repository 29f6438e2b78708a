"""Visits the service `notes` over Postgres: each operation, many at once, clients that leave, and texts that are no SQL."""

import http.client
import json
import socket
import sys
import threading

TIMEOUT_S = 60


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


class Client:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)

    def call(self, method, path, value=None):
        body = None if value is None else json.dumps(value)
        self.connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        response = self.connection.getresponse()
        text = response.read()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(text) if is_json else None


def change(address):
    client = Client(address)
    for text in ["buy milk", "'; drop table notes; --", "\N{SNOWMAN}" * 1000, ""]:
        status, note = client.call("POST", "/notes", text)
        check((status, note["text"]), (201, text))
        path = f"/notes/{note['id']}"
        check(client.call("GET", path), (200, note))
        changed = {"id": note["id"], "text": text + "!"}
        check(client.call("PUT", path, text + "!"), (200, changed))
        check(changed in client.call("GET", "/notes")[1], True)
        check(client.call("DELETE", path)[0], 204)
        for method in ["GET", "DELETE"]:
            check(client.call(method, path)[0], 404)
        check(client.call("PUT", path, text)[0], 404)
    check(client.call("GET", "/notes/none")[0], 400)
    # Postgres has no text with a zero.
    check(client.call("POST", "/notes", "\0")[0], 500)


def change_at_once(address):
    failures = []

    def add_many(number):
        client = Client(address)
        for count in range(50):
            status, note = client.call("POST", "/notes", f"{number} {count}")
            if status != 201 or client.call("GET", f"/notes/{note['id']}") != (200, note):
                failures.append((number, count))

    threads = [threading.Thread(target=add_many, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(failures, [])
    check(len(Client(address).call("GET", "/notes")[1]), 16 * 50)


def leave(address):
    """The requests of clients that leave are cancelled. The pool has its connections again."""
    host, port = address.rsplit(":", 1)
    for _ in range(100):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"GET /notes HTTP/1.1\r\nhost: a\r\n\r\n")
    check(Client(address).call("GET", "/notes")[0], 200)


def main():
    address = sys.argv[1]
    if "--without-database" in sys.argv:
        check(Client(address).call("GET", "/notes")[0], 500)
    else:
        change(address)
        change_at_once(address)
        leave(address)
    print("notes: all answers are right")


if __name__ == "__main__":
    main()
