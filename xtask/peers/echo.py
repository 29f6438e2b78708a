"""Visits the example `echo`: several connections at once, each with 1 MiB in pieces of all sizes,
some that reset without reading, and one after all the others."""

import random
import socket
import struct
import sys
import threading

CONNECTIONS = 8
BYTES = 1 << 20
TIMEOUT_S = 30


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)


def leave_abruptly(connection):
    """Closes with a reset instead of a regular close."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def send_pieces(connection, message, random):
    sent = 0
    while sent < len(message):
        size = random.choice([1, 7, 100, 4096, 65536, 200_000])
        connection.sendall(message[sent : sent + size])
        sent += size
    # The server must answer this with EOF.
    connection.shutdown(socket.SHUT_WR)


def compare(address, seed):
    """Sends and receives concurrently: this fails on a server that reads all bytes first."""
    rng = random.Random(seed)
    message = rng.randbytes(BYTES)
    with connect(address) as connection:
        sender = threading.Thread(target=send_pieces, args=(connection, message, rng))
        sender.start()
        answer = bytearray()
        while part := connection.recv(65536):
            answer += part
        sender.join()
    if answer != message:
        raise SystemExit(f"connection {seed}: {len(answer)} bytes came back, not the sent ones")


def main(address):
    failures = []

    def visit(seed):
        try:
            compare(address, seed)
        except (OSError, SystemExit) as error:
            failures.append(error)

    # One connection stays silent: the others must not wait for it.
    with connect(address):
        visitors = [threading.Thread(target=visit, args=(n,)) for n in range(CONNECTIONS)]
        for visitor in visitors:
            visitor.start()
        for _ in range(4):
            rude = connect(address)
            rude.sendall(bytes(100_000))
            leave_abruptly(rude)
        for visitor in visitors:
            visitor.join()
        visit(CONNECTIONS)
    if failures:
        raise SystemExit("\n".join(map(str, failures)))
    print(f"{CONNECTIONS} connections of {BYTES} bytes, and one after them: all came back")


main(sys.argv[1])
