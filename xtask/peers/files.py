"""Visits the example `files` with a folder that this program has filled: clients in Python, `download`, and curl."""

import hashlib
import http.client
import os
import random
import socket
import subprocess
import sys
import threading

TIMEOUT_S = 30


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


def fetch(address, path, method="GET", **headers):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def fetch_ranges(address, content):
    length = len(content)
    for start, end in [(0, 0), (0, length - 1), (1, 65536), (65535, 65536), (length - 1, length - 1)]:
        status, headers, body = fetch(address, "/large.bin", range=f"bytes={start}-{end}")
        check(status, 206)
        check(headers["content-range"], f"bytes {start}-{end}/{length}")
        check(body == content[start : end + 1], True)
    cases = {
        "bytes=-10": (206, content[-10:]),
        f"bytes={length - 3}-": (206, content[-3:]),
        f"bytes=0-{length + 5}": (206, content),
        f"bytes=-{length + 5}": (206, content),
        f"bytes={length}-": (416, b""),
        "bytes=0-1,5-6": (200, content),
        "bytes=5-1": (200, content),
        "lines=1-2": (200, content),
    }
    for value, (status, expected) in cases.items():
        answer = fetch(address, "/large.bin", range=value)
        check((value, answer[0]), (value, status))
        check((value, answer[2] == expected), (value, True))
    check(fetch(address, "/large.bin", range=f"bytes={length}-")[1]["content-range"], f"bytes */{length}")


def fetch_conditionally(address):
    status, headers, _ = fetch(address, "/hello.txt")
    check(status, 200)
    check(headers["content-type"], "text/plain")
    modified = headers["last-modified"]
    check(fetch(address, "/hello.txt", if_modified_since=modified)[0], 304)
    check(fetch(address, "/hello.txt", range="bytes=0-0", if_range=modified)[0], 206)
    other = "Thu, 01 Jan 1970 00:00:00 GMT"
    check(fetch(address, "/hello.txt", range="bytes=0-0", if_range=other)[0], 200)
    status, headers, body = fetch(address, "/hello.txt", method="HEAD")
    check((status, headers["content-length"], body), (200, "6", b""))


def leave_the_folder(address):
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/folder/%2e%2e/%2e%2e/secret.txt",
        "//../secret.txt",
        "/%5c..%5csecret.txt",
        "/hello.txt%00",
        "/%ff",
        "/fifo",
        "/missing",
        "/hello.txt/more",
    ]:
        status, _, body = fetch(address, path)
        check((path, status in (400, 404), b"secret" in body), (path, True, False))
    check(fetch(address, "/hello.txt", method="DELETE")[0], 405)
    check(fetch(address, "/folder/")[2], b"<p>index</p>")
    check(fetch(address, "/folder/a%20b.txt")[2], b"blank")


def abort(address):
    """Clients that leave in the middle, and one that does not read."""
    host, port = address.rsplit(":", 1)
    for _ in range(50):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n")
            connection.recv(random.randrange(1, 100_000))


def fetch_at_once(address, digest):
    failures = []

    def fetch_all():
        for _ in range(5):
            body = fetch(address, "/large.bin")[2]
            if hashlib.sha256(body).digest() != digest:
                failures.append(len(body))

    threads = [threading.Thread(target=fetch_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(failures, [])


def resume_with_curl(address, folder, content):
    """curl gets the first half, and continues."""
    target = os.path.join(folder, "..", "resumed.bin")
    with open(target, "wb") as file:
        file.write(content[: len(content) // 2])
    subprocess.run(
        ["curl", "-sSf", "--max-time", str(TIMEOUT_S), "-C", "-", "-o", target, f"http://{address}/large.bin"],
        check=True,
    )
    with open(target, "rb") as file:
        check(file.read() == content, True)


def download(program, address, folder, content):
    """The example `download` gets a file, continues a part, and reports failures."""
    target = os.path.join(folder, "..", "downloaded.bin")

    def run(url):
        return subprocess.run([program, url, target], capture_output=True, timeout=TIMEOUT_S)

    for part in [None, content[: len(content) // 3]]:
        if part is not None:
            with open(target + ".part", "wb") as file:
                file.write(part)
        done = run(f"http://{address}/large.bin")
        check((done.returncode, done.stderr[-300:] if done.returncode else b""), (0, b""))
        with open(target, "rb") as file:
            check(file.read() == content, True)
        check(os.path.exists(target + ".part"), False)
        os.remove(target)
    check(run(f"http://{address}/missing").returncode, 1)
    check(os.path.exists(target + ".part"), False)


def fill(folder):
    os.makedirs(os.path.join(folder, "folder"))
    content = random.Random(1).randbytes(3_000_000)
    files = {
        "hello.txt": b"hello\n",
        "large.bin": content,
        "folder/index.html": b"<p>index</p>",
        "folder/a b.txt": b"blank",
        "../secret.txt": b"secret",
    }
    for name, bytes_ in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes_)
    os.mkfifo(os.path.join(folder, "fifo"))
    return content


def main():
    if sys.argv[1] == "--fill":
        fill(sys.argv[2])
        return
    address, folder = sys.argv[1], sys.argv[2]
    with open(os.path.join(folder, "large.bin"), "rb") as file:
        content = file.read()
    fetch_ranges(address, content)
    fetch_conditionally(address)
    leave_the_folder(address)
    abort(address)
    fetch_at_once(address, hashlib.sha256(content).digest())
    download(sys.argv[3], address, folder, content)
    if "--curl" in sys.argv:
        resume_with_curl(address, folder, content)
    print("files: all answers are right")


if __name__ == "__main__":
    main()
