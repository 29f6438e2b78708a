"""Restarts the example `restart` several times while clients connect, ask and disconnect without a pause. No connection
may be refused, reset or left without its answer. Finally ends the last process."""

import os
import signal
import socket
import sys
import threading
import time

CLIENTS = 8
RESTARTS = 6
# The number of answers between two restarts.
ANSWERS = 400
TIMEOUT_S = 30


class Load:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.lock = threading.Lock()
        self.answers = {}
        self.failures = {}
        self.end = threading.Event()

    def ask(self, line):
        """One connection with one question: the process that has answered."""
        with socket.create_connection(self.address, timeout=TIMEOUT_S) as connection:
            connection.sendall(line + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = connection.recv(4096)
                if not part:
                    raise EOFError(f"the connection has ended after {answer!r}")
                answer += part
        pid, _, rest = answer.rstrip(b"\n").partition(b" ")
        if rest != line:
            raise ValueError(f"{answer!r} is no answer to {line!r}")
        return int(pid)

    def client(self, number):
        count = 0
        while not self.end.is_set():
            count += 1
            try:
                pid = self.ask(b"client %d, question %d" % (number, count))
            except (OSError, EOFError, ValueError) as error:
                with self.lock:
                    kind = type(error).__name__
                    self.failures[kind] = self.failures.get(kind, 0) + 1
                    if self.failures[kind] > 1000:
                        return
            else:
                with self.lock:
                    self.answers[pid] = self.answers.get(pid, 0) + 1

    def wait(self, condition):
        end = time.monotonic() + TIMEOUT_S
        while True:
            with self.lock:
                if condition(self.answers):
                    return
            if time.monotonic() > end:
                raise SystemExit(f"no progress: {self.answers}, failures {self.failures}")
            time.sleep(0.01)


def main(address):
    load = Load(address)
    current = load.ask(b"hello")
    pids = [current]
    clients = [threading.Thread(target=load.client, args=(n,)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(RESTARTS):
            load.wait(lambda answers: answers.get(current, 0) >= ANSWERS)
            os.kill(current, signal.SIGHUP)
            # Until the new process answers.
            load.wait(lambda answers: not answers.keys() <= set(pids))
            (current,) = load.answers.keys() - set(pids)
            pids.append(current)
        load.wait(lambda answers: answers.get(current, 0) >= ANSWERS)
    finally:
        load.end.set()
        for client in clients:
            client.join()
        os.kill(current, signal.SIGTERM)
    total = sum(load.answers.values())
    print(f"{RESTARTS} restarts, {total} connections by process: {load.answers}")
    if load.failures:
        raise SystemExit(f"connections were lost: {load.failures}")


main(sys.argv[1])
