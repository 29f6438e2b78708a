"""Visits the chat over WebSocket: clients in Python by `websockets`, and the page in Chromium with `--chromium`, which is
controlled by its DevTools protocol."""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request

from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

TIMEOUT_S = 60


def check(actual, expected, what):
    if actual != expected:
        sys.exit(f"{what}: not {expected!r} but {actual!r}")


def members(address):
    """Many members see each message, in the same order."""
    url = f"ws://{address}/chat"
    sockets = [connect(url).__enter__() for _ in range(20)]
    # A pong means that the member has entered.
    for socket in sockets:
        check(socket.ping().wait(TIMEOUT_S), True, "pong")
    for number in range(50):
        sockets[number % 20].send(f"message {number}")
        for socket in sockets:
            check(socket.recv(TIMEOUT_S), f"message {number}", "message")
    sockets[0].send("x" * 5000)
    try:
        sockets[0].recv(TIMEOUT_S)
        sys.exit("a message of 5000 bytes was accepted")
    except ConnectionClosedError as error:
        check(error.rcvd.code, 1009, "close code")
    for socket in sockets[1:]:
        socket.close()


class Page:
    """A page in Chromium."""

    def __init__(self, url):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        command += [f"--user-data-dir={self.folder.name}", url]
        self.chromium = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.chromium.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
                break
        else:
            sys.exit("Chromium has ended")
        pages = json.load(urllib.request.urlopen(f"http://{found[1]}/json", timeout=TIMEOUT_S))
        page = next(page for page in pages if page["type"] == "page")
        self.socket = connect(page["webSocketDebuggerUrl"], max_size=None).__enter__()
        self.last = 0

    def evaluate(self, expression):
        """Waits for the value of an expression, also of a promise."""
        while True:
            self.last += 1
            parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
            self.socket.send(json.dumps({"id": self.last, "method": "Runtime.evaluate", "params": parameters}))
            while (message := json.loads(self.socket.recv(TIMEOUT_S))).get("id") != self.last:
                pass
            if "navigated" in str(message.get("error")) or "context was destroyed" in str(message.get("error")):
                # The page has begun to load in the meantime.
                continue
            if "error" in message or "exceptionDetails" in message["result"]:
                sys.exit(f"{expression}: {message}")
            return message["result"]["result"].get("value")

    def wait(self, condition):
        """Waits until an expression is true. The page looks again after each of its frames."""
        self.evaluate(
            "new Promise((resolve) => { const look = () => { try { if (%s) return resolve(true); } catch {} "
            "setTimeout(look, 10); }; look(); })" % condition
        )

    def end(self):
        self.chromium.terminate()
        self.chromium.wait(TIMEOUT_S)


def page(address):
    page = Page(f"http://{address}/")
    try:
        page.wait("find('state').textContent === 'connected'")
        with connect(f"ws://{address}/chat") as member:
            check(member.ping().wait(TIMEOUT_S), True, "pong")
            page.evaluate("find('text').value = 'from the page \u20ac'; find('form').requestSubmit()")
            check(member.recv(TIMEOUT_S), "from the page \u20ac", "message of the page")
            member.send("to the page <b>\u20ac</b>")
            page.wait("find('messages').children.length === 2")
            texts = page.evaluate("[...find('messages').children].map((item) => item.textContent)")
            check(texts, ["from the page \u20ac", "to the page <b>\u20ac</b>"], "messages on the page")
        page.evaluate("socket.send('x'.repeat(5000))")
        page.wait("find('state').textContent.startsWith('closed')")
        check(page.evaluate("find('state').textContent"), "closed: 1009 ", "state")
    finally:
        page.end()
    print("the page has been visited by Chromium")


if __name__ == "__main__":
    members(sys.argv[1])
    if "--chromium" in sys.argv:
        page(sys.argv[1])
