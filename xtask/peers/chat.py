"""Visits the example `chat` with three clients: each receives the lines of the others in
order, once, and not its own; one disconnects in the middle of a line, and the others continue."""

import re
import socket
import struct
import sys

LINES = 50
TIMEOUT_S = 30


class Client:
    def __init__(self, address, name):
        host, port = address.rsplit(":", 1)
        self.name = name
        self.connection = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self.reader = self.connection.makefile("r", encoding="utf-8", newline="\n")

    def say(self, text):
        self.connection.sendall(f"{text}\n".encode())

    def hear(self, pattern):
        """Reads up to a line with the pattern, and returns the match."""
        for line in self.reader:
            if found := re.search(pattern, line):
                return found
        raise SystemExit(f"{self.name}: the server closed, {pattern} has not come")

    def leave_abruptly(self):
        """Disconnects in the middle of a line, with a reset instead of a regular close."""
        self.connection.sendall(b"half a li")
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        # The socket closes only when its reader is closed.
        self.reader.close()
        self.connection.close()


def enter(address, names):
    """Connects clients one by one. When all earlier clients have received the new one's line, it
    receives theirs as well."""
    clients = []
    for name in names:
        newcomer = Client(address, name)
        newcomer.say(f"hello from {name}")
        for client in clients:
            client.hear(f"hello from {name}")
        clients.append(newcomer)
    return clients


def talk(clients, topic):
    """All clients send at once, and then each must have received the lines of the others."""
    for number in range(LINES):
        for client in clients:
            client.say(f"<{topic} {client.name} {number}> ünïcödé")
    for client in clients:
        heard = {other.name: [] for other in clients}
        for _ in range(LINES * (len(clients) - 1)):
            name, number = client.hear(rf"<{topic} (\w+) (\d+)> ünïcödé").groups()
            heard[name].append(int(number))
        for name, numbers in heard.items():
            expected = [] if name == client.name else list(range(LINES))
            if numbers != expected:
                raise SystemExit(f"{client.name} heard of {name}: {numbers}")


def main(address):
    anna, boris, cleo = enter(address, ["anna", "boris", "cleo"])
    talk([anna, boris, cleo], "weather")
    cleo.leave_abruptly()
    talk([anna, boris], "departures")
    print(f"three clients heard {LINES} lines of each other, and two of them another {LINES}")


main(sys.argv[1])
