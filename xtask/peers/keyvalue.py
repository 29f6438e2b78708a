"""A client of the key-value server: python3 keyvalue.py HOST:PORT"""

import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)


def connect():
    connection = socket.create_connection((host, int(port)), timeout=20)
    return connection, connection.makefile("rb")


def encoded(*arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        argument = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


def reply(file):
    line = file.readline()
    assert line.endswith(b"\r\n"), line
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        return RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        length = int(rest)
        if length < 0:
            return None
        value = file.read(length + 2)
        return value[:-2]
    if kind == b"*":
        return [reply(file) for _ in range(int(rest))]
    raise AssertionError(line)


connection, file = connect()


def ask(*arguments):
    connection.sendall(encoded(*arguments))
    return reply(file)


assert ask("PING") == "PONG"
assert ask("SET", "a", "1") == "OK"
assert ask("INCR", "a") == 2
assert ask("GET", "a") == b"2"
assert ask("GET", "missing") is None
assert ask("MGET", "a", "missing", "a") == [b"2", None, b"2"]
assert ask("DEL", "a", "missing", "a") == 1
assert isinstance(ask("NONSENSE"), RuntimeError)
assert isinstance(ask("GET"), RuntimeError)
assert ask("SET", "text", b"\r\n\0*$") == "OK"
assert ask("GET", "text") == b"\r\n\0*$"
assert isinstance(ask("INCR", "text"), RuntimeError)
assert ask("EXPIRE", "missing", 10) == 0
assert ask("TTL", "missing") == -2
assert ask("TTL", "text") == -1
assert ask("EXPIRE", "text", 100) == 1
assert ask("TTL", "text") == 100
assert ask("SET", "short", "x", "PX", 50) == "OK"
while ask("GET", "short") is not None:
    time.sleep(0.01)

# Pipelined commands over all shards are answered in order. The last one arrives in two pieces.
count = 5000
commands = b"".join(
    encoded("SET", f"key {n}", n) + encoded("INCR", f"key {n}") + encoded("GET", f"key {n}")
    for n in range(count)
)
connection.sendall(commands[:-7])
time.sleep(0.05)
connection.sendall(commands[-7:])
for n in range(count):
    assert [reply(file), reply(file), reply(file)] == ["OK", n + 1, str(n + 1).encode()], n

# Other connections, on other cores, see the same keys.
keys = [f"key {n}" for n in range(count)]
expected = [str(n + 1).encode() for n in range(count)]
for _ in range(8):
    other, other_file = connect()
    other.sendall(encoded("MGET", *keys))
    assert reply(other_file) == expected
    other.close()

# A large value, and a value that is cut off by the end of the connection.
large = bytes(range(256)) * 20_000
assert ask("SET", "large", large) == "OK"
assert ask("GET", "large") == large
cut, _ = connect()
cut.sendall(encoded("SET", "large", "small")[:-3])
cut.close()
assert ask("GET", "large") == large

# Bytes that are no command end the connection, and only that one.
bad, bad_file = connect()
bad.sendall(b"*1\r\n$99999999999\r\n")
assert bad_file.read() == b""
assert ask("PING") == "PONG"
print("keyvalue: all answers are right")
