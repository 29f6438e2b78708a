"""WebSocket peers of other implementations: `client LIBRARY ADDRESS` checks a server that returns messages, `server
LIBRARY` is one. The libraries are `websockets` and `wsproto`."""

import socket
import sys
import threading

TIMEOUT_S = 60
LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 4 << 20]
PROTOCOLS = ["other", "echo"]


def check(actual, expected, what):
    if actual != expected:
        sys.exit(f"{what}: not {str(expected)[:100]!r} but {str(actual)[:100]!r}")


def payloads():
    for length in LENGTHS:
        yield bytes(index % 251 for index in range(length))
        yield "\u20ac" * (length // 3)


class Websockets:
    """A client by `websockets`, which offers compression."""

    def __init__(self, address):
        from websockets.sync.client import connect

        url = f"ws://{address}/"
        connecting = connect(url, subprotocols=PROTOCOLS, max_size=None, open_timeout=TIMEOUT_S)
        self.socket = connecting.__enter__()
        check(self.socket.subprotocol, "echo", "subprotocol")
        check(self.socket.protocol.extensions, [], "extensions")

    def send(self, message):
        self.socket.send(message)

    def receive(self):
        return self.socket.recv(TIMEOUT_S)

    def ping(self, payload):
        check(self.socket.ping(payload).wait(TIMEOUT_S), True, "pong")

    def fragments(self, parts):
        self.socket.send(iter(parts))

    def close(self, code, reason):
        self.socket.close(code, reason)
        check((self.socket.protocol.close_rcvd.code, self.socket.protocol.close_rcvd.reason), (code, reason), "close")


class Wsproto:
    """A client by `wsproto`, over a blocking socket."""

    def __init__(self, address):
        import wsproto
        from wsproto import events

        self.events = events
        host, port = address.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.socket = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.pending = []
        request = events.Request(host=address, target="/", subprotocols=PROTOCOLS)
        self.send_event(request)
        check(self.event().subprotocol, "echo", "subprotocol")

    def send_event(self, event):
        self.stream.sendall(self.socket.send(event))

    def event(self):
        while not self.pending:
            received = self.stream.recv(1 << 16)
            self.socket.receive_data(received or None)
            self.pending = list(self.socket.events())
        return self.pending.pop(0)

    def send(self, message):
        kind = self.events.TextMessage if isinstance(message, str) else self.events.BytesMessage
        self.send_event(kind(message))

    def receive(self):
        parts = []
        while True:
            event = self.event()
            check(isinstance(event, self.events.Message), True, f"a message, not {event!r}"[:200])
            parts.append(event.data)
            if event.message_finished:
                return parts[0][:0].join(parts)

    def ping(self, payload):
        self.send_event(self.events.Ping(payload))
        check(bytes(self.event().payload), payload, "pong")

    def fragments(self, parts):
        for index, part in enumerate(parts):
            if index == 1:
                self.ping(b"between")
            self.send_event(self.events.TextMessage(part, message_finished=index == len(parts) - 1))

    def close(self, code, reason):
        self.send_event(self.events.CloseConnection(code, reason))
        event = self.event()
        check((event.code, event.reason or ""), (code, reason), "close")
        # The server ends the stream first.
        check(self.stream.recv(1), b"", "end")
        self.stream.close()


def client(library, address):
    connect = {"websockets": Websockets, "wsproto": Wsproto}[library]
    peer = connect(address)
    for payload in payloads():
        peer.send(payload)
        check(peer.receive(), payload, "echo")
    peer.fragments(["one \u20ac ", "two ", "", "three"])
    check(peer.receive(), "one \u20ac two three", "fragments")
    for payload in [b"", b"p", b"p" * 125]:
        peer.ping(payload)
    for number in range(1000):
        peer.send(str(number))
    for number in range(1000):
        check(peer.receive(), str(number), "many")
    peer.close(1000, "done")
    for code, reason in [(1001, ""), (3000, "own code"), (4999, "\u20ac")]:
        connect(address).close(code, reason)


def serve_websockets():
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    def echo(peer):
        try:
            for message in peer:
                peer.send(message)
        except ConnectionClosed:
            # Another code than 1000 or 1001.
            pass

    with serve(echo, "127.0.0.1", 0, subprotocols=["echo"], max_size=None) as server:
        host, port = server.socket.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        server.serve_forever()


def serve_wsproto():
    import wsproto
    from wsproto import events

    def echo(stream):
        peer = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while received := stream.recv(1 << 16):
            peer.receive_data(received)
            for event in peer.events():
                if isinstance(event, events.Request):
                    answer = events.AcceptConnection(subprotocol="echo")
                elif isinstance(event, (events.Ping, events.CloseConnection)):
                    answer = event.response()
                elif isinstance(event, events.Message):
                    # Each part is returned as a fragment.
                    answer = type(event)(event.data, message_finished=event.message_finished)
                else:
                    continue
                stream.sendall(peer.send(answer))
            if peer.state is wsproto.connection.ConnectionState.CLOSED:
                break
        stream.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=echo, args=[stream], daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(*sys.argv[2:4])
    elif sys.argv[2] == "websockets":
        serve_websockets()
    else:
        serve_wsproto()
