"""The example `keyvalue` beside a redis-server, on one core each, with redis-benchmark on another core.

    cargo build --release --example keyvalue && python3 bench/redis.py

Rounds of both servers alternate. The numbers are requests per CPU second of the server: medians, with the lowest and
the highest. It needs redis-server and redis-benchmark (Debian: `redis-server redis-tools`) and two CPUs.
"""

import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

ROUNDS = 7
KEYVALUE = pathlib.Path(__file__).parent.parent / "target/release/examples/keyvalue"
SERVER_CPU, CLIENT_CPU = "0", "1"
LOADS = [(16, 1_000_000), (1, 100_000)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def start(name):
    port = free_port()
    if name == "redis":
        words = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    else:
        words = [str(KEYVALUE), f"127.0.0.1:{port}"]
    process = subprocess.Popen(["taskset", "-c", SERVER_CPU, *words], stdout=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            return process, port
        except ConnectionRefusedError:
            time.sleep(0.01)
    sys.exit(f"{name} does not listen")


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(process, port, pipeline, count, command):
    before = cpu_seconds(process)
    client = ["taskset", "-c", CLIENT_CPU, "redis-benchmark", "-p", port, "-q", "-c", "50", "-r", "100000"]
    subprocess.run(
        [*client, "-n", str(count), "-P", str(pipeline), "-t", command], check=True, stdout=subprocess.DEVNULL
    )
    return count / (cpu_seconds(process) - before)


def show(values):
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.2f} ({low:,.2f}-{high:,.2f})"


def main():
    version = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout
    print("redis", re.search(r"v=(\S+)", version).group(1), "requests per CPU second")
    servers = {name: start(name) for name in ["keyvalue", "redis"]}
    try:
        for pipeline, count in LOADS:
            for command in ["get", "set"]:
                rates = {name: [] for name in servers}
                for _ in range(ROUNDS):
                    for name, (process, port) in servers.items():
                        rates[name].append(measure(process, port, pipeline, count, command))
                ratios = [ours / theirs for ours, theirs in zip(rates["keyvalue"], rates["redis"])]
                parts = [f"{name} {show(values)}" for name, values in rates.items()]
                print(f"-P {pipeline} {command}: {', '.join(parts)}, ratio {show(ratios)}")
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait()


main()
