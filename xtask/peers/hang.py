"""Sends SIGQUIT to the example `hang` until its dump shows that both tasks receive on the two ends of one connection.

Argument: the program.
"""

import re
import signal
import subprocess
import sys
import time

LIMIT_S = 30
# The name of a task, and its wait.
WAIT = re.compile(r'task \d+ "(\w+)" \(spawned at examples/hang\.rs:.*\n +recv on fd \d+ \(tcp (\S+) -> (\S+)\), ')


def main():
    program = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # The signals have their handlers now.
        print(program.stdout.readline(), end="")
        dump = ""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            program.send_signal(signal.SIGQUIT)
            # Up to the header of the dump that this signal or an earlier one has caused.
            dump += program.stderr.readline()
            waits = {name: (local, peer) for name, local, peer in WAIT.findall(dump)}
            if len(waits) == 2:
                break
        else:
            sys.exit(f"no dump has both waits:\n{dump}")
        print(dump)
        if waits["server"] != waits["client"][::-1]:
            sys.exit(f"not the ends of one connection: {waits}")
        program.send_signal(signal.SIGINT)
        if program.wait(LIMIT_S):
            sys.exit(f"it ends with {program.returncode}")
    finally:
        program.kill()


main()
