"""Visits the example `https`: tlslite-ng as a client that keeps the protocol and as one that breaks it, sslyze as an
auditor, and the renewal of the certificate under load.

It needs the packages tlslite-ng and sslyze. Arguments: the address, the folder of the certificates, and the process id of the
server. `chain.pem` and `key.pem` are the files of the server, `next-chain.pem` and `next-key.pem` those of the renewal.
"""

import os
import signal
import socket
import ssl
import sys
import threading
from pathlib import Path

from sslyze import (
    Scanner,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    ServerNetworkLocation,
    ServerScanRequest,
)
from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.errors import TLSError
from tlslite.constants import AlertDescription, AlertLevel
from tlslite.messages import Alert, ApplicationData

TIMEOUT_S = 60
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
HEARTBEAT = 24


def fail(message):
    sys.exit(message)


def connect(address):
    return socket.create_connection(address, timeout=TIMEOUT_S)


def shake_hands(address, version):
    """A handshake with this version alone."""
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = version
    connection = TLSConnection(connect(address))
    connection.handshakeClientCert(settings=settings, serverName="localhost", alpn=[b"http/1.1"])
    return connection


def ask(connection):
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"Hello\n"):
        more = connection.recv(1000)
        if not more:
            fail(f"the connection has ended after {answer!r}")
        answer += more


def keep_the_protocol(address):
    for version in [(3, 3), (3, 4)]:
        connection = shake_hands(address, version)
        for _ in range(20):
            ask(connection)
        if version == (3, 4):
            connection.send_keyupdate_request(1)
            ask(connection)
        connection.close()
    for version in [(3, 0), (3, 1), (3, 2)]:
        try:
            shake_hands(address, version)
        except (TLSError, OSError):
            continue
        fail(f"the version {version} was accepted")


def must_end(connection, what):
    """The server must end the connection, and must not answer the request of a broken client."""
    try:
        connection.sendall(REQUEST)
        while True:
            if not connection.recv(1000):
                return
    except (TLSError, OSError):
        return
    finally:
        connection.sock.close()
    fail(f"{what} was accepted")


def break_the_protocol(address):
    for version in [(3, 3), (3, 4)]:
        # A record of an unknown type, a fatal alert, a record that is too long.
        for kind, payload in [(99, b"x" * 10), (HEARTBEAT, b"\1\xff\xff"), (23, b"x" * 20000)]:
            connection = shake_hands(address, version)
            connection.sock.sendall(bytes([kind, 3, 3]) + len(payload).to_bytes(2, "big") + payload)
            must_end(connection, f"a record of the type {kind}")
        connection = shake_hands(address, version)
        alert = Alert().create(AlertDescription.internal_error, AlertLevel.fatal)
        for _ in connection._sendMsg(alert):
            pass
        must_end(connection, "a fatal alert")
        # Empty records cost work, and carry nothing.
        connection = shake_hands(address, version)
        try:
            for _ in range(1000):
                for _ in connection._sendMsg(ApplicationData().create(bytearray()), False):
                    pass
            ask(connection)
        except (TLSError, OSError):
            # Some servers refuse so many.
            pass
        connection.sock.close()
    # The end within a handshake, and bytes that are no handshake.
    for first in [b"", b"\x16", b"\x16\3\1\0\5\1\0\0\1", b"\x16\3\1\xff\xff", b"\x80\x2e\1\0\2", os.urandom(5000)]:
        with connect(address) as tcp:
            try:
                tcp.sendall(first)
                tcp.shutdown(socket.SHUT_WR)
                while tcp.recv(1000):
                    pass
            except OSError:
                # The server has reset the connection.
                pass


ACCEPTED = {"TLS_1_2_CIPHER_SUITES", "TLS_1_3_CIPHER_SUITES"}


def audit(address):
    location = ServerNetworkLocation(hostname="localhost", port=address[1], ip_address=address[0])
    commands = set(ScanCommand) - {ScanCommand.CERTIFICATE_INFO, ScanCommand.HTTP_HEADERS}
    scanner = Scanner()
    scanner.queue_scans([ServerScanRequest(server_location=location, scan_commands=commands)])
    [found] = scanner.get_results()
    if found.scan_result is None:
        fail(f"sslyze could not connect: {found.connectivity_error_trace}")
    results = {}
    for command in commands:
        attempt = getattr(found.scan_result, command.value)
        if attempt.status != ScanCommandAttemptStatusEnum.COMPLETED:
            fail(f"sslyze: {command.name}: {attempt.error_reason} {attempt.error_trace}")
        results[command.name] = attempt.result
    for name, result in results.items():
        if name.endswith("_CIPHER_SUITES"):
            if bool(result.accepted_cipher_suites) != (name in ACCEPTED):
                fail(f"sslyze: {name}: {result.accepted_cipher_suites}")
    flaws = {
        "heartbleed": results["HEARTBLEED"].is_vulnerable_to_heartbleed,
        "CCS injection": results["OPENSSL_CCS_INJECTION"].is_vulnerable_to_ccs_injection,
        "ROBOT": "NOT_VULNERABLE" not in results["ROBOT"].robot_result.name,
        "compression": results["TLS_COMPRESSION"].supports_compression,
        "early data": results["TLS_1_3_EARLY_DATA"].supports_early_data,
        "renegotiation": results["SESSION_RENEGOTIATION"].is_vulnerable_to_client_renegotiation_dos,
        "no extended master secret": not results["TLS_EXTENDED_MASTER_SECRET"].supports_ems_extension,
    }
    if any(flaws.values()):
        fail(f"sslyze has found {flaws}")


def renew(address, folder, process):
    """Replaces the files of the certificate while clients send requests. None may fail."""
    roots = "\n".join((folder / name).read_text() for name in ["chain.pem", "next-chain.pem"])
    expected = ssl.PEM_cert_to_DER_cert((folder / "next-chain.pem").read_text())
    is_done = threading.Event()
    failures = []

    def visit():
        context = ssl.create_default_context(cadata=roots)
        try:
            while True:
                tcp = connect(address)
                with context.wrap_socket(tcp, server_hostname="localhost") as tls:
                    ask(tls)
                    if is_done.is_set():
                        return
                    if tls.getpeercert(True) == expected:
                        is_done.set()
        except Exception as error:
            failures.append(error)
            is_done.set()

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for name in ["chain.pem", "key.pem"]:
        os.replace(folder / f"next-{name}", folder / name)
    os.kill(process, signal.SIGHUP)
    if not is_done.wait(TIMEOUT_S):
        is_done.set()
        failures.append("the certificate was not renewed")
    for thread in threads:
        thread.join()
    if failures:
        fail(f"in the renewal: {failures}")


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    address = (host, int(port))
    keep_the_protocol(address)
    break_the_protocol(address)
    audit(address)
    renew(address, Path(sys.argv[2]), int(sys.argv[3]))
    keep_the_protocol(address)
    print("the server has kept the protocol")


if __name__ == "__main__":
    main()
