"""The other side of `examples/grpc`, by grpcio: a client that visits its server, and a server that its client visits."""

import subprocess
import sys
import threading
from concurrent import futures

import grpc

TIMEOUT_S = 30
SERVICE = "/greeter.Greeter/"


def encode(text):
    """A message whose field 1 is a string."""
    data = text.encode()
    length, prefix = len(data), b"\x0a"
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return prefix + bytes([length]) + data if data else b""


def decode(message):
    if not message:
        return ""
    position = 1
    while message[position] > 127:
        position += 1
    return message[position + 1 :].decode()


CODEC = {"request_serializer": encode, "response_deserializer": decode}


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return None


def visit(address):
    with grpc.insecure_channel(address) as channel:
        greet = channel.unary_unary(SERVICE + "Greet", **CODEC)
        greet_all = channel.stream_stream(SERVICE + "GreetAll", **CODEC)
        read = channel.unary_stream(SERVICE + "Read", **CODEC)
        for number in range(1000):
            check(greet(f"caller {number}", timeout=TIMEOUT_S), f"Hello, caller {number}")
        check(code_of(lambda: greet("", timeout=TIMEOUT_S)), grpc.StatusCode.INVALID_ARGUMENT)
        # More than the 4 MiB that a message may have.
        check(code_of(lambda: greet("x" * (5 << 20), timeout=TIMEOUT_S)), grpc.StatusCode.OUT_OF_RANGE)
        check(len(greet("x" * (3 << 20), timeout=TIMEOUT_S)), len("Hello, ") + (3 << 20))
        missing = channel.unary_unary(SERVICE + "Missing", **CODEC)
        check(code_of(lambda: missing("a", timeout=TIMEOUT_S)), grpc.StatusCode.UNIMPLEMENTED)

        names = [f"name {number}" for number in range(2000)]
        greetings = list(greet_all(iter(names), timeout=TIMEOUT_S))
        check(greetings, [f"Hello, {name}" for name in names])

        with open("/etc/services", encoding="utf-8") as file:
            check(list(read("/etc/services", timeout=TIMEOUT_S)), file.read().splitlines())
        error = code_of(lambda: list(read("/missing", timeout=TIMEOUT_S)))
        check(error, grpc.StatusCode.NOT_FOUND)

        # A stream that the caller leaves, and one whose caller never sends.
        left = greet_all(iter(names), timeout=TIMEOUT_S)
        check(next(left), "Hello, name 0")
        left.cancel()
        silence = threading.Event()

        def never():
            silence.wait(TIMEOUT_S)
            yield from ()

        silent = greet_all(never(), timeout=0.2)
        check(code_of(lambda: list(silent)), grpc.StatusCode.DEADLINE_EXCEEDED)
        silence.set()

    failures = []

    def call_often():
        with grpc.insecure_channel(address) as channel:
            greet = channel.unary_unary(SERVICE + "Greet", **CODEC)
            calls = [greet.future(f"{number}", timeout=TIMEOUT_S) for number in range(500)]
            for number, call in enumerate(calls):
                if call.result() != f"Hello, {number}":
                    failures.append(number)

    threads = [threading.Thread(target=call_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(failures, [])


def greet_one(name, context):
    if not name:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no name")
    return f"Hello, {name}"


class Handlers(grpc.GenericRpcHandler):
    CODEC = {"request_deserializer": decode, "response_serializer": encode}

    def service(self, call):
        match call.method.removeprefix(SERVICE):
            case "Greet":
                return grpc.unary_unary_rpc_method_handler(greet_one, **self.CODEC)
            case "GreetAll":
                return grpc.stream_stream_rpc_method_handler(
                    lambda names, context: (greet_one(name, context) for name in names), **self.CODEC
                )
            case "Read":
                return grpc.unary_stream_rpc_method_handler(
                    lambda path, _: (f"line {number}" for number in range(3)), **self.CODEC
                )
        return None


def be_visited(client):
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    done = subprocess.run(
        [client, f"127.0.0.1:{port}", "World", "Moon"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    server.stop(None)
    expected = "Hello, World\nHello, Moon\nHello, World\nHello, Moon\n3 lines\n"
    check((done.stdout, done.stderr), (expected, ""))


def main():
    address, client = sys.argv[1:]
    visit(address)
    be_visited(client)
    print("gRPC: all answers are right")


if __name__ == "__main__":
    main()
