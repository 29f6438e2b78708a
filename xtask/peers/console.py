"""Looks into the example `observed` by compio-console: once as text, and in tmux by keys.

Arguments: the address of the example, its socket, the program compio-console, and optionally tmux.
"""

import re
import socket
import subprocess
import sys
import threading
import time

LIMIT_S = 60
CONNECTIONS = 8


def keep_busy(address, stop):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as stream:
        while not stop.is_set():
            stream.sendall(b"x" * 100)
            left = 100
            while left:
                left -= len(stream.recv(left))
            time.sleep(0.002)


def look_once(program, path):
    text = subprocess.run([program, path, "--once"], capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    for part in ["observed", "main", "compio-core-0", "recv", "send"]:
        if part not in text:
            sys.exit(f"no {part!r} in:\n{text}")


class Terminal:
    def __init__(self, tmux, command, width, height):
        self.tmux = [tmux, "-L", f"compio-{width}"]
        self.call("new-session", "-d", "-x", str(width), "-y", str(height), *command)

    def call(self, *words):
        return subprocess.run([*self.tmux, *words], capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout

    def keys(self, *names):
        self.call("send-keys", *names)

    def wait_for(self, pattern):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            screen = self.call("capture-pane", "-p")
            if re.search(pattern, screen, re.MULTILINE):
                return screen
            time.sleep(0.1)
        sys.exit(f"no {pattern!r} on the screen:\n{screen}")


def look_in_terminal(tmux, program, path, width, height):
    terminal = Terminal(tmux, [program, path, "--interval", "200ms"], width, height)
    try:
        terminal.wait_for(r"compio-core-0 +\d")
        terminal.keys("2", "h")
        # A latency in the last column.
        terminal.wait_for(r"^recv .*\d+(us|ms|s)\s*$")
        terminal.keys("3")
        terminal.wait_for(r"recv .*tcp 127\.0\.0\.1:\d+")
        terminal.keys("5")
        terminal.wait_for(r"127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+")
        terminal.keys("4", "/")
        for key in "forgotten":
            terminal.keys(key)
        terminal.keys("Enter")
        terminal.wait_for("^.* waiting +forgotten")
        terminal.keys("Enter")
        terminal.wait_for("It waits for no operation")
        terminal.keys("q")
    finally:
        subprocess.run([*terminal.tmux, "kill-server"], capture_output=True, timeout=LIMIT_S)


def main():
    address, path, program, *rest = sys.argv[1:]
    stop = threading.Event()
    clients = [threading.Thread(target=keep_busy, args=(address, stop)) for _ in range(CONNECTIONS)]
    for client in clients:
        client.start()
    try:
        look_once(program, path)
        for tmux in rest:
            look_in_terminal(tmux, program, path, 80, 24)
            look_in_terminal(tmux, program, path, 160, 50)
    finally:
        stop.set()
        for client in clients:
            client.join()
    print("in a terminal" if rest else "as text only")


main()
