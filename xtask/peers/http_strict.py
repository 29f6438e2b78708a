"""Visits the example `todo` with strict and hostile clients of both HTTP versions, by the packages h2, hpack and h11.

h2 and h11 fail on each violation of the protocol by the server. Argument: the address.
"""

import json
import socket
import sys

import h11
import h2.config
import h2.connection
import h2.errors
import h2.events
from hpack import Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

TIMEOUT_S = 30
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/todos")]


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)


class Http2:
    """A connection of h2."""

    def __init__(self, address):
        self.socket = connect(address)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def events(self):
        """The next events; none at the end of the connection."""
        piece = self.socket.recv(65536)
        return self.h2.receive_data(piece) if piece else None

    def ask(self, heads, bodies=None):
        """Sends requests at once. Returns status and body of each response, in the order of the requests."""
        answers = {}
        for number, head in enumerate(heads):
            stream = self.h2.get_next_available_stream_id()
            answers[stream] = [None, b""]
            body = bodies[number] if bodies else None
            self.h2.send_headers(stream, head, end_stream=body is None)
            if body is not None:
                # One byte a frame, with padding.
                for index in range(len(body)):
                    self.h2.send_data(stream, body[index : index + 1], pad_length=index % 256)
                self.h2.end_stream(stream)
            self.flush()
        left = len(answers)
        while left:
            events = self.events()
            if events is None:
                sys.exit("the server has closed during requests")
            for event in events:
                if isinstance(event, h2.events.ResponseReceived):
                    answers[event.stream_id][0] = dict(event.headers)[":status"]
                elif isinstance(event, h2.events.DataReceived):
                    answers[event.stream_id][1] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    left -= 1
                elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    sys.exit(f"a correct request was refused: {event}")
            self.flush()
        return [tuple(answer) for answer in answers.values()]


def be_strict_by_h2(address):
    connection = Http2(address)
    # Concurrent requests, and heads that fill and replace the dynamic table.
    for turn in range(5):
        filler = [(f"x-{turn}-{number}", "y" * 200) for number in range(30)]
        for status, body in connection.ask([HEAD + filler] * 50):
            check(status, "200")
            json.loads(body)
    post = [(":method", "POST"), *HEAD[1:], ("content-type", "application/json")]
    (answer,) = connection.ask([post], [json.dumps("by h2 " * 50).encode()])
    check(answer[0], "201")
    # A window of one byte: the server sends the body in parts.
    connection.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1})
    connection.flush()
    (answer,) = connection.ask([HEAD])
    check(answer[0], "200")
    json.loads(answer[1])
    # The size of the dynamic table changes, and the server follows.
    connection.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
    connection.flush()
    for status, _ in connection.ask([HEAD] * 3):
        check(status, "200")
    connection.h2.close_connection()
    connection.flush()
    while connection.events() is not None:
        pass


def answer_to(address, *frames):
    """The errors by which the server answers to frames: of the connection, and of streams. Ends with the connection or, if the
    server continues, with its answer to a ping."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.clear_outbound_data_buffer()
    errors = []
    with connect(address) as connection:
        try:
            connection.sendall(PREFACE + SettingsFrame(0).serialize())
            for frame in frames:
                connection.sendall(frame if isinstance(frame, bytes) else frame.serialize())
            client.ping(b"the last")
            connection.sendall(client.data_to_send())
            # h2 knows nothing of the streams that the frames have opened.
            while head := read_exact(connection, 9):
                length, kind = int.from_bytes(head[:3]), head[3]
                payload = read_exact(connection, length)
                if kind == 3:
                    errors.append(h2.errors.ErrorCodes(int.from_bytes(payload)).name)
                elif kind == 7:
                    errors.append(h2.errors.ErrorCodes(int.from_bytes(payload[4:8])).name)
                elif kind == 6 and payload == b"the last":
                    break
        except ConnectionError:
            # The server has closed before it has read everything.
            errors.append("reset")
    return errors


def read_exact(connection, length):
    """b"" at the end of the connection."""
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            return b""
        data += piece
    return data


def head_frame(block, stream=1, flags=("END_HEADERS", "END_STREAM")):
    frame = HeadersFrame(stream, block)
    for flag in flags:
        frame.flags.add(flag)
    return frame


def be_hostile_by_hpack(address):
    encode = Encoder().encode
    blocks = {
        "index outside of the tables": b"\xff\x80\x01",
        "index 0": b"\x80",
        "integer without end": b"\xff" + b"\xff" * 20 + b"\x7f",
        "string beyond the block": b"\x00\x7fabc",
        "table above the limit": b"\x3f\xff\xff\x7f",
        "late change of the table": encode(HEAD) + b"\x20",
        "Huffman padding of zeros": b"\x00\x81\x00\x01a",
    }
    for name, block in blocks.items():
        errors = answer_to(address, head_frame(block))
        if not {"COMPRESSION_ERROR", "PROTOCOL_ERROR"} & set(errors):
            sys.exit(f"HPACK, {name}: {errors}")
    # A field of 3,900 bytes in the table, and its index 30,000 times: 117 MB of fields in 30 KB.
    first = Encoder().encode([*HEAD, ("x", "z" * 3900)])
    parts = [ContinuationFrame(1, b"\xbe" * 15_000) for _ in range(2)]
    parts[-1].flags.add("END_HEADERS")
    errors = answer_to(address, head_frame(first, flags=("END_STREAM",)), *parts)
    check(bool({"ENHANCE_YOUR_CALM", "reset"} & set(errors)), True)
    # Fields that must not be indexed are as good as others.
    connection = Http2(address)
    secret = [*HEAD, NeverIndexedHeaderTuple("authorization", "secret")]
    check(connection.ask([secret])[0][0], "200")
    # Wrong heads are refused, one by one.
    for name, head in {
        "no path": HEAD[:3],
        "two paths": [*HEAD, (":path", "/")],
        "unknown pseudo-header": [*HEAD, (":wrong", "a")],
        "pseudo-header after a field": [HEAD[0], ("x", "y"), *HEAD[1:]],
        "field of HTTP/1": [*HEAD, ("connection", "keep-alive")],
        "upper case": [*HEAD, ("X", "y")],
        "te": [*HEAD, ("te", "gzip")],
    }.items():
        check((name, answer_to(address, head_frame(encode(head)))), (name, ["PROTOCOL_ERROR"]))
    # Frames that do not fit their state.
    window = WindowUpdateFrame(0, window_increment=2**31 - 1)
    for name, frames in {
        "DATA on an idle stream": [DataFrame(1, b"a")],
        "an even stream": [head_frame(encode(HEAD), stream=2)],
        "a window that overflows": [window],
        "a lone CONTINUATION": [ContinuationFrame(1, b"")],
        "a frame of 17 MB": [b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"],
    }.items():
        errors = answer_to(address, *frames)
        if not errors:
            sys.exit(f"{name} is no error")


def be_strict_by_h11(address):
    """Pipelined requests with bodies in chunks of one byte. h11 checks the framing of each response."""
    with connect(address) as connection:
        client = h11.Connection(h11.CLIENT)
        for turn in range(20):
            body = json.dumps(f"by h11 {turn}").encode()
            fields = [("host", "a"), ("content-type", "application/json"), ("transfer-encoding", "chunked")]
            connection.sendall(client.send(h11.Request(method="POST", target="/todos", headers=fields)))
            for index in range(len(body)):
                connection.sendall(client.send(h11.Data(data=body[index : index + 1])))
            connection.sendall(client.send(h11.EndOfMessage(headers=[("x-trailer", "y")])))
            check(next_response(client, connection), 201)
            client.start_next_cycle()
        connection.sendall(client.send(h11.Request(method="HEAD", target="/todos", headers=[("host", "a")])))
        connection.sendall(client.send(h11.EndOfMessage()))
        check(next_response(client, connection), 200)


def next_response(client, connection):
    status = None
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(connection.recv(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.EndOfMessage):
            return status
        elif isinstance(event, h11.ConnectionClosed):
            sys.exit("the server has closed during a request")


def main():
    address = sys.argv[1]
    be_strict_by_h2(address)
    be_hostile_by_hpack(address)
    be_strict_by_h11(address)
    print("h2, hpack and h11 found no fault")


main()
