"""Visits the example `chat` with three clients: each sees the lines of the others in their order,
once, and not its own; one leaves in the middle of a line, and the others go on."""

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
        """Reads on up to a line with the pattern, and gives what it has heard of it."""
        for line in self.reader:
            if found := re.search(pattern, line):
                return found
        raise SystemExit(f"{self.name}: the server closed, {pattern} has not come")

    def leave_abruptly(self):
        """In the middle of a line, with a reset instead of a farewell."""
        self.connection.sendall(b"half a li")
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        # The socket is closed only when its reader is.
        self.reader.close()
        self.connection.close()


def enter(address, names):
    """One after the other, until all those before have seen the newcomer: from then on it
    hears them as well."""
    clients = []
    for name in names:
        newcomer = Client(address, name)
        newcomer.say(f"hello from {name}")
        for client in clients:
            client.hear(f"hello from {name}")
        clients.append(newcomer)
    return clients


def talk(clients, topic):
    """All talk at once, and then each has heard the others, whoever was first."""
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
